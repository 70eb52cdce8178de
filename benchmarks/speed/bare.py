"""CPU and wall seconds of decoding and inference alone, nothing around them: prints JSON.

python -m speed.bare CLIP BACKBONE [THREADS [ENGINE]]
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from trailergenre.base.config import BackboneConfig, LimitsConfig
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.features.backbone import load_embedder
from trailergenre.frames.decoder import Decoder


def main(clip: Path, backbone: Path, threads: int = 1, engine: str = "onnxruntime") -> None:
    """Decode the whole clip, then embed all its frames."""
    started = time.monotonic()
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(600))
    frames = np.concatenate(list(video.batches(16)))
    decode_wall_s = time.monotonic() - started
    decode_s = _cpu_s(resource.RUSAGE_CHILDREN)
    embedder = load_embedder(BackboneConfig(path=str(backbone), threads=threads, engine=engine))
    embedder.embed(frames[:16])
    before_s, started = _cpu_s(resource.RUSAGE_SELF), time.monotonic()
    embedder.embed(frames)
    embed_s = _cpu_s(resource.RUSAGE_SELF) - before_s
    figures = {
        "frames": len(frames),
        "decode_cpu_s": decode_s / len(frames),
        "embed_cpu_s": embed_s / len(frames),
        "decode_wall_s": decode_wall_s,
        "embed_wall_s": time.monotonic() - started,
    }
    print(json.dumps(figures))


def _cpu_s(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:4]), *sys.argv[4:])

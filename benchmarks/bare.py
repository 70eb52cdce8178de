"""CPU seconds a frame of decoding and inference alone: prints one number.

python benchmarks/bare.py CLIP BACKBONE
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np

from trailergenre.backbone import load_embedder
from trailergenre.config import BackboneConfig, LimitsConfig
from trailergenre.decode import Decoder
from trailergenre.sandbox import Deadline


def main(clip: Path, backbone: Path) -> None:
    """Decode the whole clip, then embed all its frames with one thread."""
    video = Decoder(1, LimitsConfig()).decode(clip, deadline=Deadline(600))
    frames = np.concatenate(list(video.batches(16)))
    decode_s = _cpu_s(resource.RUSAGE_CHILDREN)
    embedder = load_embedder(BackboneConfig(path=str(backbone)))
    embedder.embed(frames[:16])
    before_s = _cpu_s(resource.RUSAGE_SELF)
    embedder.embed(frames)
    embed_s = _cpu_s(resource.RUSAGE_SELF) - before_s
    print((decode_s + embed_s) / len(frames))


def _cpu_s(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

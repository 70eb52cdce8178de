"""Frames/s of the embedder alone, uint8 in host memory to float32 out: prints one JSON object.

python benchmarks/gpu.py BACKBONE --engine tensorflow --device gpu --batch-size 256 --mixed

Goal B11, where there is a GPU; `--device cpu` shows that it runs.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from pathlib import Path

import numpy as np

from trailergenre.base.config import BackboneConfig
from trailergenre.base.records import INCEPTION_V3_FRAME, FrameArray
from trailergenre.features.backbone import Embedder, load_embedder


def main() -> None:
    """Load, warm up, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backbone", type=Path)
    parser.add_argument("--engine", choices=["onnxruntime", "tensorflow"], default="onnxruntime")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="gpu")
    parser.add_argument("--address", help="index of the GPU")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--mixed", action="store_true", help="float16, TensorFlow only")
    parser.add_argument("--batches", type=int, default=16, help="batches a call")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    config = BackboneConfig(
        path=str(options.backbone),
        engine=options.engine,
        device=options.device,
        batch_size=options.batch_size,
        mixed_precision=options.mixed,
    )
    embedder = load_embedder(config, address=options.address)
    frames = _frames(options.batch_size * options.batches)
    embedder.embed(frames)
    seconds = [_measure(embedder, frames) for _ in range(options.runs)]
    print(
        json.dumps(
            {
                "frames_per_s": round(len(frames) / statistics.median(seconds), 1),
                "runs": [round(len(frames) / run_s, 1) for run_s in seconds],
                "frames": len(frames),
                "engine": f"{embedder.engine} {embedder.version}",
                "device": embedder.device,
                "batch_size": options.batch_size,
                "precision": "mixed_float16" if options.mixed else embedder.manifest.precision,
                "network": embedder.manifest.network,
                "machine": platform.platform(),
            }
        )
    )


def _frames(n: int) -> FrameArray:
    """Noise: speed does not depend on what is shown."""
    shape = (n, *INCEPTION_V3_FRAME.shape)
    return np.random.default_rng(7).integers(0, 256, shape, np.uint8)


def _measure(embedder: Embedder, frames: FrameArray) -> float:
    started = time.perf_counter()
    embedder.embed(frames)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

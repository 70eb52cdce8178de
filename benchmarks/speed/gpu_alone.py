"""B11: the embedder alone on a GPU; only where one is at hand, and asked for by name."""

from __future__ import annotations

from collections.abc import Collection

from speed.children import run_alone
from speed.findings import Finding, Findings
from speed.inputs import Inputs

BATCH_SIZE = 256


def measure_gpu(
    inputs: Inputs, wanted: Collection[str], *, device: str = "gpu", batch_size: int = BATCH_SIZE
) -> Findings:
    """Embed noise by TensorFlow in mixed precision, uint8 in host memory to float32 out.

    Args:
        inputs: where the network comes from.
        wanted: B11.
        device: cpu shows that it runs.
        batch_size: frames a call of the network.
    """
    options = ("--engine", "tensorflow", "--device", device, "--mixed", "--batch-size", batch_size)
    found = run_alone("gpu", inputs.fp32, *options)
    what = "frames/s of the embedder alone, mixed float16"
    return {"B11": Finding(what, found["runs"], 10_000, 10_000, figures=found)}

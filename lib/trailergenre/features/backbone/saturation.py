"""Whether an engine computes int8 networks with 8-bit weights exactly on this CPU.

CPUs without VNNI (on ARM: dot products) add two products of 8 bits in 16, which saturates: the
features would be other ones, in silence. saturation.onnx is one quantized convolution of largest
values, so what it gives says more than a list of CPUs.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.base.onnx_session import open_session, run_session
from trailergenre.features.backbone.artefact import BackboneManifest

PROBE = resources.files(__package__).joinpath("saturation.onnx")  # the package may be a zip
SHAPE = (1, 64, 8, 8)
"""Of its input, with which all values are 255; all weights are 127."""

Run = Callable[[bytes, NDArray[np.float32]], NDArray[np.float32]]
"""Runs an ONNX file on one input and gives its output."""


def check_arithmetic(manifest: BackboneManifest, engine: str, run: Run) -> None:
    """Raise a ConfigError if `run` of an engine gives wrong features of an int8 network here."""
    calibration = manifest.calibration
    if calibration is None or calibration.weight_bits < 8 or is_exact(run):
        return
    raise ConfigError(
        f"The backbone is int8 with 8-bit weights, and {engine} computes it wrongly on this "
        "processor, which has no VNNI: its features would not be those of other machines.",
        "Export it again on such a machine, where it takes 7-bit weights if they are accurate "
        "enough, or use --precision fp32.",
    )


def is_exact(run: Run) -> bool:
    """Whether sums of products of 8 bits do not saturate."""
    output = run(PROBE.read_bytes(), np.full(SHAPE, 255, np.float32))
    exact = 255 * 127 * SHAPE[1]
    # The output has 8 bits, too; a saturated one is half as large.
    return bool(np.abs(output - exact).max() < 0.01 * exact)


def run_onnxruntime(content: bytes, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run a network by ONNX Runtime; a `Run`."""
    return run_session(open_session(content, threads=1), {"x": values})

"""OpenVINO: another engine for CPUs, which is faster at int8 where they have VNNI or AMX.

The output is bit-identical over batch sizes and thread counts. Its int8 features are not those of
ONNX Runtime, since each rounds between the layers in its own way, so they are another precision.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ConfigError, WeightsError, one_line
from trailergenre.base.onnx_session import open_session
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.features.backbone.artefact import (
    EXPORT_AGAIN,
    ONNX_FILE,
    BackboneManifest,
    read_file,
)
from trailergenre.features.backbone.embedder import check_frames, join_features
from trailergenre.features.backbone.onnx_engine import load_network
from trailergenre.features.backbone.saturation import check_arithmetic

_TELEMETRY = "openvino_telemetry"


class OpenVinoEmbedder:
    """`embedder.Embedder` over OpenVINO's CPU plugin."""

    engine = "openvino"
    device = "cpu"

    def __init__(self, directory: Path, manifest: BackboneManifest, config: BackboneConfig) -> None:
        """Load the network; `config` says with how many threads it runs."""
        openvino = import_openvino()
        # OpenVINO would read weights in other files; ONNX Runtime refuses them.
        load_network(directory, manifest, partial(open_session, threads=1))
        content = read_file(directory, manifest, ONNX_FILE)
        self.manifest = manifest
        self.version = openvino.__version__.partition("-")[0]
        try:
            model = openvino.Core().read_model(content)
            network = openvino.compile_model(model, "CPU", _settings(config.threads))
        except RuntimeError as error:
            raise WeightsError(
                f"OpenVINO cannot load {directory / ONNX_FILE}: {one_line(str(error))}.",
                EXPORT_AGAIN,
            ) from error
        check_arithmetic(manifest, "OpenVINO", partial(_run, openvino))
        self._request = network.create_infer_request()
        self._batch_size = config.batch_size

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Compute the features of frames; see `Embedder.embed`."""
        check_frames(frames, self.manifest)
        parts = [
            self._request.infer([frames[start : start + self._batch_size]], share_inputs=True)[0]
            for start in range(0, len(frames), self._batch_size)
        ]
        return join_features(parts, self.manifest)


def _run(
    openvino: Any,  # noqa: ANN401 - no type stubs
    content: bytes,
    values: NDArray[np.float32],
) -> NDArray[np.float32]:
    model = openvino.Core().read_model(content)
    network = openvino.compile_model(model, "CPU", _settings(threads=1))
    output: NDArray[np.float32] = network([values])[0]
    return output


def _settings(threads: int) -> dict[str, Any]:
    return {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        # Else the tasks of one machine would all bind themselves to its first cores.
        "ENABLE_CPU_PINNING": False,
        # Else CPUs with bfloat16 would use it.
        "INFERENCE_PRECISION_HINT": "f32",
    }


def import_openvino() -> Any:  # noqa: ANN401 - no type stubs
    """Import OpenVINO; without this, it would report to its maker that it was imported.

    A ConfigError if it is not installed.
    """
    telemetry = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # so importing it fails
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            "backbone.engine = openvino needs OpenVINO.",
            "Install it: pip install 'trailergenre[openvino]', or set backbone.engine = "
            "onnxruntime.",
        ) from error
    finally:
        del sys.modules[_TELEMETRY]
        if telemetry is not None:
            sys.modules[_TELEMETRY] = telemetry
    return openvino

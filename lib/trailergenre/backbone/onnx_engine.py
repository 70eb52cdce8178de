"""ONNX Runtime: the engine for CPUs. Output is bit-identical over batch sizes and thread counts."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as refusals

from trailergenre.backbone.artefact import ONNX_FILE, BackboneManifest, read_file
from trailergenre.backbone.embedder import check_frames, no_features
from trailergenre.config import BackboneConfig
from trailergenre.errors import WeightsError
from trailergenre.records import FRAME_SIDE_PX, N_FEATURES, FeatureArray, FrameArray

_EXTERNAL_WEIGHTS = "session.model_external_initializers_file_folder_path"
_FATAL = 4
_REFUSALS = (
    refusals.Fail,
    refusals.InvalidArgument,
    refusals.InvalidGraph,
    refusals.InvalidProtobuf,
    refusals.NoModel,
    refusals.NoSuchFile,
    refusals.NotImplemented,
    refusals.RuntimeException,
)
"""ONNX Runtime's exceptions have no common class but Exception."""

_INPUT = ("tensor(uint8)", [FRAME_SIDE_PX, FRAME_SIDE_PX, 3])
_OUTPUT = ("tensor(float)", [N_FEATURES])


class OnnxEmbedder:
    """`embedder.Embedder` over ONNX Runtime's CPU provider."""

    engine = "onnxruntime"
    device = "cpu"

    def __init__(self, directory: Path, manifest: BackboneManifest, config: BackboneConfig) -> None:
        """Load `network.onnx` after checking its hash."""
        self.manifest = manifest
        self.version = str(onnxruntime.__version__)
        self._batch_size = config.batch_size
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = config.threads
        options.inter_op_num_threads = 1
        # A network may name files to take weights from; below this, none can be.
        options.add_session_config_entry(_EXTERNAL_WEIGHTS, f"{os.devnull}/none")
        options.log_severity_level = _FATAL  # what goes wrong is raised, and told once
        content = read_file(directory, manifest, ONNX_FILE)
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except _REFUSALS as error:
            raise WeightsError(
                f"{directory / ONNX_FILE} cannot be loaded: {error}. Export it again."
            ) from error
        _check_interface(self._session, directory / ONNX_FILE)
        self._input = self._session.get_inputs()[0].name

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Turn frames into features; the contract of `Embedder.embed`."""
        check_frames(frames)
        parts = [
            self._session.run(None, {self._input: frames[start : start + self._batch_size]})[0]
            for start in range(0, len(frames), self._batch_size)
        ]
        return np.concatenate(parts) if parts else no_features()


def _check_interface(session: onnxruntime.InferenceSession, path: Path) -> None:
    """Refuse a network that does not take frames and give features."""
    found = [
        [(end.type, end.shape[1:]) for end in ends]
        for ends in (session.get_inputs(), session.get_outputs())
    ]
    if found != [[_INPUT], [_OUTPUT]]:
        raise WeightsError(
            f"{path} does not turn frames into features: expected {_INPUT} to {_OUTPUT} for each "
            f"frame, received {found[0]} to {found[1]}. Export it again."
        )

"""ONNX Runtime: the engine for CPUs. Output is bit-identical over batch sizes and thread counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime

from trailergenre.backbone.artefact import ONNX_FILE, BackboneManifest, check_file
from trailergenre.backbone.embedder import check_frames, no_features
from trailergenre.config import BackboneConfig
from trailergenre.records import FeatureArray, FrameArray


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
        path = check_file(directory, manifest, ONNX_FILE)
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Turn frames into features; the contract of `Embedder.embed`."""
        check_frames(frames)
        parts = [
            self._session.run(None, {self._input: frames[start : start + self._batch_size]})[0]
            for start in range(0, len(frames), self._batch_size)
        ]
        return np.concatenate(parts) if parts else no_features()

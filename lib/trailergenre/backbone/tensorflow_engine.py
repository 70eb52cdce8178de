"""TensorFlow through Keras: the engine for GPU nodes, and where Keras is wanted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trailergenre.backbone.artefact import BackboneManifest, read_checked_weights
from trailergenre.backbone.embedder import check_frames, no_features
from trailergenre.config import BackboneConfig
from trailergenre.errors import ConfigError, WeightsError
from trailergenre.floors import check_floors
from trailergenre.records import FeatureArray, FrameArray


class TensorFlowEmbedder:
    """`embedder.Embedder` over a compiled Keras model with a fixed batch size."""

    engine = "tensorflow"

    def __init__(self, directory: Path, manifest: BackboneManifest, config: BackboneConfig) -> None:
        """Build the network in code and give it the artefact's arrays."""
        try:
            import tensorflow
        except ImportError as error:
            raise ConfigError(
                "backbone.engine = tensorflow needs TensorFlow: pip install 'trailergenre"
                "[tensorflow]', or set backbone.engine = onnxruntime."
            ) from error
        check_floors("keras")
        from trailergenre.backbone.networks import build_network

        gpus = tensorflow.config.list_physical_devices("GPU")
        if config.device == "gpu" and not gpus:
            raise ConfigError(
                "backbone.device = gpu, but TensorFlow sees none. Check the driver and "
                "CUDA_VISIBLE_DEVICES, or set backbone.device = cpu."
            )
        self.manifest = manifest
        self.device: str = config.device
        self.version = str(tensorflow.__version__)
        self._batch_size = config.batch_size
        self._model = build_network(manifest.network)
        try:
            self._model.set_weights(read_checked_weights(directory, manifest))
        except ValueError as error:
            raise WeightsError(
                f"The weights in {directory} do not fit {manifest.network}: {error}"
            ) from error
        self._place = "/GPU:0" if config.device == "gpu" else "/CPU:0"
        self._tensorflow = tensorflow
        self._call = tensorflow.function(lambda frames: self._model(frames, training=False))

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Turn frames into features; the contract of `Embedder.embed`."""
        check_frames(frames)
        parts = [
            self._embed_batch(frames[start : start + self._batch_size])
            for start in range(0, len(frames), self._batch_size)
        ]
        return np.concatenate(parts) if parts else no_features()

    def _embed_batch(self, frames: FrameArray) -> FeatureArray:
        # One shape for every call: another would compile the function again.
        padding = self._batch_size - len(frames)
        padded = np.pad(frames, ((0, padding), (0, 0), (0, 0), (0, 0)))
        with self._tensorflow.device(self._place):
            features = self._call(padded).numpy()
        return np.asarray(features[: len(frames)], np.float32)

"""TensorFlow through Keras: the engine for GPU nodes, and where Keras is wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ConfigError, WeightsError, one_line
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.base.versions import check_minimum_versions
from trailergenre.features.backbone.artefact import BackboneManifest, read_checked_weights
from trailergenre.features.backbone.embedder import GPU_IN_FLIGHT, FixedBatches


class TensorFlowEmbedder:
    """`embedder.Embedder` over a compiled Keras model with a fixed batch size."""

    engine = "tensorflow"

    def __init__(
        self, directory: Path, manifest: BackboneManifest, config: BackboneConfig, *, device_id: int
    ) -> None:
        """Build the network in code and give it the artefact's arrays."""
        try:
            import tensorflow
        except ImportError as error:
            raise ConfigError(
                "backbone.engine = tensorflow needs TensorFlow.",
                "Install it: pip install 'trailergenre[tensorflow]', or set backbone.engine = "
                "onnxruntime.",
            ) from error
        check_minimum_versions("keras")
        is_gpu = config.device == "gpu"
        if is_gpu:
            take_gpu(tensorflow.config, device_id)
        self.manifest = manifest
        self.device: str = config.device
        self.version = str(tensorflow.__version__)
        # A GPU that was taken is the only one that TensorFlow sees, so its number is 0.
        self._place = "GPU:0" if is_gpu else "CPU:0"
        self._tensorflow = tensorflow
        with tensorflow.device(self._place):
            model = _load_network(directory, manifest, is_mixed=config.mixed_precision)
        self._call = tensorflow.function(lambda frames: model(frames, training=False))
        self._batches = FixedBatches(
            self._embed_batch,
            manifest,
            size=config.batch_size,
            in_flight=GPU_IN_FLIGHT if is_gpu else 1,
        )

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Compute the features of frames; see `Embedder.embed`."""
        return self._batches.embed(frames)

    def _embed_batch(self, frames: FrameArray) -> FeatureArray:
        try:
            with self._tensorflow.device(self._place):
                features = self._call(frames)
            values = features.numpy()
        except self._tensorflow.errors.ResourceExhaustedError as error:
            raise MemoryError(one_line(str(error))) from error
        if not features.device.endswith(self._place):
            raise ConfigError(
                f"backbone.device = {self.device}, but TensorFlow ran the network on "
                f"{features.device}.",
                "Check the driver and CUDA_VISIBLE_DEVICES.",
            )
        return np.asarray(values, np.float32)


def _load_network(directory: Path, manifest: BackboneManifest, *, is_mixed: bool) -> Any:  # noqa: ANN401 - Keras has no type stubs
    from trailergenre.features.backbone.networks import build_mixed_network, build_network

    model = (build_mixed_network if is_mixed else build_network)(manifest.network)
    try:
        model.set_weights(read_checked_weights(directory, manifest))
    except ValueError as error:
        raise WeightsError(
            f"The weights in {directory} do not fit {manifest.network}: {error}"
        ) from error
    return model


def take_gpu(settings: Any, device_id: int) -> None:  # noqa: ANN401 - no type stubs
    """Make one GPU the only one of this process, its memory growing as it is needed.

    `settings` is `tensorflow.config`. A ConfigError if TensorFlow finds no GPU of this index, or
    the process has another one already.
    """
    gpus = settings.list_physical_devices("GPU")
    if device_id >= len(gpus):
        raise ConfigError(
            f"backbone.device = gpu, but TensorFlow finds no GPU {device_id}; it finds "
            f"{len(gpus)}.",
            "Check the driver and CUDA_VISIBLE_DEVICES, or set backbone.device = cpu.",
        )
    gpu = gpus[device_id]
    # float32 means float32: TF32 keeps 10 of its 23 bits.
    settings.experimental.enable_tensor_float_32_execution(False)
    try:
        settings.set_visible_devices([gpu], "GPU")
        settings.experimental.set_memory_growth(gpu, True)
    except RuntimeError as error:
        raise ConfigError(
            f"This process cannot take GPU {device_id}: {error}. One process serves one GPU; "
            "start another."
        ) from error

"""ONNX Runtime: the engine for CPUs, and for GPUs where its CUDA build is installed.

On a CPU the output is bit-identical over batch sizes and thread counts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnxruntime

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import WeightsError
from trailergenre.base.onnx_session import (
    Session,
    open_gpu_session,
    open_session,
    run_bound,
    session_ends,
)
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.features.backbone.artefact import (
    EXPORT_AGAIN,
    ONNX_FILE,
    BackboneManifest,
    read_file,
)
from trailergenre.features.backbone.embedder import (
    GPU_IN_FLIGHT,
    FixedBatches,
    check_frames,
    join_features,
)
from trailergenre.features.backbone.saturation import check_arithmetic, run_onnxruntime


class OnnxEmbedder:
    """`embedder.Embedder` over ONNX Runtime's CPU provider."""

    engine = "onnxruntime"
    device = "cpu"

    def __init__(self, directory: Path, manifest: BackboneManifest, config: BackboneConfig) -> None:
        """Load the network; `config` says with how many threads it runs."""
        check_arithmetic(manifest, "ONNX Runtime", run_onnxruntime)
        self.manifest = manifest
        self.version = str(onnxruntime.__version__)
        self._batch_size = config.batch_size
        opener = partial(open_session, threads=config.threads)
        self._session, self._input = load_network(directory, manifest, opener)

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Compute the features of frames; see `Embedder.embed`."""
        check_frames(frames, self.manifest)
        parts = [
            self._session.run(None, {self._input: frames[start : start + self._batch_size]})[0]
            for start in range(0, len(frames), self._batch_size)
        ]
        return join_features(parts, self.manifest)


class OnnxGpuEmbedder:
    """`embedder.Embedder` over ONNX Runtime's CUDA provider, with a fixed batch size."""

    engine = "onnxruntime"
    device = "gpu"

    def __init__(
        self, directory: Path, manifest: BackboneManifest, config: BackboneConfig, *, device_id: int
    ) -> None:
        """Load the network; a ConfigError if the GPU cannot be used."""
        self.manifest = manifest
        self.version = str(onnxruntime.__version__)
        opener = partial(open_gpu_session, device_id=device_id)
        session, name = load_network(directory, manifest, opener)
        self._batches = FixedBatches(
            lambda frames: run_bound(session, {name: frames}),
            manifest,
            size=config.batch_size,
            in_flight=GPU_IN_FLIGHT,
        )

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Compute the features of frames; see `Embedder.embed`."""
        return self._batches.embed(frames)


def load_network(
    directory: Path, manifest: BackboneManifest, opener: Callable[[bytes], Session]
) -> tuple[Session, str]:
    """Open the artefact's network, after checking its hash; return also the name of its input.

    A WeightsError if it has weights in other files, or does not turn frames into features.
    """
    path = directory / ONNX_FILE
    try:
        session = opener(read_file(directory, manifest, ONNX_FILE))
    except ValueError as error:
        raise WeightsError(f"{path} cannot be loaded: {error}.", EXPORT_AGAIN) from error
    actual = [[(kind, shape[1:]) for _, kind, shape in ends] for ends in session_ends(session)]
    frame = ("tensor(uint8)", list(manifest.input.shape))
    features = ("tensor(float)", [manifest.output.width])
    if actual != [[frame], [features]]:
        raise WeightsError(
            f"{path} does not turn frames into features: expected {frame} to {features} for each "
            f"frame, received {actual[0]} to {actual[1]}.",
            EXPORT_AGAIN,
        )
    return session, str(session.get_inputs()[0].name)

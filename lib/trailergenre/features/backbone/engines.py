"""Configuration to a loaded network: the choice of the engine."""

from __future__ import annotations

from pathlib import Path

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ConfigError
from trailergenre.features.backbone.artefact import (
    BackboneManifest,
    read_checked_weights,
    read_manifest,
)
from trailergenre.features.backbone.embedder import Embedder

_GPU_BATCHES = 4
"""Batches a call: with one alone nothing could be copied while another is computed."""


def frames_a_call(config: BackboneConfig) -> int:
    """Frames that a call of `Embedder.embed` should bring to keep the device busy."""
    return config.batch_size * (_GPU_BATCHES if config.device == "gpu" else 1)


def check_backbone(config: BackboneConfig) -> BackboneManifest:
    """Read an artefact as a worker would; on a machine that need not have the worker's GPU.

    Raises:
        WeightsError: there is none, or its files are missing, changed, cut or do not fit.
        ConfigError: the engine or device cannot run it.
    """
    directory, manifest = _read(config)
    if config.engine == "tensorflow":
        read_checked_weights(directory, manifest)
    else:
        from trailergenre.features.backbone.onnx_engine import OnnxEmbedder

        OnnxEmbedder(directory, manifest, config)
    return manifest


def load_embedder(config: BackboneConfig, *, address: str | None = None) -> Embedder:
    """Load the network that the configuration names; takes seconds, so do it once a process.

    Args:
        config: engine, device and artefact.
        address: of the GPU that a cluster granted, its index on this machine; None: the first.
            Of no meaning for a CPU.

    Raises:
        WeightsError: there is no artefact or it was changed.
        ConfigError: the engine is not installed, or cannot use the device.
    """
    device_id = _read_address(address)
    directory, manifest = _read(config)
    if config.engine == "tensorflow":
        from trailergenre.features.backbone.tensorflow_engine import TensorFlowEmbedder

        return TensorFlowEmbedder(directory, manifest, config, device_id=device_id)
    from trailergenre.features.backbone.onnx_engine import OnnxEmbedder, OnnxGpuEmbedder

    if config.device == "gpu":
        return OnnxGpuEmbedder(directory, manifest, config, device_id=device_id)
    return OnnxEmbedder(directory, manifest, config)


def _read(config: BackboneConfig) -> tuple[Path, BackboneManifest]:
    directory = Path(config.path).expanduser()
    manifest = read_manifest(directory)
    if manifest.precision == "int8" and (config.engine, config.device) != ("onnxruntime", "cpu"):
        raise ConfigError(
            f"The backbone in {directory} is int8, which runs by backbone.engine = onnxruntime on "
            f"backbone.device = cpu. Received: {config.engine} on {config.device}.",
            "Export one with --precision fp32, or change the configuration.",
        )
    return directory, manifest


def _read_address(address: str | None) -> int:
    if address is None:
        return 0
    if not (address.isascii() and address.isdigit()):
        raise ConfigError(
            f"A GPU's address is its index on the machine: 0, 1, ... Received: {address!r}. "
            "The cluster's discovery script must print indices."
        )
    return int(address)

"""Choice of the engine: from a configuration to a loaded network."""

from __future__ import annotations

from pathlib import Path

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ConfigError, WeightsError
from trailergenre.features.backbone.artefact import (
    EXPORT_AGAIN,
    ONNX_FILE,
    WEIGHTS_FILE,
    BackboneManifest,
    local_backbone,
    read_checked_weights,
    read_manifest,
)
from trailergenre.features.backbone.catalogue import NETWORKS
from trailergenre.features.backbone.embedder import Embedder
from trailergenre.features.backbone.spec import NetworkSpec

_GPU_BATCHES = 4
"""Batches per call: with a single one, nothing is copied while another is computed."""


def frames_a_call(config: BackboneConfig) -> int:
    """Frames per call of `Embedder.embed` that keep the device busy."""
    return config.batch_size * (_GPU_BATCHES if config.device == "gpu" else 1)


def check_backbone(config: BackboneConfig) -> BackboneManifest:
    """Check an artefact as a worker would, on a machine that may lack the worker's GPU."""
    directory, manifest = _read(config)
    if config.engine == "tensorflow":
        read_checked_weights(directory, manifest)
    else:
        _load_on_cpu(directory, manifest, config)
    return manifest


def load_embedder(config: BackboneConfig, *, address: str | None = None) -> Embedder:
    """Load a network; this takes seconds.

    `address` is the index of the GPU that a cluster assigned; None for the first.
    """
    device_id = _read_address(address)
    directory, manifest = _read(config)
    if config.engine == "tensorflow":
        from trailergenre.features.backbone.tensorflow_engine import TensorFlowEmbedder

        return TensorFlowEmbedder(directory, manifest, config, device_id=device_id)
    if config.device == "gpu":
        from trailergenre.features.backbone.onnx_engine import OnnxGpuEmbedder

        return OnnxGpuEmbedder(directory, manifest, config, device_id=device_id)
    return _load_on_cpu(directory, manifest, config)


def _load_on_cpu(directory: Path, manifest: BackboneManifest, config: BackboneConfig) -> Embedder:
    if config.engine == "openvino":
        from trailergenre.features.backbone.openvino_engine import OpenVinoEmbedder

        return OpenVinoEmbedder(directory, manifest, config)
    from trailergenre.features.backbone.onnx_engine import OnnxEmbedder

    return OnnxEmbedder(directory, manifest, config)


def _read(config: BackboneConfig) -> tuple[Path, BackboneManifest]:
    name = WEIGHTS_FILE if config.engine == "tensorflow" else ONNX_FILE
    manifest = read_manifest(local_backbone(config.path))
    if name not in manifest.files:
        raise ConfigError(
            f"The backbone in {config.path} is an ONNX file, which backbone.engine = "
            f"{config.engine} cannot run: it builds networks from their arrays.",
            "Set backbone.engine = onnxruntime or openvino.",
        )
    if config.engine == "tensorflow":
        _check_known(manifest)
    directory = local_backbone(config.path, name)
    if manifest.precision == "int8" and (config.engine == "tensorflow" or config.device == "gpu"):
        raise ConfigError(
            f"The backbone in {directory} is int8, which needs backbone.engine = onnxruntime or "
            f"openvino, and backbone.device = cpu. Received: {config.engine} on {config.device}.",
            "Export one with --precision fp32, or change the configuration.",
        )
    return directory, manifest


def _check_known(manifest: BackboneManifest) -> None:
    """Refuse a network that this version would build otherwise."""
    entry = NETWORKS.get(manifest.network)
    names = set(NetworkSpec.model_fields)
    if entry is None or entry.spec.model_dump() != manifest.model_dump(include=names):
        raise WeightsError(
            f"This version builds no network {manifest.network} with the manifest's input, "
            "preprocessing and output.",
            EXPORT_AGAIN,
        )


def _read_address(address: str | None) -> int:
    if address is None:
        return 0
    if not (address.isascii() and address.isdigit()):
        raise ConfigError(
            f"A GPU's address must be its index on the machine: 0, 1, ... Received: {address!r}. "
            "The cluster's discovery script must print indices."
        )
    return int(address)

"""Configuration to a loaded network: the choice of the engine."""

from __future__ import annotations

from pathlib import Path

from trailergenre.backbone.artefact import (
    BackboneManifest,
    read_checked_weights,
    read_manifest,
)
from trailergenre.backbone.embedder import Embedder
from trailergenre.config import BackboneConfig
from trailergenre.errors import ConfigError


def check_backbone(config: BackboneConfig) -> BackboneManifest:
    """Read an artefact as a worker would; on a machine that need not have the worker's GPU.

    Raises:
        WeightsError: there is none, or its files are missing, changed, cut or do not fit.
    """
    directory = Path(config.path).expanduser()
    manifest = read_manifest(directory)
    if config.engine == "tensorflow":
        read_checked_weights(directory, manifest)
    else:
        from trailergenre.backbone.onnx_engine import OnnxEmbedder

        OnnxEmbedder(directory, manifest, config)
    return manifest


def load_embedder(config: BackboneConfig) -> Embedder:
    """Load the network that the configuration names; takes seconds, so do it once a process.

    Raises:
        WeightsError: there is no artefact or it was changed.
        ConfigError: the engine is not installed, or cannot use the device.
    """
    directory = Path(config.path).expanduser()
    manifest = read_manifest(directory)
    if config.engine == "tensorflow":
        from trailergenre.backbone.tensorflow_engine import TensorFlowEmbedder

        return TensorFlowEmbedder(directory, manifest, config)
    if config.device == "gpu":
        raise ConfigError(
            "backbone.engine = onnxruntime runs on the CPU in this version. "
            "For a GPU set backbone.engine = tensorflow, or backbone.device = cpu."
        )
    from trailergenre.backbone.onnx_engine import OnnxEmbedder

    return OnnxEmbedder(directory, manifest, config)

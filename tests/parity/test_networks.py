"""Keras's other networks: every engine against Keras's own network and `preprocess_input`."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest

from trailergenre.base.config import BackboneConfig, LimitsConfig
from trailergenre.base.sandbox.children import Deadline
from trailergenre.features.backbone import load_embedder, read_manifest
from trailergenre.features.backbone.artefact import read_weights
from trailergenre.features.backbone.catalogue import NETWORKS
from trailergenre.features.backbone.export import export_backbone
from trailergenre.frames.decoder import Decoder

pytestmark = pytest.mark.soak

# As for Inception-V3 (test_backbone.py).
TOLERANCE = 1e-4

MODULES: dict[str, ModuleType] = {
    "resnet50": keras.applications.resnet50,
    "resnet50v2": keras.applications.resnet_v2,
    "efficientnet_v2_s": keras.applications.efficientnet_v2,
    "convnext_tiny": keras.applications.convnext,
    "mobilenet_v3_large": keras.applications.mobilenet_v3,
    "xception": keras.applications.xception,
    "densenet121": keras.applications.densenet,
    "vgg16": keras.applications.vgg16,
}


@pytest.fixture(scope="module", params=MODULES)
def artefact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artefact with random weights; each takes a minute or two."""
    directory = tmp_path_factory.mktemp("network") / request.param
    export_backbone("random", directory, network=request.param)
    return directory


@pytest.fixture(scope="module")
def frames(artefact: Path, data_dir: Path) -> np.ndarray:
    """Two frames of each real clip, in the network's form."""
    decoder = Decoder(read_manifest(artefact).input, 1, LimitsConfig())
    clips = sorted((data_dir / "video").glob("*.mp4"))
    parts = [next(decoder.decode(clip, deadline=Deadline(60)).batches(2)) for clip in clips]
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def network(artefact: Path) -> Any:
    """Keras's own network with its own preprocessing layers, if it has any, and our weights."""
    build = getattr(keras.applications, NETWORKS[artefact.name].keras_name)
    network = build(include_top=False, weights=None, pooling="avg")
    network.set_weights(read_weights((artefact / "weights.safetensors").read_bytes()))
    return network


def plain(network: Any, artefact: Path, frames: np.ndarray) -> np.ndarray:
    preprocess = MODULES[artefact.name].preprocess_input
    return network.predict(preprocess(frames.astype(np.float32)), batch_size=8, verbose=0)


def deviation(received: np.ndarray, expected: np.ndarray) -> float:
    """Largest deviation of a frame, relative to that frame's largest feature."""
    return float((np.abs(received - expected).max(1) / np.abs(expected).max(1)).max())


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "tensorflow"])
def test_engine_equals_plain_keras(
    artefact: Path, network: Any, frames: np.ndarray, engine: str
) -> None:
    config = BackboneConfig(path=str(artefact), engine=engine, batch_size=5)
    features = load_embedder(config).embed(frames)
    assert features.shape == (8, read_manifest(artefact).output.width)
    assert deviation(features, plain(network, artefact, frames)) <= TOLERANCE


def test_wrong_channel_order_and_scaling_would_be_seen(
    artefact: Path, network: Any, frames: np.ndarray
) -> None:
    features = load_embedder(BackboneConfig(path=str(artefact))).embed(frames)
    swapped = np.ascontiguousarray(frames[..., ::-1])
    for wrong in (swapped, frames / 255):
        assert deviation(plain(network, artefact, wrong), features) >= 10 * TOLERANCE

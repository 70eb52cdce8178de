"""The catalogue's networks: their preprocessing, as Keras has it, and their form in an artefact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from backbones import export_tiny
from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ConfigError, WeightsError
from trailergenre.base.native_logs import quiet_keras
from trailergenre.base.onnx_session import open_session
from trailergenre.cli.commands import app
from trailergenre.features.backbone import load_embedder, networks, read_manifest
from trailergenre.features.backbone.artefact import read_weights
from trailergenre.features.backbone.catalogue import NETWORKS, Entry, find_network
from trailergenre.features.backbone.networks import preprocess, random_weights

TOLERANCE = 1e-4
"""Of engine against engine, relative to a frame's largest feature."""

MODULES = {
    "inception_v3": keras.applications.inception_v3,
    "resnet50": keras.applications.resnet50,
    "resnet50v2": keras.applications.resnet_v2,
    "xception": keras.applications.xception,
    "densenet121": keras.applications.densenet,
    "vgg16": keras.applications.vgg16,
}
"""Networks whose preprocessing is a function of Keras; others have it as a layer (tests/parity)."""


def noise(n: int, shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (n, *shape), np.uint8)


@pytest.mark.parametrize("name", MODULES)
def test_preprocessing_is_kerass_own(name: str) -> None:
    frames = noise(2, (9, 7, 3))
    expected = MODULES[name].preprocess_input(frames.astype(np.float32))
    received = preprocess(keras.ops.convert_to_tensor(frames), NETWORKS[name].spec.preprocessing)
    np.testing.assert_allclose(np.asarray(received), expected, rtol=0, atol=1e-4)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network of another size, width and preprocessing than Inception-V3."""
    return export_tiny(tmp_path_factory.mktemp("other") / "tiny", network="tiny_96")


def plain(artefact: Path, frames: np.ndarray, *, channels: int = -1, scale: float = 1 / 255) -> Any:
    """Its features by Keras's operations and numpy alone; or with channels or scale that differ."""
    kernel_1, bias_1, kernel_2, bias_2 = read_weights(
        (artefact / "weights.safetensors").read_bytes()
    )
    pixels = (frames[..., ::channels] * scale - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    x = keras.ops.relu(keras.ops.conv(pixels.astype("f4"), kernel_1, strides=8) + bias_1)
    x = keras.ops.relu(keras.ops.conv(x, kernel_2, strides=8) + bias_2)
    return np.asarray(x).mean((1, 2))


def deviation(received: np.ndarray, expected: np.ndarray) -> float:
    """Largest deviation of a frame, relative to that frame's largest feature."""
    return float((np.abs(received - expected).max(1) / np.abs(expected).max(1)).max())


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "tensorflow"])
def test_a_network_of_another_size_keeps_the_parity_rule(other: Path, engine: str) -> None:
    frames = noise(5, (80, 96, 3))
    embedder = load_embedder(BackboneConfig(path=str(other), engine=engine, batch_size=2))
    features = embedder.embed(frames)
    assert (features.shape, embedder.embed(frames[:0]).shape) == ((5, 64), (0, 64))
    assert deviation(features, plain(other, frames)) <= TOLERANCE
    assert deviation(features, plain(other, frames, channels=1)) >= 10 * TOLERANCE
    assert deviation(features, plain(other, frames, scale=1.0)) >= 10 * TOLERANCE
    for wrong in (frames.transpose(0, 2, 1, 3), noise(1, (299, 299, 3))):
        with pytest.raises(ValueError, match=r"\(n, 80, 96, 3\), RGB\. Received"):
            embedder.embed(wrong)


def test_the_manifest_says_what_the_network_takes_and_gives(other: Path) -> None:
    manifest = read_manifest(other)
    assert manifest.model_dump(include={"network", "input", "output", "source", "license"}) == {
        "network": "tiny_96",
        "input": {"height": 80, "width": 96, "resize": "center-crop"},
        "output": {"name": "avg_pool", "width": 64},
        "source": "random(seed=7)",
        "license": "none: random numbers",
    }
    assert manifest.preprocessing.channels == "BGR"


def test_a_file_that_differs_from_keras_is_no_backbone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_weights(model: Any) -> Any:
        copied = keras.models.clone_model(model)
        random_weights(copied, seed=8)
        return copied

    monkeypatch.setattr(networks, "for_onnx", other_weights)
    with pytest.raises(WeightsError, match=r"exported tiny_96 differs from Keras's by .* 0\.0001"):
        export_tiny(tmp_path / "out", network="tiny_96")
    assert not (tmp_path / "out").exists()


def test_a_convolution_in_groups_and_gelu_are_exported(tmp_path: Path) -> None:
    """As in ConvNeXt, whose export takes minutes."""
    inputs = keras.Input((9, 9, 4))
    body = keras.layers.Conv2D(4, 3, groups=4, padding="same")(inputs)
    body = keras.layers.Activation("gelu")(body)
    body = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(body))
    outer = keras.Input((9, 9, 4))
    model = keras.Model(outer, body(outer))
    random_weights(model, seed=7)
    values = np.random.default_rng(0).normal(size=(2, 9, 9, 4)).astype(np.float32)
    expected, exported = np.asarray(model(values)), networks.for_onnx(model)
    np.testing.assert_allclose(np.asarray(exported(values)), expected, rtol=0, atol=1e-6)
    with quiet_keras():
        exported.export(str(tmp_path / "x.onnx"), format="onnx", verbose=False)
    session = open_session((tmp_path / "x.onnx").read_bytes(), threads=1)
    (received,) = session.run(None, {session.get_inputs()[0].name: values})
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-6)


def test_the_converter_prints_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At a number added to a convolution, as in MobileNetV3, it logs a traceback and goes on."""

    def body(inputs: Any, entry: Entry) -> Any:
        x = keras.layers.ReLU(6.0)(keras.layers.Conv2D(64, 7, strides=8)(inputs) + 3.0)
        return keras.layers.GlobalAveragePooling2D()(x)

    monkeypatch.setattr(networks, "_tiny", body)
    export_tiny(tmp_path / "out", network="tiny_96")
    assert caplog.text == ""


def test_the_command_names_all_networks_and_refuses_others(tmp_path: Path) -> None:
    page = " ".join(CliRunner().invoke(app, ["backbone", "export", "--help"]).output.split())
    public = [name for name, entry in NETWORKS.items() if entry.keras_name]
    assert f"{', '.join(public[:-1])} or {public[-1]}." in page
    with pytest.raises(ConfigError, match="There is no network 'vit'"):
        find_network("vit")


def test_random_weights_of_any_layer_come_from_the_seed() -> None:
    """Keras draws the kernels of dense layers from a generator of its own."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.DepthwiseConv2D(3)(inputs)
    x = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x))
    models = [keras.models.clone_model(keras.Model(inputs, x)) for _ in range(2)]
    for model in models:
        random_weights(model, seed=7)
    for one, other in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_array_equal(one, other)
    # A depthwise kernel has 9 inputs a channel, however many channels there are.
    assert models[0].get_weights()[0].std() == pytest.approx(np.sqrt(2 / 9), rel=0.4)

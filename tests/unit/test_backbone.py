from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backbones import export_tiny
from trailergenre.backbone import load_embedder, read_manifest
from trailergenre.backbone.artefact import compute_backbone_id
from trailergenre.backbone.export import export_backbone
from trailergenre.config import BackboneConfig
from trailergenre.errors import ConfigError, WeightsError

ENGINES = ["onnxruntime", "tensorflow"]


def frames(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 299, 299, 3), np.uint8)


@pytest.mark.parametrize("engine", ENGINES)
def test_row_i_belongs_to_frame_i(tiny_backbone: Path, engine: str) -> None:
    embedder = load_embedder(BackboneConfig(path=str(tiny_backbone), engine=engine, batch_size=3))
    several = frames(7)
    features = embedder.embed(several)
    assert features.shape == (7, 2048)
    alone = np.concatenate([embedder.embed(several[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(features, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_frames_give_no_features(tiny_backbone: Path, engine: str) -> None:
    embedder = load_embedder(BackboneConfig(path=str(tiny_backbone), engine=engine))
    assert embedder.embed(frames(0)).shape == (0, 2048)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "wrong",
    [np.zeros((1, 299, 299, 3), np.float32), np.zeros((1, 3, 299, 299), np.uint8)],
    ids=["float", "channels first"],
)
def test_other_arrays_are_refused_by_name(
    tiny_backbone: Path, engine: str, wrong: np.ndarray
) -> None:
    embedder = load_embedder(BackboneConfig(path=str(tiny_backbone), engine=engine))
    with pytest.raises(ValueError, match="Received"):
        embedder.embed(wrong)


def test_same_seed_is_same_identity_and_another_seed_another(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    own = read_manifest(tiny_backbone).backbone_id
    assert read_manifest(export_tiny(tmp_path / "same")).backbone_id == own
    assert read_manifest(export_tiny(tmp_path / "other", seed=8)).backbone_id != own


def test_identity_does_not_depend_on_the_order_of_arrays() -> None:
    a, b = np.ones((2, 3), np.float32), np.zeros((3, 2), np.float32)
    assert compute_backbone_id("n", [a, b]) == compute_backbone_id("n", [b, a])
    assert compute_backbone_id("n", [a, b]) != compute_backbone_id("n", [a.T.copy(), b])


def test_missing_artefact_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="trailergenre backbone export"):
        load_embedder(BackboneConfig(path=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("engine", "name"), [("onnxruntime", "network.onnx"), ("tensorflow", "weights.npz")]
)
def test_changed_file_is_refused_with_its_hash(tmp_path: Path, engine: str, name: str) -> None:
    directory = export_tiny(tmp_path / "tiny")
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_embedder(BackboneConfig(path=str(directory), engine=engine))


def test_onnxruntime_on_a_gpu_is_refused(tiny_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="tensorflow"):
        load_embedder(BackboneConfig(path=str(tiny_backbone), device="gpu"))


def test_gpu_that_is_not_there_is_no_silent_cpu(tiny_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="device = gpu"):
        load_embedder(BackboneConfig(path=str(tiny_backbone), engine="tensorflow", device="gpu"))


def test_imagenet_without_a_network_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def refuse(*_: object, **__: object) -> None:
        raise OSError("URL fetch failure")

    monkeypatch.setattr(keras.applications, "InceptionV3", refuse)
    with pytest.raises(WeightsError, match="--weights PATH"):
        export_backbone("imagenet", tmp_path / "x", network="tiny")
    assert not (tmp_path / "x").exists()


def test_somebody_elses_directory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not a backbone"):
        export_tiny(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_artefact_is_replaced(tmp_path: Path) -> None:
    first = read_manifest(export_tiny(tmp_path / "tiny"))
    assert read_manifest(export_tiny(tmp_path / "tiny", seed=8)).backbone_id != first.backbone_id

"""Every engine against plain Keras: `preprocess_input`, then `predict`; and int8 against fp32."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import shared_inception
from trailergenre.base.config import BackboneConfig, Config, LimitsConfig
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.storage import hash_file
from trailergenre.features.backbone import load_embedder, read_manifest, weight_rounding
from trailergenre.features.backbone.artefact import read_weights, write_manifest
from trailergenre.features.backbone.export import export_backbone
from trailergenre.features.backbone.int8 import (
    MAX_RMS_SHARE,
    MIN_COSINE,
    compare_with_fp32,
    quantize_network,
)
from trailergenre.features.representative_frames import read_representative_frames
from trailergenre.frames.decoder import Decoder

pytestmark = pytest.mark.slow

# float32 sums in another order; relative to a frame's largest feature.
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_inception(tmp_path_factory).out


@pytest.fixture(scope="module")
def frames(data_dir: Path) -> np.ndarray:
    """Two frames of each real clip, uint8 RGB."""
    decoder = Decoder(FORM, 1, LimitsConfig())
    clips = sorted((data_dir / "video").glob("*.mp4"))
    parts = [next(decoder.decode(clip, deadline=Deadline(60)).batches(2)) for clip in clips]
    return np.concatenate(parts)


@pytest.fixture(scope="module")
def network(artefact: Path) -> Any:
    """Keras's own network, without preprocessing."""
    import keras

    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    network.set_weights(read_weights((artefact / "weights.safetensors").read_bytes()))
    return network


@pytest.fixture(scope="module")
def plain_keras(network: Any, frames: np.ndarray) -> np.ndarray:
    """Features by Keras alone, with its own preprocessing."""
    import keras

    pixels = keras.applications.inception_v3.preprocess_input(frames.astype(np.float32))
    return network.predict(pixels, batch_size=8, verbose=0)


def deviation(received: np.ndarray, expected: np.ndarray) -> float:
    """Largest deviation of a frame, relative to that frame's largest feature."""
    return float((np.abs(received - expected).max(1) / np.abs(expected).max(1)).max())


def embed(artefact: Path, frames: np.ndarray, engine: str = "onnxruntime") -> np.ndarray:
    config = BackboneConfig(path=str(artefact), engine=engine, batch_size=5)
    return load_embedder(config).embed(frames)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "tensorflow"])
def test_engine_equals_plain_keras(
    artefact: Path, frames: np.ndarray, plain_keras: np.ndarray, engine: str
) -> None:
    features = embed(artefact, frames, engine)
    assert features.shape == (8, 2048)
    assert features.dtype == np.float32
    assert deviation(features, plain_keras) <= TOLERANCE


def test_bgr_would_be_seen(artefact: Path, frames: np.ndarray, plain_keras: np.ndarray) -> None:
    swapped = np.ascontiguousarray(frames[..., ::-1])
    assert deviation(embed(artefact, swapped), plain_keras) >= 10 * TOLERANCE


def test_an_artefact_without_scaling_would_be_seen(
    artefact: Path, network: Any, frames: np.ndarray
) -> None:
    unscaled = network.predict(frames.astype(np.float32), batch_size=8, verbose=0)
    # Relative to ours: a black frame unscaled is all zeros, and so are its features.
    assert deviation(unscaled, embed(artefact, frames)) >= 10 * TOLERANCE


def test_batch_size_does_not_change_a_bit(artefact: Path, frames: np.ndarray) -> None:
    whole = load_embedder(BackboneConfig(path=str(artefact), batch_size=16)).embed(frames)
    np.testing.assert_array_equal(embed(artefact, frames), whole)


def test_threads_do_not_change_a_bit(artefact: Path, frames: np.ndarray) -> None:
    two = load_embedder(BackboneConfig(path=str(artefact), batch_size=5, threads=2)).embed(frames)
    np.testing.assert_array_equal(embed(artefact, frames), two)


def test_a_keras_weights_file_gives_its_own_weights_and_the_same_identity(
    artefact: Path, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    path = tmp_path / "notop.weights.h5"
    network.save_weights(path)
    # The network of these weights is exported once a session, for it takes half a minute.
    monkeypatch.setattr(
        keras.Model,
        "export",
        lambda self, target, **_: shutil.copyfile(artefact / "network.onnx", target),
    )
    again, before = export_backbone(str(path), tmp_path / "from-file"), read_manifest(artefact)
    assert again.source == path.name
    assert (again.backbone_id, again.files) == (before.backbone_id, before.files)


@pytest.fixture(scope="module")
def clips(data_dir: Path) -> list[np.ndarray]:
    """A frame a second of each real clip, ten at most, uint8 RGB."""
    return [
        frames[:10] for frames in read_representative_frames(data_dir / "video", Config(), FORM)
    ]


@pytest.fixture(scope="module")
def int8(artefact: Path, clips: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `backbone export --precision int8` writes; Keras's part of it is done once."""
    directory = shutil.copytree(artefact, tmp_path_factory.mktemp("int8") / "inception")
    manifest, network = read_manifest(directory), directory / "network.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_rounding, "MAX_FRAMES", 4)  # each takes seconds
        calibration = quantize_network(network, clips, weights="random", on_step=lambda *_: None)
    files = manifest.files | {network.name: hash_file(network)}
    update = {"precision": "int8", "calibration": calibration, "files": files}
    write_manifest(directory, manifest.model_copy(update=update))
    return directory


def test_int8_is_near_fp32_on_other_frames_than_its_representative_ones(int8: Path) -> None:
    found = read_manifest(int8).calibration
    assert found is not None
    assert (found.n_judged, found.is_held_out) == (20, True)
    # Features of random weights differ little from frame to frame, so that
    # the same errors weigh more than they would on trained ones.
    assert found.cosine_p1 >= MIN_COSINE
    assert found.rms_share <= MAX_RMS_SHARE


def test_int8_by_openvino_is_near_fp32_too(
    artefact: Path, int8: Path, clips: list[np.ndarray]
) -> None:
    seen, unseen = np.concatenate(clips[::2]), np.concatenate(clips[1::2])
    fp32 = embed(artefact, unseen, "openvino")
    mean = embed(artefact, seen, "openvino").mean(0)
    cosine, rms = compare_with_fp32(fp32, embed(int8, unseen, "openvino"), mean)
    assert cosine >= MIN_COSINE
    assert rms <= MAX_RMS_SHARE


def test_int8_is_the_same_to_the_bit_for_all_batch_sizes_and_threads(
    int8: Path, clips: list[np.ndarray]
) -> None:
    frames = np.concatenate(clips)[:33]
    cases = [(33, 32, 1), (33, 32, 2), (33, 8, 2), (9, 8, 1), (9, 1, 1), (9, 1, 2)]
    first, *others = (
        load_embedder(BackboneConfig(path=str(int8), batch_size=size, threads=threads)).embed(
            frames[:n]
        )
        for n, size, threads in cases
    )
    for other in others:
        np.testing.assert_array_equal(other, first[: len(other)])

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from backbones import export_tiny, frames_of
from trailergenre.base.config import BackboneConfig, Config
from trailergenre.base.errors import ConfigError, ForeignFileError, WeightsError
from trailergenre.base.records import FrameForm
from trailergenre.features.backbone import check_backbone, load_embedder, read_manifest
from trailergenre.features.backbone.artefact import _check_out, read_weights, write_manifest
from trailergenre.features.backbone.export import export_backbone
from trailergenre.features.backbone.spec import (
    INCEPTION_V3,
    NetworkSpec,
    Output,
    Preprocessing,
    compute_backbone_id,
    hash_weights,
)
from trailergenre.features.settings import feature_settings

ENGINES = ["onnxruntime", "openvino", "tensorflow"]


@pytest.mark.parametrize("engine", ENGINES)
def test_row_i_belongs_to_frame_i(tiny_backbone: Path, engine: str) -> None:
    embedder = load_embedder(BackboneConfig(path=str(tiny_backbone), engine=engine, batch_size=3))
    several = frames_of(7)
    features = embedder.embed(several)
    assert features.shape == (7, 2048)
    alone = np.concatenate([embedder.embed(several[i : i + 1]) for i in range(7)])
    np.testing.assert_allclose(features, alone, rtol=1e-5, atol=1e-6)


def test_engines_agree(tiny_backbone: Path) -> None:
    frames = frames_of(5)
    first, *others = (
        load_embedder(BackboneConfig(path=str(tiny_backbone), engine=engine)).embed(frames)
        for engine in ENGINES
    )
    for other in others:
        np.testing.assert_allclose(other, first, rtol=0, atol=1e-4 * first.max())


def test_openvino_gives_the_same_bits_for_all_batch_sizes_and_threads(tiny_backbone: Path) -> None:
    first, *others = (
        load_embedder(
            BackboneConfig(
                path=str(tiny_backbone), engine="openvino", batch_size=size, threads=threads
            )
        ).embed(frames_of(5))
        for size, threads in [(1, 1), (3, 1), (8, 2)]
    )
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_openvino_that_is_not_installed_is_named(
    tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"needs OpenVINO.*trailergenre\[openvino\]"):
        check_backbone(BackboneConfig(path=str(tiny_backbone), engine="openvino"))


@pytest.mark.parametrize("engine", ENGINES)
def test_no_frames_give_no_features(tiny_backbone: Path, engine: str) -> None:
    embedder = load_embedder(BackboneConfig(path=str(tiny_backbone), engine=engine))
    assert embedder.embed(frames_of(0)).shape == (0, 2048)


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
    assert id_of(INCEPTION_V3, [a, b]) == id_of(INCEPTION_V3, [b, a])
    assert id_of(INCEPTION_V3, [a, b]) != id_of(INCEPTION_V3, [a.T.copy(), b])


def id_of(spec: NetworkSpec, arrays: list[np.ndarray]) -> str:
    return compute_backbone_id(spec, hash_weights(arrays))


def test_what_decides_the_features_decides_the_identity() -> None:
    values = INCEPTION_V3.model_dump()
    specs = [
        values,
        values | {"network": "other"},
        values | {"input": FrameForm(299, 299, "center-crop")},
        values | {"input": FrameForm(299, 298)},
        values | {"input": FrameForm(298, 299)},
        values | {"preprocessing": Preprocessing(channels="BGR", scale=1 / 127.5, mean=(1, 1, 1))},
        values | {"preprocessing": Preprocessing(scale=1 / 128, mean=(1, 1, 1))},
        values | {"preprocessing": Preprocessing(scale=1 / 127.5, mean=(1, 1, 0))},
        values | {"output": Output(name="other", width=2048)},
        values | {"output": Output(name="avg_pool", width=2047)},
    ]
    ids = {compute_backbone_id(NetworkSpec.model_validate(each), ["a"]) for each in specs}
    assert len(ids) == len(specs)


def test_features_that_exist_keep_their_identity(tiny_backbone: Path) -> None:
    """Ids that an earlier version wrote, before other networks than Inception-V3 could be taken."""
    config = Config(backbone=BackboneConfig(path=str(tiny_backbone)))
    manifest = read_manifest(tiny_backbone)
    assert manifest.backbone_id == (
        "f166c31052dd9bd8fd32105ca82f60c10447df8883bb6c858fe0771ba20d4228"
    )
    settings = replace(feature_settings(config, manifest), ffmpeg_major=7)
    assert (settings.fingerprint, settings.frames_key, settings.videos_key) == (
        "efa5a8b21ee91c4d",
        "356f8cae1278755c",
        "f66a39e6bbd31ca7",
    )


def test_missing_artefact_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="trailergenre backbone export"):
        load_embedder(BackboneConfig(path=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("engine", "name"), [("onnxruntime", "network.onnx"), ("tensorflow", "weights.safetensors")]
)
def test_changed_file_is_refused_with_its_hash(tmp_path: Path, engine: str, name: str) -> None:
    directory = export_tiny(tmp_path / "tiny")
    content = bytearray((directory / name).read_bytes())
    content[len(content) // 2] ^= 1
    (directory / name).write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_embedder(BackboneConfig(path=str(directory), engine=engine))


def with_manifest(directory: Path, **changes: object) -> Path:
    manifest = read_manifest(directory)
    write_manifest(directory, manifest.model_copy(update=changes))
    return directory


def with_file(directory: Path, name: str, content: bytes) -> Path:
    """Replace a file, with its right checksum in the manifest."""
    (directory / name).write_bytes(content)
    files = read_manifest(directory).files | {name: hashlib.sha256(content).hexdigest()}
    return with_manifest(directory, files=files)


def as_file(arrays: list[np.ndarray]) -> bytes:
    return save({f"{place:04d}": array for place, array in enumerate(arrays)})


@pytest.fixture
def artefact(tiny_backbone: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_backbone, tmp_path / "copy"))


@pytest.mark.parametrize(
    ("engine", "name"), [("onnxruntime", "network.onnx"), ("tensorflow", "weights.safetensors")]
)
@pytest.mark.parametrize("n_bytes", [0, 5000, None])
def test_cut_and_missing_files_are_refused_before_any_work(
    artefact: Path, engine: str, name: str, n_bytes: int | None
) -> None:
    config = BackboneConfig(path=str(artefact), engine=engine)
    assert check_backbone(config) == read_manifest(artefact)
    content = (artefact / name).read_bytes()
    (artefact / name).unlink()
    if n_bytes is not None:
        (artefact / name).write_bytes(content[:n_bytes])
        received = hashlib.sha256(content[:n_bytes]).hexdigest()
        expected = hashlib.sha256(content).hexdigest()
    with pytest.raises(WeightsError, match=name) as refused:
        check_backbone(config)
    if n_bytes is not None:
        assert received in str(refused.value)
        assert expected in str(refused.value)


def change_shape(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [arrays[0][:-1], *arrays[1:]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (change_shape, "the manifest says"),
        (lambda arrays: [array + 1 for array in arrays], "the manifest says"),
        (lambda arrays: arrays[:-1], "the manifest says"),
        (lambda arrays: [array.astype(np.float64) for array in arrays], "not float32"),
        (lambda arrays: [array * np.nan for array in arrays], "not finite"),
    ],
)
def test_other_weights_with_the_right_checksum_are_refused(
    artefact: Path, change: Callable[[list[np.ndarray]], list[np.ndarray]], reason: str
) -> None:
    arrays = read_weights((artefact / "weights.safetensors").read_bytes())
    with_file(artefact, "weights.safetensors", as_file(change(arrays)))
    with pytest.raises(WeightsError, match=reason):
        check_backbone(BackboneConfig(path=str(artefact), engine="tensorflow"))


def test_identity_survives_the_way_through_a_weights_file(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    weights = str(tiny_backbone / "weights.safetensors")
    again = export_backbone(weights, tmp_path / "again", network="tiny")
    assert again.backbone_id == read_manifest(tiny_backbone).backbone_id
    assert again.source == "weights.safetensors"


@pytest.mark.parametrize("content", [b"PK\x03\x04", pickle.dumps([1.0])], ids=["npz", "pickle"])
def test_weights_in_another_format_are_refused(artefact: Path, content: bytes) -> None:
    with_file(artefact, "weights.safetensors", content)
    with pytest.raises(WeightsError, match=r"cannot be read.*Export"):
        check_backbone(BackboneConfig(path=str(artefact), engine="tensorflow"))


def test_an_artefact_of_the_first_format_is_refused(artefact: Path) -> None:
    manifest = json.loads((artefact / "manifest.json").read_bytes())
    (artefact / "manifest.json").write_text(json.dumps(manifest | {"format_version": 1}))
    with pytest.raises(WeightsError, match=r"format_version.*Export it again"):
        read_manifest(artefact)


def test_weights_of_another_network_with_the_right_identity_are_refused(artefact: Path) -> None:
    arrays = change_shape(read_weights((artefact / "weights.safetensors").read_bytes()))
    with_file(artefact, "weights.safetensors", as_file(arrays))
    with_manifest(artefact, backbone_id=id_of(read_manifest(artefact), arrays))
    with pytest.raises(WeightsError, match="do not fit tiny"):
        load_embedder(BackboneConfig(path=str(artefact), engine="tensorflow"))


def onnx_model(
    *,
    inputs: tuple[int, list[int | str]] = (2, ["n", 299, 299, 3]),
    domain: str = "",
    weights_at: str | None = None,
) -> bytes:
    """A network that gives each frame 2,048 ones, or those that stand in a file elsewhere."""
    ones = numpy_helper.from_array(np.ones((1, 2048), np.float32), "ones")
    if weights_at is not None:
        ones = TensorProto(name="ones", data_type=1, dims=[1, 2048])
        ones.data_location = TensorProto.EXTERNAL
        ones.external_data.add(key="location", value=weights_at)
    nodes = [
        helper.make_node("Cast", ["frames"], ["float"], to=1),
        helper.make_node("ReduceMax", ["float", "axes"], ["top"], keepdims=0),
        helper.make_node("Unsqueeze", ["top", "one"], ["column"]),
        helper.make_node(
            "Mul" if not domain else "Run", ["column", "ones"], ["out"], domain=domain
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("frames", *inputs)],
        [helper.make_tensor_value_info("out", 1, ["n", 2048])],
        initializer=[
            numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
            numpy_helper.from_array(np.array([1]), "one"),
            ones,
        ],
    )
    opsets = [helper.make_opsetid("", 18)]
    opsets += [helper.make_opsetid(domain, 1)] if domain else []
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def test_a_small_network_that_takes_frames_is_loaded(artefact: Path) -> None:
    with_file(artefact, "network.onnx", onnx_model())
    embedder = load_embedder(BackboneConfig(path=str(artefact)))
    assert embedder.embed(frames_of(2)).shape == (2, 2048)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"garbage", "cannot be loaded"),
        (onnx_model(inputs=(1, ["n", 299, 299, 3])), "does not turn frames into features"),
        (onnx_model(inputs=(2, ["n", 224, 224, 3])), "does not turn frames into features"),
        (onnx_model(domain="com.evil"), "com.evil:Run"),
    ],
    ids=["garbage", "float input", "other size", "custom op"],
)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_other_networks_with_the_right_checksum_are_refused(
    artefact: Path, engine: str, content: bytes, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with_file(artefact, "network.onnx", content)
    with pytest.raises(WeightsError, match=reason):
        check_backbone(BackboneConfig(path=str(artefact), engine=engine))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("where", ["beside", "absolute", "working directory"])
def test_weights_in_another_file_are_not_followed(
    artefact: Path, engine: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = artefact / "secret"
    secret.write_bytes(np.ones(2048, np.float32).tobytes())
    monkeypatch.chdir(artefact if where != "absolute" else artefact.parent)
    with_file(
        artefact,
        "network.onnx",
        onnx_model(weights_at=str(secret) if where == "absolute" else "secret"),
    )
    with pytest.raises(WeightsError, match="cannot be loaded"):
        check_backbone(BackboneConfig(path=str(artefact), engine=engine))


def test_a_manifest_of_other_preprocessing_is_refused(artefact: Path) -> None:
    """TensorFlow builds the network in code, with the preprocessing of this version."""
    with_manifest(artefact, preprocessing=Preprocessing(scale=1 / 128, mean=(1, 1, 1)))
    with pytest.raises(WeightsError, match="builds no network tiny with the manifest's"):
        check_backbone(BackboneConfig(path=str(artefact), engine="tensorflow"))


def test_an_oversize_manifest_is_refused(artefact: Path) -> None:
    path = artefact / "manifest.json"
    path.write_bytes(path.read_bytes() + b" " * (1 << 20))
    with pytest.raises(WeightsError, match="more than 1048576 bytes"):
        read_manifest(artefact)


def test_gpu_that_is_not_there_is_no_silent_cpu(tiny_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="device = gpu"):
        load_embedder(BackboneConfig(path=str(tiny_backbone), engine="tensorflow", device="gpu"))


def test_imagenet_without_a_network_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    build = keras.applications.VGG16

    def refuse(*, weights: str | None, **options: object) -> object:
        if weights == "imagenet":
            raise OSError("URL fetch failure")
        return build(weights=weights, **options)

    monkeypatch.setattr(keras.applications, "VGG16", refuse)
    with pytest.raises(WeightsError, match="--weights the path"):
        export_backbone("imagenet", tmp_path / "x", network="vgg16")
    with pytest.raises(WeightsError, match="tiny has no ImageNet weights"):
        export_backbone("imagenet", tmp_path / "x", network="tiny")
    assert not (tmp_path / "x").exists()


def test_somebody_elses_directory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ForeignFileError, match=r"thesis\.txt was not written by"):
        export_tiny(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_artefact_is_replaced(tmp_path: Path) -> None:
    first = read_manifest(export_tiny(tmp_path / "tiny"))
    assert read_manifest(export_tiny(tmp_path / "tiny", seed=8)).backbone_id != first.backbone_id


def test_an_export_deletes_no_file_of_others(tiny_backbone: Path, tmp_path: Path) -> None:
    out = tmp_path / "backbone"
    shutil.copytree(tiny_backbone, out)
    _check_out(out)
    (out / "notes.txt").touch()
    link = tmp_path / "link"
    link.symlink_to(out)
    for path, name in ((out, "notes.txt"), (link, "notes.txt"), (out / "notes.txt", "notes.txt")):
        with pytest.raises(ForeignFileError, match=rf"{name} was not written by"):
            _check_out(path)

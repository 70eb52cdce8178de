"""A tiny network with CLIP's interface: patches, a class token, a projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from trailergenre.base.config import BackboneConfig
from trailergenre.base.errors import ConfigError, ForeignFileError, WeightsError
from trailergenre.base.records import FrameForm
from trailergenre.features.backbone import check_backbone, load_embedder, read_manifest
from trailergenre.features.backbone.import_onnx import PRESETS, Exported, import_backbone

SIDE, PATCH, TOKENS, WIDTH = 32, 16, 5, 6
CLIP = replace(PRESETS["clip"], side=SIDE)
TOLERANCE = 1e-4

DRAW = np.random.default_rng(4)
KERNEL = DRAW.normal(size=(8, 3, PATCH, PATCH)).astype(np.float32)
CLASS = DRAW.normal(size=(1, 1, 8)).astype(np.float32)
PROJECTION = DRAW.normal(size=(8, WIDTH)).astype(np.float32)


def network(
    *,
    pixels: tuple[int, list[int | str]] = (1, ["batch_size", "num_channels", "height", "width"]),
    is_first: bool = True,
    domain: str = "",
    outputs: tuple[str, ...] = ("image_embeds", "last_hidden_state"),
) -> onnx.ModelProto:
    """Patches by a convolution; the class token takes their mean; `image_embeds` projects it."""
    arrays = {
        **{"kernel": KERNEL, "class": CLASS, "projection": PROJECTION},
        **{"rows": np.array([0, 8, -1]), "zero": np.array(0), "one": np.array([1])},
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["first", "kernel"], ["patches"], strides=[PATCH, PATCH]),
        node("Tanh", ["patches"], ["bent"]),
        node("Reshape", ["bent", "rows"], ["flat"]),
        node("Transpose", ["flat"], ["tokens"], perm=[0, 2, 1]),
        node("ReduceMean", ["tokens", "one"], ["mean"], keepdims=1),
        node("Add", ["mean", "class"], ["first_token"]),
        node("Concat", ["first_token", "tokens"], ["last_hidden_state"], axis=1),
        node("Gather", ["last_hidden_state", "zero"], ["pooler_output"], axis=1),
        node("MatMul", ["pooler_output", "projection"], ["image_embeds"], domain=domain),
    ]
    perm = [0, 1, 2, 3] if is_first else [0, 3, 1, 2]
    nodes.insert(0, node("Transpose", ["pixel_values"], ["first"], perm=perm))
    shapes: dict[str, list[int | str]] = {
        "image_embeds": ["batch_size", WIDTH],
        "pooler_output": ["batch_size", 8],
        "last_hidden_state": ["batch_size", "tokens", 8],
    }
    graph = helper.make_graph(
        nodes,
        "main_graph",
        [helper.make_tensor_value_info("pixel_values", *pixels)],
        [helper.make_tensor_value_info(name, 1, shapes[name]) for name in outputs],
        initializer=[numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    opsets = [helper.make_opsetid("", 18)] + [helper.make_opsetid(domain, 1)] * bool(domain)
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def frames() -> np.ndarray:
    """Red is brighter than blue, as in no noise, so that swapped channels differ."""
    noise = np.random.default_rng(1).integers(0, 156, (4, SIDE, SIDE, 3), np.uint8)
    return noise + np.array([100, 50, 0], np.uint8)


def reference(frames: np.ndarray, known: Exported = CLIP) -> np.ndarray:
    """What Transformers' image processor does after resizing, and then the network, in NumPy."""
    pixels = frames.astype(np.float32) * np.float32(0.00392156862745098)
    pixels = (pixels - np.float32(known.mean)) / np.float32(known.std)
    n, grid = len(frames), SIDE // PATCH
    cells = pixels.reshape(n, grid, PATCH, grid, PATCH, 3).transpose(0, 1, 3, 5, 2, 4)
    patches = np.tanh(np.einsum("nijcyx,kcyx->nijk", cells, KERNEL)).reshape(n, -1, 8)
    return (patches.mean(1) + CLASS[0]) @ PROJECTION


def deviation(received: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(received - expected).max(1) / np.abs(expected).max(1)).max())


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    import_backbone(write(network(), tmp_path / "v.onnx"), tmp_path / "b", name="clip", known=CLIP)
    return tmp_path / "b"


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_features_are_those_of_the_published_preprocessing(imported: Path, engine: str) -> None:
    config = BackboneConfig(path=str(imported), engine=engine, batch_size=3)
    features = load_embedder(config).embed(frames())
    assert features.shape == (4, WIDTH)
    assert deviation(features, reference(frames())) <= TOLERANCE
    plain = replace(CLIP, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    for wrong in (reference(frames()[..., ::-1]), reference(frames(), plain)):
        assert deviation(features, wrong) >= 10 * TOLERANCE


def test_the_manifest_says_all_that_decides_the_features(imported: Path) -> None:
    manifest = read_manifest(imported)
    assert manifest.network == "clip"
    assert manifest.input == FrameForm(SIDE, SIDE, "center-crop")
    assert manifest.preprocessing.mean == CLIP.mean
    assert (manifest.output.name, manifest.output.width) == ("image_embeds", WIDTH)
    assert manifest.source == "v.onnx"
    assert "MIT" in manifest.license
    assert sorted(manifest.files) == ["network.onnx"]


def test_identity_is_of_the_network_and_of_what_it_is_given(tmp_path: Path) -> None:
    path = write(network(), tmp_path / "v.onnx")

    def identity(known: Exported) -> str:
        return import_backbone(path, tmp_path / "out", name="x", known=known).backbone_id

    known = [CLIP, replace(CLIP, resize="squeeze"), replace(CLIP, mean=(0.5, 0.5, 0.5))]
    known.append(replace(CLIP, outputs=("last_hidden_state",), class_token=True))
    assert len({identity(each) for each in known}) == 4
    assert identity(CLIP) == identity(CLIP)


def test_channels_last_are_taken_too(tmp_path: Path) -> None:
    model = network(pixels=(1, ["n", SIDE, SIDE, 3]), is_first=False)
    import_backbone(write(model, tmp_path / "v.onnx"), tmp_path / "b", name="x", known=CLIP)
    features = load_embedder(BackboneConfig(path=str(tmp_path / "b"))).embed(frames())
    assert deviation(features, reference(frames())) <= TOLERANCE


def test_the_class_token_is_taken_where_the_family_has_one(tmp_path: Path) -> None:
    known = replace(PRESETS["dinov3"], side=SIDE)
    found = {}
    for name in ("pooler_output", "last_hidden_state"):
        path = write(network(outputs=(name,)), tmp_path / f"{name}.onnx")
        import_backbone(path, tmp_path / name, name="dino", known=known)
        found[name] = load_embedder(BackboneConfig(path=str(tmp_path / name))).embed(frames())
    np.testing.assert_array_equal(found["pooler_output"], found["last_hidden_state"])


def test_weights_in_a_file_beside_it_are_taken_in(tmp_path: Path, imported: Path) -> None:
    model = network()
    beside = {"save_as_external_data": True, "location": "model.onnx_data", "size_threshold": 0}
    onnx.save(model, tmp_path / "model.onnx", **beside)
    import_backbone(tmp_path / "model.onnx", tmp_path / "c", name="clip", known=CLIP)
    assert read_manifest(tmp_path / "c").backbone_id == read_manifest(imported).backbone_id
    (tmp_path / "model.onnx_data").unlink()
    check_backbone(BackboneConfig(path=str(tmp_path / "c")))
    with pytest.raises(WeightsError, match=r"model\.onnx_data, which must lie beside it"):
        import_backbone(tmp_path / "model.onnx", tmp_path / "d", name="clip", known=CLIP)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("location", ["/etc/hostname", "../secret", "link"])
def test_weights_elsewhere_are_not_followed(tmp_path: Path, location: str) -> None:
    (tmp_path / "secret").write_bytes(KERNEL.tobytes())
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    model = network()
    kernel = next(tensor for tensor in model.graph.initializer if tensor.name == "kernel")
    kernel.ClearField("raw_data")
    kernel.data_location = TensorProto.EXTERNAL
    kernel.external_data.add(key="location", value=location)
    with pytest.raises(WeightsError, match="which must lie beside it, cannot be read"):
        import_backbone(
            write(model, tmp_path / "in" / "v.onnx"), tmp_path / "b", name="x", known=CLIP
        )


def fixed_batch() -> onnx.ModelProto:
    return network(pixels=(1, [1, 3, SIDE, SIDE]))


def two_inputs() -> onnx.ModelProto:
    model = network()
    model.graph.input.append(helper.make_tensor_value_info("input_ids", 7, ["n", 77]))
    return model


def depends_on_the_batch() -> onnx.ModelProto:
    model = network()
    model.graph.node[-1].output[0] = "alone"
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "batch"))
    model.graph.node.extend(
        [
            helper.make_node("ReduceMean", ["alone", "batch"], ["all"]),
            helper.make_node("Sub", ["alone", "all"], ["image_embeds"]),
        ]
    )
    return model


def constant() -> onnx.ModelProto:
    model = network()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(KERNEL * 0, "kernel"))
    return model


def not_finite() -> onnx.ModelProto:
    model = network()
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(KERNEL * np.nan, "kernel"))
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (fixed_batch, "images by the 1 alone: export it with a batch of any size"),
        (lambda: network(pixels=(10, ["n", 3, SIDE, SIDE])), "FLOAT16: take the float32 file"),
        (lambda: network(pixels=(1, ["n", 3, 64, 64])), "--input must be the size"),
        (lambda: network(pixels=(1, ["n", 1, SIDE, SIDE])), "--input must be the size"),
        (lambda: network(pixels=(1, ["n", 3, SIDE])), "--input must be the size"),
        (two_inputs, r"takes pixel_values, input_ids .* vision_model\.onnx"),
        (lambda: network(domain="com.evil"), "com.evil:MatMul is not standard ONNX"),
        (lambda: network(outputs=("pooler_output",)), r"name one of .*: pooler_output \(batch_"),
        (depends_on_the_batch, "depend on the other images"),
        (constant, "the same features for different images"),
        (not_finite, "not finite"),
    ],
)
def test_other_networks_are_refused(
    tmp_path: Path, make: Callable[[], onnx.ModelProto], reason: str
) -> None:
    path = write(make(), tmp_path / "v.onnx")
    with pytest.raises(WeightsError, match=rf"v\.onnx cannot be imported.*{reason}"):
        import_backbone(path, tmp_path / "b", name="x", known=CLIP)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (replace(CLIP, outputs=()), None),
        (replace(CLIP, outputs=("last_hidden_state",)), "no vector an image"),
        (replace(CLIP, outputs=("features",)), r"outputs: image_embeds \(batch_size, 6\), last"),
        (replace(CLIP, std=(1.0, 0.0, 1.0)), "greater than 0"),
        (replace(CLIP, mean=(np.nan, 0.0, 1.0)), "finite"),
    ],
)
def test_what_is_said_of_a_network_is_checked(
    tmp_path: Path, known: Exported, reason: str | None
) -> None:
    path = write(network(), tmp_path / "v.onnx")
    if reason is None:
        assert import_backbone(path, tmp_path / "b", name="x", known=known).output.width == WIDTH
        return
    with pytest.raises(WeightsError, match=reason):
        import_backbone(path, tmp_path / "b", name="x", known=known)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x09\x12"])
def test_files_that_are_no_networks_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.onnx").write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be imported"):
        import_backbone(tmp_path / "v.onnx", tmp_path / "b", name="x", known=CLIP)


def test_the_name_of_a_network_that_is_built_here_is_refused(tmp_path: Path) -> None:
    path = write(network(), tmp_path / "v.onnx")
    with pytest.raises(WeightsError, match="another --name"):
        import_backbone(path, tmp_path / "b", name="resnet50", known=CLIP)


def test_tensorflow_cannot_run_it_and_says_so(imported: Path) -> None:
    with pytest.raises(ConfigError, match=r"ONNX file.*onnxruntime or openvino"):
        check_backbone(BackboneConfig(path=str(imported), engine="tensorflow"))


def test_somebody_elses_directory_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").touch()
    with pytest.raises(ForeignFileError, match=r"thesis\.txt"):
        import_backbone(write(network(), tmp_path / "v.onnx"), tmp_path / "b", name="x", known=CLIP)

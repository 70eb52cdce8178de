"""int8: quantized with frames, compared on others, refused where it is far from fp32."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from clips import make_clip
from trailergenre.base.config import BackboneConfig, Config
from trailergenre.base.errors import ConfigError, WeightsError
from trailergenre.base.onnx_session import open_session
from trailergenre.base.storage import hash_file
from trailergenre.cli.commands import app
from trailergenre.features.backbone import (
    check_backbone,
    int8,
    load_embedder,
    read_manifest,
    weight_rounding,
)
from trailergenre.features.backbone.artefact import (
    ONNX_FILE,
    Quantization,
    write_manifest,
)
from trailergenre.features.backbone.export import export_backbone
from trailergenre.features.backbone.int8 import compare_with_fp32
from trailergenre.features.settings import feature_settings

pytestmark = pytest.mark.slow


def make_frames(n: int, seed: int, *, brightest: int = 255) -> np.ndarray:
    """Frames of coloured tiles, which tell more apart than noise does, uint8 RGB."""
    tiles = np.random.default_rng(seed).integers(0, brightest + 1, (n, 13, 13, 3), np.uint8)
    return tiles.repeat(23, axis=1).repeat(23, axis=2)


def export_int8(out: Path, videos: list[np.ndarray], seed: int = 7) -> Path:
    export_backbone("random", out, network="tiny", seed=seed, representative=videos)
    return out


VIDEOS = [make_frames(21, 0), make_frames(20, 1)]


@pytest.fixture(scope="module")
def int8_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_int8(tmp_path_factory.mktemp("int8") / "tiny", VIDEOS)


def test_int8_is_the_same_backbone_with_its_figures_and_its_frames_hash(
    int8_backbone: Path, tiny_backbone: Path
) -> None:
    manifest = read_manifest(int8_backbone)
    assert manifest.backbone_id == read_manifest(tiny_backbone).backbone_id
    assert (manifest.precision, read_manifest(tiny_backbone).calibration) == ("int8", None)
    found = manifest.calibration
    assert found is not None
    assert found.sha256 == hashlib.sha256(VIDEOS[0].tobytes()).hexdigest()
    assert (found.n_frames, found.n_judged, found.is_held_out) == (21, 20, True)
    assert "on 20 frames of other videos than the 21 representative ones" in found.line("x")
    assert 0.97 <= found.cosine_p1 < 1
    assert 0 < found.rms_share <= 0.07
    assert (found.weight_bits, found.fp32_convolutions) == (8, 0)
    assert "8-bit weights, the first 0 convolutions in fp32" in found.line("x")


def test_figures_of_the_manifest_are_those_of_the_frames_that_did_not_calibrate(
    int8_backbone: Path, tiny_backbone: Path
) -> None:
    fp32, int8 = (
        load_embedder(BackboneConfig(path=str(path))) for path in (tiny_backbone, int8_backbone)
    )
    seen, unseen = VIDEOS
    mean = fp32.embed(seen).mean(0)
    figures = compare_with_fp32(fp32.embed(unseen), int8.embed(unseen), mean)
    stored = read_manifest(int8_backbone).calibration
    assert stored is not None
    assert figures == pytest.approx((stored.cosine_p1, stored.rms_share), rel=1e-5)
    # What rounding moved on average is added back, and nothing is left of it where no feature was
    # cut at zero.
    shift = int8.embed(seen).mean(0) - mean
    np.testing.assert_allclose(shift[int8.embed(seen).min(0) > 0], 0, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
def test_batch_size_and_threads_do_not_change_a_bit(int8_backbone: Path, threads: int) -> None:
    frames = make_frames(33, 2)
    alone, eight, all_at_once = (
        load_embedder(
            BackboneConfig(path=str(int8_backbone), batch_size=size, threads=threads)
        ).embed(frames)
        for size in (1, 8, 32)
    )
    one = load_embedder(BackboneConfig(path=str(int8_backbone))).embed(frames)
    np.testing.assert_array_equal(alone, one)
    np.testing.assert_array_equal(eight, one)
    np.testing.assert_array_equal(all_at_once, one)
    assert one.min() >= 0


def test_openvino_is_near_fp32_too_and_its_features_are_never_mixed_with_others(
    int8_backbone: Path, tiny_backbone: Path
) -> None:
    ours = BackboneConfig(path=str(int8_backbone), engine="openvino")
    fp32 = load_embedder(BackboneConfig(path=str(tiny_backbone)))
    seen, unseen = VIDEOS
    mean = fp32.embed(seen).mean(0)
    cosine, rms = compare_with_fp32(fp32.embed(unseen), load_embedder(ours).embed(unseen), mean)
    # The export's check is of ONNX Runtime; OpenVINO rounds otherwise.
    assert cosine >= int8.MIN_COSINE
    assert rms <= 1.5 * int8.MAX_RMS_SHARE
    manifest = read_manifest(int8_backbone)
    onnxruntime, openvino = (
        feature_settings(Config(backbone=backbone), manifest)
        for backbone in (BackboneConfig(path=str(int8_backbone)), ours)
    )
    assert openvino.changed_from(onnxruntime) == ["precision: int8 -> int8_openvino"]
    assert openvino.fingerprint != onnxruntime.fingerprint


def test_engines_of_fp32_give_one_fingerprint(tiny_backbone: Path) -> None:
    found = {
        feature_settings(
            Config(backbone=BackboneConfig(engine=engine)), read_manifest(tiny_backbone)
        ).fingerprint
        for engine in ("onnxruntime", "openvino", "tensorflow")
    }
    assert len(found) == 1


def test_calibration_on_other_pictures_is_refused_with_both_figures_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every second frame calibrates: on dark ones alone, bright ones leave the range. The second of
    # two convolutions alone would be near enough.
    monkeypatch.setattr(int8, "MAX_FP32", 0)
    frames = make_frames(64, 3)
    frames[::2] //= 32
    with pytest.raises(
        WeightsError, match=r"cosine \d\.\d{4} .*rms difference \d+\.\d{4}"
    ) as raised:
        export_int8(tmp_path / "new", [frames])
    assert "random weights say nothing about ImageNet" in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("lengths", "received"), [((31,), "16 and 15"), ((40, 15), "40 and 15")])
def test_too_few_frames_are_refused_by_number(
    lengths: tuple[int, ...], received: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"Received: {received}"):
        export_int8(tmp_path / "new", [make_frames(length, 4) for length in lengths])


def test_of_several_videos_whole_ones_are_held_out_and_none_is_lost(tmp_path: Path) -> None:
    videos = [make_frames(length, 10 + length) for length in (20, 16, 21)]
    found = read_manifest(export_int8(tmp_path / "new", videos)).calibration
    assert found is not None
    representative = np.concatenate([videos[0], videos[2]])
    assert found.sha256 == hashlib.sha256(representative.tobytes()).hexdigest()
    assert (found.n_frames, found.n_judged) == (41, 16)


def make_network(path: Path, kernels: np.ndarray) -> Path:
    """Two convolutions on 32x32 pixels without a Relu at the end, so that features have a sign."""
    h, of = onnx.helper, onnx.numpy_helper.from_array
    weights = np.random.default_rng(0).normal(0, 0.3, (6, 4, 3, 3)).astype(np.float32)
    nodes = [
        h.make_node("Cast", ["frames"], ["pixels"], to=onnx.TensorProto.FLOAT),
        h.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        h.make_node("Conv", ["planes", "kernels"], ["a"], "first", strides=[2, 2]),
        h.make_node("Relu", ["a"], ["b"]),
        h.make_node("Conv", ["b", "weights"], ["c"], "second", strides=[2, 2]),
        h.make_node("GlobalAveragePool", ["c"], ["d"]),
        h.make_node("Flatten", ["d"], ["features"]),
    ]
    ends = [
        h.make_tensor_value_info("frames", onnx.TensorProto.UINT8, ["n", 32, 32, 3]),
        h.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["n", 6]),
    ]
    arrays = [of(kernels.astype(np.float32), "kernels"), of(weights, "weights")]
    graph = h.make_graph(nodes, "made", ends[:1], ends[1:], arrays)
    onnx.save(h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=8), path)
    return path


PIECES = [np.random.default_rng(s).integers(0, 256, (24, 32, 32, 3), np.uint8) for s in (1, 2)]
KERNELS = np.random.default_rng(3).normal(0, 0.2, (4, 3, 3, 3))


def quantize(path: Path) -> Quantization:
    return int8.quantize_network(path, PIECES, weights="made", on_step=lambda *_: None)


def test_features_of_another_size_keep_their_sign(tmp_path: Path) -> None:
    path = make_network(tmp_path / "network.onnx", KERNELS)
    before = open_session(path.read_bytes(), threads=1).run(None, {"frames": PIECES[1]})[0]
    quantize(path)
    after = open_session(path.read_bytes(), threads=1).run(None, {"frames": PIECES[1]})[0]
    assert before.min() < 0
    assert np.abs(after - before).max() < 0.2 * before.std()


def test_as_few_convolutions_stay_fp32_as_bring_the_features_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On so small a network, scaled channels come as near as fp32 in the first convolution.
    monkeypatch.setattr(int8, "equalise_channels", lambda *_: None)
    alone = quantize(make_network(tmp_path / "network.onnx", KERNELS))
    monkeypatch.setattr(int8, "MAX_RMS_SHARE", 0.99 * alone.rms_share)
    path = make_network(tmp_path / "network.onnx", KERNELS)
    helped = quantize(path)
    assert (alone.fp32_convolutions, helped.fp32_convolutions) == (0, 1)
    assert helped.rms_share < alone.rms_share
    # Quantized weights are integers; those of the first convolution are not.
    arrays = [onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer]
    assert {a.dtype.name for a in arrays if a.ndim == 4} == {"float32", "int8"}


@pytest.mark.parametrize("bits", [7, 8])
def test_int8_holds_the_rounded_weights_exactly(
    bits: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded: dict[str, np.ndarray] = {}

    def round_weights(*arguments: Any, **options: Any) -> dict[str, np.ndarray]:
        rounded.update(weight_rounding.round_weights(*arguments, **options))
        return rounded

    monkeypatch.setattr(int8, "round_weights", round_weights)
    monkeypatch.setattr(int8, "is_exact", lambda run: bits == 8)
    path = make_network(tmp_path / "network.onnx", KERNELS)
    assert quantize(path).fp32_convolutions == 0
    stored = {
        each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer
    }
    assert len(rounded) == 2
    for name, weights in rounded.items():
        steps = stored[f"{name}_quantized"].astype(np.float32)
        scale = stored[f"{name}_scale"][:, None, None, None]
        np.testing.assert_allclose(steps * scale, weights, rtol=1e-6)


def test_a_network_without_convolutions_is_refused(tmp_path: Path) -> None:
    path = make_network(tmp_path / "network.onnx", KERNELS)
    network = onnx.load(path)
    del network.graph.node[2:5]
    network.graph.node[-2].input[:] = ["planes"]
    network.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 3
    onnx.save(network, path)
    with pytest.raises(ConfigError, match="no convolutions"):
        quantize(path)


def test_weights_have_7_bits_where_the_processor_cannot_multiply_8(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "is_exact", lambda run: False)
    monkeypatch.setattr(int8, "MAX_RMS_SHARE", 1)
    path = make_network(tmp_path / "network.onnx", KERNELS)
    assert quantize(path).weight_bits == 7
    arrays = [onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer]
    assert max(np.abs(a.astype(int)).max() for a in arrays if a.dtype == np.int8) <= 64
    monkeypatch.setattr(int8, "MAX_RMS_SHARE", 0)
    with pytest.raises(WeightsError, match="a machine whose processor has VNNI"):
        quantize(make_network(path, KERNELS))


def test_frames_that_are_all_alike_judge_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="all alike"):
        export_int8(tmp_path / "new", [make_frames(1, 5).repeat(40, axis=0)])


def test_comparison_subtracts_the_mean_and_takes_the_worst_percent() -> None:
    mean = np.array([100, 100], np.float32)
    fp32 = mean + np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], np.float32)
    assert compare_with_fp32(fp32, fp32, mean) == (pytest.approx(1), 0)
    # Turned by 90 degrees around the mean; around zero their cosine stays above .9999.
    turned = mean + np.array([[0, 1], [-1, 0], [0, -1], [1, 0]], np.float32)
    cosine, rms = compare_with_fp32(fp32, turned, mean)
    assert (cosine, rms) == (pytest.approx(0), pytest.approx(np.sqrt(2)))
    one_bad = np.concatenate([fp32[:3], turned[3:]])
    assert compare_with_fp32(fp32, one_bad, mean)[0] == pytest.approx(0.03)


@pytest.mark.parametrize(
    "other", [{"engine": "tensorflow"}, {"device": "gpu"}], ids=["tensorflow", "gpu"]
)
def test_tensorflow_and_gpus_refuse_int8(int8_backbone: Path, other: dict[str, str]) -> None:
    config = BackboneConfig(path=str(int8_backbone), **other)
    for refuse in (check_backbone, load_embedder):
        with pytest.raises(ConfigError, match=r"is int8, which needs backbone\.engine = "):
            refuse(config)


def test_an_int8_manifest_without_calibration_is_refused(tmp_path: Path) -> None:
    directory = export_int8(tmp_path / "tiny", VIDEOS)
    manifest = read_manifest(directory)
    write_manifest(directory, manifest.model_copy(update={"calibration": None}))
    with pytest.raises(WeightsError, match="calibration belongs to int8 alone"):
        read_manifest(directory)


def test_other_calibration_frames_are_another_fingerprint(
    int8_backbone: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    other = export_int8(tmp_path / "other", [make_frames(40, 6)])
    first, second, fp32 = (
        feature_settings(Config(), read_manifest(path))
        for path in (int8_backbone, other, tiny_backbone)
    )
    assert len({first.fingerprint, second.fingerprint, fp32.fingerprint}) == 3
    (difference,) = second.changed_from(first)
    assert difference.startswith("calibration: ")
    assert fp32.calibration == ""


def test_one_frames_quantized_otherwise_are_another_fingerprint(
    int8_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As another version of ONNX Runtime may do.
    monkeypatch.setattr(int8, "_QUANTIZED", ["Conv"])
    other = read_manifest(export_int8(tmp_path / "other", VIDEOS))
    first = read_manifest(int8_backbone)
    assert first.calibration is not None and other.calibration is not None
    assert first.calibration.sha256 == other.calibration.sha256
    (difference,) = feature_settings(Config(), other).changed_from(
        feature_settings(Config(), first)
    )
    assert difference == f"calibration: {first.int8_sha256} -> {other.int8_sha256}"
    assert other.int8_sha256 == hash_file(tmp_path / "other" / ONNX_FILE)


def test_command_takes_videos_and_says_the_figures(tmp_path: Path) -> None:
    videos, out = tmp_path / "videos", tmp_path / "out"
    videos.mkdir()
    make_clip(videos / "a.mp4", "testsrc2=s=320x320:r=8:d=5")
    command = [
        "backbone",
        "export",
        "--network",
        "tiny",
        "--weights",
        "random",
        "--precision",
        "int8",
    ]
    command += ["--calibration", str(videos), "--out", str(out)]
    result = CliRunner().invoke(app, [*command, "--set", "frames.per_second=8"])
    assert result.exit_code == 0, result.output
    assert "int8 compared with fp32, weights random(seed=7): cosine 0.9" in result.stdout
    found = read_manifest(out).calibration
    assert found is not None
    assert (found.n_frames, found.n_judged) == (20, 20)
    assert "on 20 neighbours of the 20 representative frames, which is optimistic" in result.stdout


@pytest.mark.parametrize("options", [["--precision", "int8"], ["--calibration", "x"]])
def test_int8_and_calibration_need_each_other(options: list[str], tmp_path: Path) -> None:
    command = ["backbone", "export", "--out", str(tmp_path / "out"), *options]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "must be given together" in result.stderr

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import Result
from onnx import helper, numpy_helper
from typer.testing import CliRunner

import trailergenre as tg
from clips import make_clip
from trailergenre.cli.commands import app
from trailergenre.features.backbone import read_manifest


def invoke(*words: str) -> Result:
    return CliRunner().invoke(app, ["backbone", *words])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of one convolution, as (n, 3, 224, 224) to `image_embeds` (n, 4)."""
    kernel = np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["pixel_values", "kernel"], ["map"], strides=[32, 32]),
        helper.make_node("ReduceMax", ["map", "axes"], ["image_embeds"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("pixel_values", 1, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("image_embeds", 1, ["n", 4])],
        initializer=[
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.array([2, 3]), "axes"),
        ],
    )
    path = tmp_path_factory.mktemp("exported") / "vision_model.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path
    )
    return path


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "a.mp4", "testsrc2=s=320x180:r=8:d=3")


def test_a_preset_and_options_over_it_are_written_to_the_manifest(
    exported: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "clip")
    result = invoke("import", str(exported), "--preset", "clip", "--license", "ours", "--out", out)
    assert result.exit_code == 0, result.output
    manifest = read_manifest(tmp_path / "clip")
    assert f"backbone {manifest.backbone_id} (clip, 4 features of image_embeds" in result.stdout
    assert "licence of the weights: ours" in result.stdout
    assert (manifest.input.height, manifest.input.resize) == (224, "center-crop")
    words = ["--input", "224", "--mean", ".5,.5,.5", "--std", "1,1,2", "--out", out]
    assert invoke("import", str(exported), *words).exit_code == 0
    manifest = read_manifest(tmp_path / "clip")
    assert (manifest.network, manifest.license) == ("vision_model", "unknown")
    assert manifest.preprocessing.std == (1, 1, 2)
    assert manifest.input.resize == "squeeze"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "Give --input, --mean and --std, or a --preset"),
        (["--preset", "clip", "--mean", "1,2"], "--mean takes three numbers"),
        (["--preset", "siglip2"], "--output must name one of its outputs: image_embeds (n, 4)"),
        (["--preset", "clip", "--input", "256"], "--input must be the size"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    exported: Path, tmp_path: Path, words: list[str], reason: str
) -> None:
    result = invoke("import", str(exported), *words, "--out", str(tmp_path / "b"))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert reason in line


def test_an_imported_network_is_checked_against_published_features(
    exported: Path, clip: Path, tmp_path: Path
) -> None:
    out = str(tmp_path / "b")
    invoke("import", str(exported), "--preset", "clip", "--out", out)
    net = tg.load_backbone(out)
    features = tg.embed(clip, net)
    assert features.shape == (3, 4)
    np.save(tmp_path / "same.npy", features)
    np.save(tmp_path / "other.npy", features[:2, ::-1])
    np.save(tmp_path / "bgr.npy", net.embedder.embed(tg.decode(clip, net)[..., ::-1].copy()))

    def check(name: str, *more: str) -> Result:
        return invoke("check", out, "--against", str(tmp_path / name), "--video", str(clip), *more)

    same = check("same.npy")
    assert (same.exit_code, same.stdout.splitlines()[-1]) == (
        0,
        "verdict: the same features, up to rounding",
    )
    other = check("other.npy", "--json")
    assert other.exit_code == 1
    record = json.loads(other.stdout)
    assert (record["frames"], record["frames_published"], record["is_same"]) == (3, 2, False)
    assert len(record["deviation"]) == len(record["cosine"]) == 2
    assert "computed from BGR" in check("bgr.npy").stdout


def test_a_video_that_cannot_be_read_is_an_error_of_usage(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "x.npy", np.ones((2, 2048), np.float32))
    (tmp_path / "a.mp4").write_bytes(b"no video")
    words = ["--against", str(tmp_path / "x.npy"), "--video", str(tmp_path / "a.mp4")]
    result = invoke("check", str(tiny_backbone), *words)
    assert result.exit_code == 2
    assert "has no frames: " in result.stderr

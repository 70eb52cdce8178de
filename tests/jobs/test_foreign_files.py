"""What this package did not write is neither replaced nor deleted, wherever a job writes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from bundles import make_bundle
from runs import make_movies, make_run
from submits import load_job
from trailergenre.base.config_files import load_config
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.features.backbone import check_backbone
from trailergenre.features.settings import feature_settings
from trailergenre.runs.fingerprint import write_settings

TRAIN = ["--trainer", "sklearn", "--set", "dataset.min_movies_per_genre=2"]
LINKS = "url,title,genres\nhttps://a.example/x.mp4,A,Drama\n"
EXTERNAL = "id,genres\n1,Drama\n2,Comedy\n"
PREPARE = ["prepare_dataset", "run", "--links", "list.csv"]
FEATURIZE = ["featurize", "run", "--set", "backbone.path=backbone"]
TRAIN_ONE = ["train_model", "run", "--bundle", "model", *TRAIN]
TRAIN_FOLDS = [*TRAIN_ONE, "--cross-validate"]
EVALUATE = ["evaluate_model", "run", "--bundle", "bundle"]
PREDICT = ["predict_genres", "run", "--bundle", "bundle"]
SCORE = ["score", "clip.mp4", "--bundle", "bundle", "--report"]
FILES = [
    (PREPARE, "run/links/mine.csv"),
    (PREPARE, "run/links/table.parquet"),
    (PREPARE, "run/links/table.parquet/mine"),
    (["prepare_dataset", "run", "--links", "run/links/list.csv"], "run/links/list.csv"),
    (["prepare_dataset", "run", "--links", "run/labels/list.csv"], "run/labels/list.csv"),
    (PREPARE, "run/labels/old/labels.csv"),
    (PREPARE, "run/_lease.json"),
    (FEATURIZE, "run/_lease.json"),
    (FEATURIZE, "run/features/FP/_settings.json"),
    (FEATURIZE, "run/outcomes/FP/mine.parquet"),
    (TRAIN_ONE, "model/manifest.json"),
    (TRAIN_ONE, "model/manifest.json/mine"),
    (TRAIN_ONE, "model/split.parquet"),
    (TRAIN_ONE, "model/MODEL_CARD.md"),
    (TRAIN_ONE, "model/forest.safetensors"),
    (TRAIN_ONE, "model/temporal.onnx"),
    (TRAIN_ONE, "model/_lease.json"),
    ([*TRAIN_ONE, "--with-backbone"], "model/backbone/weights.safetensors"),
    ([*TRAIN_ONE, "--with-backbone"], "model/backbone/mine.h5"),
    ([*TRAIN_FOLDS, "--with-backbone"], "model/fold-1/backbone/manifest.json"),
    (TRAIN_FOLDS, "model/fold-0/manifest.json"),
    (TRAIN_FOLDS, "model/fold-1/MODEL_CARD.md"),
    (["train_model", "run", "--bundle", "bundle", *TRAIN], "bundle/logistic.safetensors"),
    (EVALUATE, "run/reports/evaluation.json"),
    (EVALUATE, "run/reports/evaluation.html"),
    (EVALUATE, "run/reports/evaluation.html/mine"),
    (EVALUATE, "run/_lease-reports.json"),
    ([*EVALUATE, "--report", "page.html"], "page.html"),
    ([*EVALUATE, "--report", "run/reports/evaluation.json"], "run/reports/evaluation.json"),
    (PREDICT, "run/scores/mine.csv"),
    (PREDICT, "run/scores/part-00000.parquet"),
    (PREDICT, "run/_lease-scores.json"),
    (["report", "run"], "run/reports/run.html"),
    (["report", "run"], "run/reports/run.html/mine"),
    (["report", "run"], "run/reports/rows-to-correct.csv"),
    (["run", "list.csv", "--out", "run"], "run/reports/run.html"),
    (["export", "run", "links", "--out", "list.csv"], "list.csv"),
    (["export", "run", "features", "--out", "frames"], "frames/mine"),
    (["report", "run"], "run/reports/rows-to-correct.csv"),
    (["report", "run", "--out", "page.html"], "page.html"),
    (["report", "run", "--out", "page.html", "--json"], "page.html"),
    (["report", "run", "--out", "list.csv"], "list.csv"),
    ([*SCORE, "page.html"], "page.html"),
    ([*SCORE, "clip.mp4"], "clip.mp4"),
    ([*SCORE, "bundle/manifest.json"], "bundle/manifest.json"),
    (["score", "clip.mp4", "--bundle", "bundle", "--out", "list.csv"], "list.csv"),
    (["score", "clip.mp4", "--bundle", "bundle", "--out", "mine.jsonl"], "mine.jsonl"),
    (["score", "clip.mp4", "--bundle", "bundle", "--out", "a.parquet"], "a.parquet"),
    (["backbone", "export", "--out", "weights"], "weights/mine.h5"),
    (["backbone", "export", "--out", "weights"], "weights/network.onnx"),
    (["backbone", "export", "--out", "weights"], "weights"),
    (["backbone", "export", "--set", "backbone.path=backbone"], "backbone/mine.h5"),
    (["demo", "--out", "demo"], "demo/run/mine.txt"),
    (["demo", "--out", "demo"], "demo/config.toml"),
]


@pytest.fixture(scope="module")
def made(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the jobs take, in one directory."""
    root = tmp_path_factory.mktemp("made")
    make_run(Store(str(root / "run")), make_movies(40, frames=1))
    make_bundle(Store(str(root / "bundle")))
    shutil.copytree(tiny_backbone, root / "backbone")
    (root / "list.csv").write_text(LINKS)
    (root / "external").mkdir()
    (root / "external" / "labels.csv").write_text(EXTERNAL)
    np.savez(root / "external" / "f.npz", **{name: np.ones((1, 2)) for name in ("1", "2")})
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, in which a job is started."""
    root = tmp_path / "root"
    shutil.copytree(made, root)
    monkeypatch.chdir(root)
    return root


def invoke(words: list[str]) -> Result:
    """A job or command, in this process: all of them refuse before they start Spark."""
    is_job = "_" in words[0] or words[0] == "featurize"
    command, words = (load_job(words[0]).app, words[1:]) if is_job else (app, words)
    return CliRunner(env={"COLUMNS": "200"}).invoke(command, words)


def contents(root: Path) -> dict[str, bytes | str]:
    """Everything below a directory."""
    return {
        str(path.relative_to(root)): str(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


def assert_refuses(words: list[str], name: str, root: Path) -> None:
    """It ends with 2 and a line that names the file, and changes nothing."""
    before = contents(root)
    result = invoke(words)
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit), result.output
    assert name in result.stderr
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert contents(root) == before


@pytest.mark.parametrize(
    ("words", "path"), FILES, ids=[f"{words[0]}-{path}" for words, path in FILES]
)
def test_a_file_of_others_is_named_and_stays(words: list[str], path: str, root: Path) -> None:
    if "FP" in path:
        settings = load_config(overrides=["backbone.path=backbone"])
        features = feature_settings(settings, check_backbone(settings.backbone))
        write_settings(Store("run"), features)
        path = path.replace("FP", features.fingerprint)
    file = root / path
    if file.parent.is_file():
        file.parent.unlink()  # a directory takes the place of a file
    file.parent.mkdir(parents=True, exist_ok=True)
    if path == "run/scores/part-00000.parquet":
        pq.write_table(pa.table({"mine": [1]}), file)
    elif path != "bundle/manifest.json":
        file.write_text(LINKS)
    # Of a directory in a file's place, and of a demo's, the name is that of the place.
    named = file.parent if file.name in {"mine", "mine.txt"} else file
    assert_refuses(words, named.name, root)


@pytest.mark.parametrize("file", ["features/{}/_settings.json", "outcomes/{}/mine.parquet"])
def test_a_file_of_others_among_external_features_stays(file: str, root: Path) -> None:
    words = ["prepare_dataset", "others", "--external", "table", "external"]
    assert invoke(words).exit_code == 0
    (features,) = (root / "others" / "features").iterdir()
    foreign = root / "others" / file.format(features.name)
    foreign.write_text("mine")
    assert_refuses(words, foreign.name, root)


@pytest.mark.parametrize("words", [["report", "run", "--out", "link"], [*SCORE, "link"]])
def test_a_file_of_others_stays_behind_a_link(words: list[str], root: Path) -> None:
    (root / "thesis.txt").write_text("mine")
    (root / "link").symlink_to("thesis.txt")
    assert_refuses(words, "thesis.txt", root)


def test_a_run_behind_a_link_is_looked_at_like_any_other(root: Path) -> None:
    (root / "run" / "scores").symlink_to(root / "thesis")
    (root / "thesis").mkdir()
    (root / "thesis" / "one.txt").write_text("mine")
    assert_refuses(PREDICT, "one.txt", root)


def test_what_the_package_wrote_is_replaced(root: Path) -> None:
    for words in (PREPARE, TRAIN_ONE, ["report", "run"], ["report", "run", "--out", "page.html"]):
        make_run(Store("run"), make_movies(40, frames=1))
        for _ in range(2):
            result = invoke(words)
            assert result.exit_code == 0, result.output

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.fs as pafs
import pytest
from typer.testing import CliRunner, Result

from bundles import make_bundle, make_manifest
from killed import Driver
from runs import GENRES, Movie, labelled, make_movies, make_run, write_labels
from submits import load_job
from trailergenre.base.storage import Store
from trailergenre.models.bundle import read_bundle
from trailergenre.models.evaluated_model import read_model
from trailergenre.models.pooling import iter_links
from trailergenre.runs import lease, outcomes_table, tables
from trailergenre.runs.fingerprint import FeatureSettings
from trailergenre.runs.lease import hold_lease

SMALL = (
    *("--set", "dataset.min_movies_per_genre=5", "--set", "forest.trees=15"),
    *("--set", 'rows.statistics=["mean"]'),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """100 movies whose genres stand in their features, one of a rare genre, one that failed."""
    store = Store(str(tmp_path_factory.mktemp("run")))
    movies = make_movies(100, frames=3)
    rare = Movie(labelled("rare", ["Western"]), movies[0].features)
    make_run(store, [*movies, rare, Movie(labelled("broken", ["Drama"]), None)])
    return store


def invoke(job: str, *arguments: object) -> Result:
    """Run a job in this process; for what starts no Spark."""
    # The terminal's width decides where usage errors are wrapped.
    return CliRunner(env={"COLUMNS": "200"}).invoke(load_job(job).app, [str(a) for a in arguments])


def run_well(driver: Driver, job: str, *arguments: object) -> tuple[dict[str, Any], str]:
    """Run a job on Spark that must end well; its summary, and all that it printed."""
    ended = driver.run(job, list(map(str, arguments)))
    return ended.summary, ended.output


def test_scikit_learn_trains_without_spark(run: Store, repository: Path, tmp_path: Path) -> None:
    code = (
        "import sys, runpy; sys.argv = sys.argv[1:];\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'pyspark' not in sys.modules"
    )
    job = repository / "jobs" / "train_model.py"
    command = [sys.executable, "-c", code, job, str(run), "--bundle", tmp_path / "bundle"]
    done = subprocess.run(
        [*command, "--trainer", "sklearn", *SMALL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["not_modelled"] == {"Western": 1}
    assert summary["links_without_features"] == 1
    assert summary["links_without_modelled_genre"] == 1
    accounted = sum(summary["links"].values()) + 2
    assert accounted == summary["labelled_links"] == 102
    assert "not modelled, too few movies: Western (1)" in done.stderr
    assert summary["movies"]["validation"] < 20
    assert summary["thresholds_from"] == ["default"]
    assert "note: There are fewer than 20 validation movies" in done.stderr
    bundle = read_bundle(Store(str(tmp_path / "bundle")))
    assert set(bundle.manifest.genres) == set(GENRES)
    assert bundle.manifest.backbone.weights == "unknown"
    assert set(bundle.manifest.thresholds) == {0.5}
    outcomes = outcomes_table.read_outcomes(run, summary["features"])
    parts = bundle.split.to_pylist()
    tested = [row["link_id"] for row in parts if row["part"] == "test"]
    links = [link for file in iter_links(run, outcomes, tested) for link in file]
    assert np.ptp(bundle.scorer.predict_proba(links), axis=0).min() > 0.3
    figures = bundle.manifest.test.measures
    assert summary["test_mean_ap"] == [round(figures["model"]["mean_ap"] or 0, 4)]
    assert summary["test_mean_ap"][0] > 2 * (figures["prior"]["mean_ap"] or 1)


def train(run: Store, bundle: Path, *words: str) -> Result:
    """Train with scikit-learn."""
    return invoke("train_model", run, "--bundle", bundle, "--trainer", "sklearn", *SMALL, *words)


@pytest.mark.parametrize("content", [None, b"other"])
def test_damaged_features_end_the_training_by_name(content: bytes | None, tmp_path: Path) -> None:
    run = Store(str(tmp_path / "run"))
    make_run(run, make_movies(40))
    path = run.list_files("features")[1].path
    if content is None:
        run.delete(path)
    else:
        run.write_bytes(path, content)
    result = train(run, tmp_path / "bundle")
    assert result.exit_code == 2
    assert path in result.stderr
    assert f"trailergenre verify {run}" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "bundle").exists()


def test_two_trainings_of_one_bundle_do_not_mix(run: Store, tmp_path: Path) -> None:
    with hold_lease(Store(str(tmp_path / "bundle")), "train_model"):
        result = train(run, tmp_path / "bundle")
    assert result.exit_code == 3
    assert "is being written by another run: train_model on" in result.stderr


def test_folds_are_written_at_the_endpoint_that_the_address_names(
    run: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_bucket(store: Store) -> tuple[pafs.FileSystem, str]:
        place, _, parameters = store.address.partition("?")
        if place.startswith("file://"):
            return pafs.FileSystem.from_uri(place)
        if parameters != "endpoint_override=127.0.0.1:1":
            raise AssertionError(f"{store.address} is at another endpoint")
        return pafs.LocalFileSystem(), str(tmp_path / place.removeprefix("s3://"))

    monkeypatch.setattr(Store, "_opened", property(open_bucket))
    monkeypatch.setattr(lease, "_SETTLE_REMOTE_S", 0.1)
    folds = [tmp_path / "bucket" / "models" / f"fold-{number}" for number in range(2)]
    for fold in folds:
        fold.mkdir(parents=True)  # an object store needs no directories
    address = "s3://bucket/models/?endpoint_override=127.0.0.1:1"
    result = invoke(
        *("train_model", run, "--bundle", address, "--trainer", "sklearn", *SMALL),
        *("--cross-validate", "--set", "dataset.folds=2"),
    )
    assert result.exit_code == 0, result.output
    assert all((fold / "manifest.json").is_file() for fold in folds)
    assert len(read_model(address).bundles) == 2


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ("prepare_dataset", ["{}", "--links", "list.csv"]),
        ("prepare_dataset", ["run", "--links", "{}"]),
        ("prepare_dataset", ["run", "--external", "table", "{}"]),
        ("featurize", ["{}"]),
        ("featurize", ["run", "--config", "{}"]),
        ("featurize", ["run", "--set", "backbone.path={}"]),
        ("train_model", ["{}", "--bundle", "bundle"]),
        ("train_model", ["run", "--bundle", "{}"]),
        ("evaluate_model", ["run", "--bundle", "{}"]),
        ("evaluate_model", ["run", "--bundle", "bundle", "--compare", "{}"]),
        ("evaluate_model", ["run", "--bundle", "bundle", "--control", "{}"]),
        ("evaluate_model", ["run", "--bundle", "bundle", "--report", "{}"]),
        ("predict_genres", ["run", "--bundle", "{}"]),
        ("predict_genres", ["{}", "--bundle", "bundle"]),
        ("publish_features", ["{}"]),
    ],
)
def test_no_place_of_an_address_takes_or_repeats_a_key(
    job: str, words: list[str], run: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(str(run))
    make_bundle(Store(str(tmp_path / "bundle")))
    before = {path.name for path in tmp_path.rglob("*")}
    for address in ("s3://key:canary/9f2@bucket/x", "s3://bucket/x?secret_key=canary-9f2"):
        result = invoke(job, *(word.format(address) for word in words))
        assert result.exit_code == 2, result.output
        assert isinstance(result.exception, SystemExit)
        assert "canary" not in result.output
        assert "address" in result.stderr
    assert {path.name for path in tmp_path.rglob("*")} == before


@pytest.mark.slow
def test_a_model_is_trained_evaluated_beside_its_control_and_applied(
    run: Store, driver: Driver, tmp_path: Path
) -> None:
    bundle, control = tmp_path / "bundle", tmp_path / "control"
    trained, printed = run_well(driver, "train_model", run, "--bundle", bundle, *SMALL)
    assert (trained["model"], trained["trainer"]) == ("forest", "mllib")
    assert "training: 4/4" in printed
    shuffled = train(run, control, "--shuffle-labels")
    assert json.loads(shuffled.stdout)["shuffled_labels"]
    assert read_bundle(Store(str(control))).warnings

    page = tmp_path / "page.html"
    judged, printed = run_well(
        driver,
        "evaluate_model",
        *(run, "--bundle", bundle, "--control", control, "--report", page),
    )
    assert judged["beats_prior"] == {"model": True, "control": False}
    assert judged["movies"] == trained["movies"]["test"]
    for word in ("label prior", "shuffled labels", "top 3 always", "beats"):
        assert word in printed
    record = json.loads(run.read_bytes("reports/evaluation.json"))
    baselines = {"prior", "majority", "random"}
    assert set(record["models"]) == {"model", "control", "uncalibrated", *baselines}
    assert "</html>" in page.read_text()

    predicted, _ = run_well(driver, "predict_genres", run, "--bundle", bundle)
    assert (predicted["links"], predicted["scored"]) == (102, 101)
    assert predicted["not_scored"] == {"not_media": 1}
    assert len(tables.read_table(run, "scores")) == 101 * len(GENRES)


def cross_validate(run: Store, target: Path, *words: str) -> Result:
    """Train on two folds with scikit-learn, which starts no Spark."""
    small = (*SMALL, "--set", "dataset.folds=2", "--trainer", "sklearn", "--cross-validate")
    result = invoke("train_model", run, "--bundle", target, *small, *words)
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
def test_folds_are_evaluated_with_their_spread_and_compared(
    run: Store, driver: Driver, tmp_path: Path
) -> None:
    forest, other = tmp_path / "forest", tmp_path / "stumps"
    cross_validate(run, forest)
    cross_validate(run, other, "--set", "forest.trees=1", "--set", "forest.max_depth=1")
    judged, printed = run_well(
        driver,
        "evaluate_model",
        *(run, "--bundle", forest, "--compare", other, "--report", tmp_path / "page.html"),
    )
    assert (judged["folds"], judged["movies"], judged["links"]) == (2, 100, 100)
    record = json.loads(run.read_bytes("reports/evaluation.json"))
    model = record["models"]["model"]
    tested = [fold["mean_ap"] for fold in model["folds"]]
    assert model["mean_ap"] == pytest.approx(sum(tested) / 2)
    assert model["std"]["mean_ap"] == pytest.approx(abs(tested[0] - tested[1]) / 2**0.5)
    # What each bundle says of its own test movies is what the evaluation finds.
    known = [
        read_bundle(Store(str(forest / f"fold-{k}"))).manifest.test.measures["model"]["mean_ap"]
        for k in range(2)
    ]
    assert tested == pytest.approx(known)
    (compared,) = [each for each in record["comparisons"] if each["measure"] == "mean_ap"]
    assert compared["low"] > 0
    assert "mAP against stumps: ." in printed
    assert "over 2 folds" in printed


@pytest.mark.parametrize(
    "words",
    [
        "--model temporal --rows pooled",
        "--model temporal --trainer sklearn",
        "--model forest --rows frames --trainer keras",
    ],
)
def test_what_cannot_be_trained_is_refused_with_what_can(
    run: Store, tmp_path: Path, words: str
) -> None:
    result = invoke("train_model", run, "--bundle", tmp_path, *words.split())
    assert result.exit_code == 2
    assert f"{words} does not exist" in result.stderr
    assert "--model forest --rows pooled --trainer mllib" in result.stderr
    assert "--model forest --rows pooled --trainer sklearn" in result.stderr


def test_folds_of_a_given_split_are_refused(run: Store, tmp_path: Path) -> None:
    words = ("--cross-validate", "--set", "dataset.split=given")
    result = invoke("train_model", run, "--bundle", tmp_path / "bundle", *words)
    assert result.exit_code == 2
    assert "dataset.split = given" in result.stderr


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ("manifest.json", ("--cross-validate",)),
        ("fold-0/manifest.json", ()),
        ("fold-5/manifest.json", ("--cross-validate",)),
    ],
)
def test_bundles_of_two_trainings_do_not_share_a_directory(
    run: Store, tmp_path: Path, held: str, words: tuple[str, ...]
) -> None:
    Store(str(tmp_path / "bundle")).write_bytes(held, b"{}")
    result = invoke("train_model", run, "--bundle", tmp_path / "bundle", *words, *SMALL)
    assert result.exit_code == 2
    assert "would not replace" in result.stderr


def test_too_few_movies_are_refused(run: Store, tmp_path: Path) -> None:
    result = invoke("train_model", run, "--bundle", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "No genre has 50 movies" in result.stderr
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("job", ["train_model", "evaluate_model", "predict_genres"])
def test_a_run_without_features_is_refused(tmp_path: Path, job: str) -> None:
    make_bundle(Store(str(tmp_path / "bundle")))
    (tmp_path / "run").mkdir()
    result = invoke(job, tmp_path / "run", "--bundle", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "Run `trailergenre featurize` first" in result.stderr


@pytest.mark.parametrize("job", ["evaluate_model", "predict_genres"])
def test_a_missing_or_unfit_bundle_is_refused(run: Store, tmp_path: Path, job: str) -> None:
    absent = invoke(job, run, "--bundle", tmp_path / "absent")
    assert absent.exit_code == 2
    assert "There is no model bundle" in absent.stderr
    other = Store(str(tmp_path / "other"))
    make_run(other, make_movies(4), settings=FeatureSettings("r", 2.0, 299, 7, "c" * 64, "fp32"))
    make_bundle(Store(str(tmp_path / "bundle")))
    unfit = invoke(job, other, "--bundle", tmp_path / "bundle")
    assert unfit.exit_code == 2
    assert "frames per second: 1.0 -> 2.0" in unfit.stderr


def test_a_page_that_cannot_be_written_is_refused(run: Store, tmp_path: Path) -> None:
    result = invoke("evaluate_model", run, "--bundle", tmp_path, "--report", tmp_path)
    assert result.exit_code == 2
    assert "report cannot be written" in result.stderr


def test_an_evaluation_on_training_movies_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "run"))
    movies = make_movies(8)
    make_run(store, movies)
    parts = {f"movie-{i}": "test" if i < 3 else "train" for i in range(8)}
    make_bundle(Store(str(tmp_path / "bundle")), parts=parts)
    # A mended label: the first test link is a trailer of a training movie.
    moved = labelled("movie-0", ["Action"], "tt-movie-5")
    write_labels(store, [moved, *(movie.link for movie in movies[1:])])
    result = invoke("evaluate_model", store, "--bundle", tmp_path / "bundle")
    assert result.exit_code == 2
    assert "tt-movie-5" in result.stderr


@pytest.mark.parametrize("job", ["evaluate_model", "predict_genres"])
def test_a_run_that_another_writes_to_is_refused(tmp_path: Path, job: str) -> None:
    store = Store(str(tmp_path / "run"))
    make_run(store, make_movies(2))
    make_bundle(Store(str(tmp_path / "bundle")))
    with hold_lease(store, "featurize"):
        # What the other replaces may be gone for a moment: it is read behind the lock.
        for table in ("links", "labels"):
            store.delete_directory(table)
        result = invoke(job, store, "--bundle", tmp_path / "bundle")
    assert result.exit_code == 3
    assert "is being written by another run: featurize on" in result.stderr


@pytest.mark.parametrize(
    ("job", "output"), [("evaluate_model", "reports"), ("predict_genres", "scores")]
)
def test_of_two_jobs_that_write_the_same_one_is_refused(
    tmp_path: Path, job: str, output: Any
) -> None:
    store = Store(str(tmp_path / "run"))
    make_run(store, make_movies(2))
    make_bundle(Store(str(tmp_path / "bundle")))
    with hold_lease(store, job, of=output):
        result = invoke(job, store, "--bundle", tmp_path / "bundle")
    assert result.exit_code == 3
    assert f"is being written by another run: {job} on" in result.stderr


def test_a_control_on_true_labels_is_refused(run: Store, tmp_path: Path) -> None:
    make_bundle(Store(str(tmp_path / "bundle")), manifest=make_manifest())
    bundle = ("--bundle", tmp_path / "bundle", "--control", tmp_path / "bundle")
    result = invoke("evaluate_model", run, *bundle)
    assert result.exit_code == 2
    assert "--shuffle-labels" in result.stderr


def test_models_of_other_test_parts_are_not_compared(run: Store, tmp_path: Path) -> None:
    make_bundle(Store(str(tmp_path / "mine")), parts={"a": "train", "b": "test"})
    make_bundle(Store(str(tmp_path / "other")), parts={"a": "test", "b": "train"})
    compare = ("--bundle", tmp_path / "mine", "--compare", tmp_path / "other")
    result = invoke("evaluate_model", run, *compare)
    assert result.exit_code == 2
    assert "another test part" in result.stderr
    assert "[dataset]" in result.stderr

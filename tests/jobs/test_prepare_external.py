"""External features through the job: runs that other commands treat like any other."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from reproduce.made import make_movies, write_group, write_trailers12k, write_trailers15k
from typer.testing import CliRunner, Result

from killed import Driver
from submits import load_job
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.models.bundle import read_bundle
from trailergenre.models.pooling import iter_links
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint


def invoke(job: str, *arguments: object) -> Result:
    # Usage errors are wrapped at the terminal's width.
    return CliRunner(env={"COLUMNS": "200"}).invoke(load_job(job).app, [str(a) for a in arguments])


def prepare(run: Path, *options: object) -> tuple[dict[str, Any], str]:
    """Prepare a run successfully; return its summary and stderr."""
    ended = invoke("prepare_dataset", run, *options)
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout.splitlines()[-1]), ended.stderr


def assert_whole(run: Path, links: int, frames: int) -> None:
    """Assert that `verify` and `status` report a finished run."""
    verified = CliRunner().invoke(app, ["verify", str(run), "--json"])
    assert verified.exit_code == 0, verified.output
    report = json.loads(verified.stdout)
    assert (report["by_outcome"], report["frames"]) == ({"ok": links}, frames)
    assert "not recorded" not in verified.stdout
    assert "sandbox:" not in verified.stdout
    store = Store(str(run))
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    assert set(outcomes["sandbox"].to_pylist()) == {"not needed"}
    status = CliRunner().invoke(app, ["status", str(run)])
    assert f"{links} ok, 0 failed of {links} links" in status.stdout


MOVIES = make_movies(200, frames=(2, 8))
N_FRAMES = sum(map(len, MOVIES.arrays))
LOGISTIC = ("--model", "logistic", "--trainer", "sklearn", "--set", "dataset.split=given")
FEW = ("--set", "dataset.min_movies_per_genre=5")


@pytest.fixture(scope="module")
def trailers12k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group of Trailers12k, 200 movies."""
    return write_trailers12k(tmp_path_factory.mktemp("t12k"), MOVIES)


@pytest.fixture(scope="module")
def imported(trailers12k: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of them with the second split; tests only read it."""
    run = tmp_path_factory.mktemp("imported") / "run"
    summary, said = prepare(run, "--external", "trailers12k", trailers12k, "--splits", "split1")
    assert (summary["rows"], summary["by_outcome"]) == (200, {"ok": 200})
    assert (summary["network"], summary["width"]) == ("trailers12k/trailers_i_resnet_fpc24", 16)
    assert f"next: trailergenre train {run} --bundle DIR --set dataset.split=given" in said
    return run


def test_trailers12k_is_a_run_like_any_other(imported: Path) -> None:
    assert_whole(imported, 200, N_FRAMES)
    store = Store(str(imported))
    fingerprint = choose_fingerprint(store, None)
    outcomes = outcomes_table.read_outcomes(store, fingerprint)
    names = {
        row["link_id"]: row["url"].rpartition("/")[2]
        for row in tables.read_table(store, "links").to_pylist()
    }
    read = {
        names[link.link_id]: link.features
        for links in iter_links(store, outcomes)
        for link in links
    }
    for name, values in zip(MOVIES.names, MOVIES.arrays, strict=True):
        np.testing.assert_array_equal(read[name], values)
    labels = {row["movie_id"]: row for row in tables.read_table(store, "labels").to_pylist()}
    parts = [("train", "validation", "test")[part] for part in MOVIES.parts[:, 1]]
    assert [labels[name]["part"] for name in MOVIES.names] == parts


def test_another_split_takes_the_labels_alone(trailers12k: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    of_set = ("--external", "trailers12k", trailers12k)
    prepare(run, *of_set)
    before = sorted(run.glob("[fo]*/*/*.parquet"))
    tested = []
    for split in range(3):
        prepare(run, *of_set, "--splits", f"split{split}")
        labels = tables.read_table(Store(str(run)), "labels").to_pylist()
        tested.append({row["movie_id"] for row in labels if row["part"] == "test"})
        assert tested[-1] == {MOVIES.names[row] for row in MOVIES.rows_of(2, split)}
    assert sorted(run.glob("[fo]*/*/*.parquet")) == before
    assert tested[0] != tested[1] != tested[2]


def test_a_model_is_trained_and_tested_on_the_published_parts(
    imported: Path, tmp_path: Path, driver: Driver
) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    shutil.copytree(imported, run)
    trained = invoke("train_model", run, "--bundle", bundle, *LOGISTIC, *FEW)
    assert trained.exit_code == 0, trained.output
    manifest = read_bundle(Store(str(bundle))).manifest
    assert manifest.training.links == {"train": 135, "validation": 25, "test": 40}
    assert manifest.backbone.width == 16
    assert (manifest.test.measures["model"]["mean_ap"] or 0) > 0.95
    ended = driver.run("evaluate_model", [str(run), "--bundle", str(bundle)])
    assert ended.code == 0
    # `score` would refuse: no video has such features.
    assert f"next: trailergenre predict {run} --bundle {bundle}\n" in ended.output
    assert (run / "reports" / "evaluation.html").is_file()


@pytest.mark.parametrize(("zarr_format", "is_zip"), [(2, True), (3, False)])
def test_trailers15k_has_a_group_for_each_part(
    zarr_format: Literal[2, 3], is_zip: bool, tmp_path: Path
) -> None:
    directory = write_trailers15k(tmp_path / "set", MOVIES, zarr_format=zarr_format, is_zip=is_zip)
    run = tmp_path / "run"
    summary, _ = prepare(run, "--external", "trailers15k", directory)
    assert (summary["network"], summary["links_with_part"]) == ("trailers15k/inception_v3", 200)
    assert_whole(run, 200, N_FRAMES)
    if is_zip:
        trained = invoke("train_model", run, "--bundle", tmp_path / "bundle", *LOGISTIC, *FEW)
        assert trained.exit_code == 0, trained.output


def test_every_label_and_every_array_is_counted_and_repairs_are_taken(tmp_path: Path) -> None:
    movies = make_movies(12, frames=(2, 4))
    group = write_trailers12k(tmp_path / "set", movies, zarr_format=3)
    run = tmp_path / "run"
    shutil.rmtree(group / movies.names[0])
    broken = movies.names[1:4]
    for name in broken:
        shutil.rmtree(group / name / "c")
    labels = (tmp_path / "set" / "mtgc.csv").read_text().splitlines()
    (tmp_path / "set" / "mtgc.csv").write_text("\n".join(labels[:-2]))
    of_set = ("--external", "trailers12k", tmp_path / "set")
    summary, said = prepare(run, *of_set)
    assert summary["rows"] == 12
    counts = {name: n for name, n in summary["by_row_outcome"].items() if n}
    assert counts == {"ready": 9, "no_array": 1, "no_label": 2}
    assert summary["by_outcome"] == {"ok": 6, "bad_array": 3}
    assert f"broken arrays, which have no features: 3. {broken[0]}: the array" in said
    n_files = len(list(run.glob("outcomes/*/*.parquet")))
    prepare(run, *of_set)
    assert len(list(run.glob("outcomes/*/*.parquet"))) == n_files  # broken as before
    for row, name in enumerate(broken, start=1):
        shutil.rmtree(group / name)
        write_group(tmp_path / "new.zarr", [(name, movies.arrays[row])], zarr_format=3)
        shutil.move(tmp_path / "new.zarr" / name, group / name)
        shutil.rmtree(tmp_path / "new.zarr")
    summary, said = prepare(run, *of_set)
    assert summary["by_outcome"] == {"ok": 9}
    assert "broken" not in said
    assert CliRunner().invoke(app, ["verify", str(run)]).exit_code == 0


def test_a_killed_import_goes_on(trailers12k: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    slow = (
        "import sys, time, trailergenre.links.external.features as f\n"
        "f._COMMIT_LINKS, write = 20, f.write_commit\n"
        "f.write_commit = lambda *a, **k: (write(*a, **k), time.sleep(0.2))\n"
        "from trailergenre.__main__ import main; main()"
    )
    words = ["prepare", str(run), "--external", "trailers12k", str(trailers12k)]
    process = subprocess.Popen([sys.executable, "-c", slow, *words], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while len(list(run.glob("outcomes/*/*.parquet"))) < 2 and time.monotonic() < until:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = {path: path.stat().st_mtime_ns for path in run.glob("features/*/*.parquet")}
    assert 2 <= len(before) < 10
    assert not (run / "labels").exists()
    summary, _ = prepare(run, "--external", "trailers12k", trailers12k)
    assert summary["by_outcome"] == {"ok": 200}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    rows = outcomes_table.read_all_outcomes(Store(str(run)), summary["features"])
    assert len(rows) == 200  # no array was taken twice
    assert_whole(run, 200, N_FRAMES)


def test_the_movienet_split_names_the_movies_that_were_measured(
    data_dir: Path, tmp_path: Path
) -> None:
    imdb, movienet = data_dir / "imdb5000", data_dir / "movienet"
    listed = ("--links", imdb / "trailer_source.csv", "--metadata", imdb / "movie_metadata.csv")
    split = ("--splits", movienet / "splits.json")
    movies = ("--split-movies", movienet / "trailers_genres_clean.csv")
    # Its trailers are rarely those of the original project.
    assert prepare(tmp_path / "videos", *listed, *split)[0]["links_with_part"] == 554
    prepare(tmp_path / "movies", *listed, *split, *movies)
    labels = tables.read_table(Store(str(tmp_path / "movies")), "labels").to_pylist()
    parts = Counter({row["movie_id"]: row["part"] for row in labels}.values())
    assert parts == {"train": 1916, "validation": 266, "test": 490, None: 1064}


def small(tmp_path: Path, name: str = "small", value: int = 1) -> Path:
    directory = tmp_path / name
    directory.mkdir()
    np.savez(directory / "f.npz", a=np.array([[value, 2.0]], np.float32))
    (directory / "labels.csv").write_text("id,genres\na,Drama\n")
    return directory


def test_external_features_are_not_downloaded(tmp_path: Path, tiny_backbone: Path) -> None:
    run = tmp_path / "run"
    _, said = prepare(run, "--external", "table", small(tmp_path))
    assert f"next: trailergenre train {run} --bundle DIR\n" in said
    ended = invoke("featurize", run, "--set", f"backbone.path={tiny_backbone}")
    assert ended.exit_code == 2
    assert "holds external features, which need no download" in ended.output


def test_other_external_features_need_another_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    prepare(run, "--external", "table", small(tmp_path))
    ended = invoke("prepare_dataset", run, "--external", "table", small(tmp_path, "other", 7))
    assert ended.exit_code == 2
    assert "holds other features" in ended.output
    assert_whole(run, 1, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give --links or --external, one of them"),
        (["--links", "x", "--external", "table", "y"], "Give --links or --external, one of them"),
        (["--external", "table", "y", "--unlabelled"], "combined with --splits only"),
        (["--external", "table", "y", "--metadata", "z"], "combined with --splits only"),
        (["--links", "x.csv", "--split-movies", "z.csv"], "--split-movies needs --splits"),
        (["--links", "x.csv", "--unlabelled", "--splits", "z"], "--unlabelled ignores genres"),
        (["--external", "table", "none"], "There is no file"),
        (["--external", "mmtf", "."], "--external has the forms trailers12k, trailers15k, table"),
    ],
)
def test_options_that_do_not_go_together_end_with_2(
    options: list[str], message: str, tmp_path: Path
) -> None:
    ended = invoke("prepare_dataset", tmp_path / "run", *options)
    assert ended.exit_code == 2
    assert message in ended.output

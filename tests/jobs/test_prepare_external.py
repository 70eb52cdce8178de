"""External features through the job: runs that other commands treat like any other."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from submits import load_job
from trailergenre.base.config import DatasetConfig
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.links.labelled_links import Part
from trailergenre.models.training_set import prepare_training
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint


def invoke(job: str, *arguments: object) -> Result:
    # Usage errors are wrapped at the terminal's width.
    return CliRunner(env={"COLUMNS": "200"}).invoke(load_job(job).app, [str(a) for a in arguments])


def prepare(run: Path, *options: object) -> tuple[dict[str, Any], str]:
    """Prepare a run successfully; return its summary and stderr."""
    ended = invoke("prepare_dataset", run, *options)
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout.splitlines()[-1]), ended.stderr


def assert_whole(run: Path, links: int) -> None:
    """Assert that `verify` and `status` report a finished run."""
    verified = CliRunner().invoke(app, ["verify", str(run), "--json"])
    assert verified.exit_code == 0, verified.output
    report = json.loads(verified.stdout)
    assert (report["by_outcome"], report["frames"]) == ({"ok": links}, links)
    assert "not recorded" not in verified.stdout
    assert "sandbox:" not in verified.stdout
    store = Store(str(run))
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    assert set(outcomes["sandbox"].to_pylist()) == {"not needed"}
    status = CliRunner().invoke(app, ["status", str(run)])
    assert f"{links} ok, 0 failed of {links} links" in status.stdout


def test_mmtf_keeps_its_own_genres(data_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    path = data_dir / "mmtf" / "trailer_visual_avg.csv"
    summary, said = prepare(run, "--published", path)
    assert summary["by_row_outcome"]["ready"] == summary["rows"] == summary["movies"] == 1807
    assert list(summary["movies_by_genre"].items())[:2] == [("Drama", 824), ("Comedy", 666)]
    assert (summary["width"], summary["replaced_cells"]) == (107, 16)
    assert "16 cells were not finite" in said
    assert_whole(run, 1807)
    before = sorted(run.rglob("*.parquet"))
    prepare(run, "--published", path)
    assert sorted(run.rglob("*.parquet")) == before
    store = Store(str(run))
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    (features,) = (table["features"] for table in features_table.iter_features(store, outcomes))
    values = np.array(features.to_pylist())
    assert np.isfinite(values).all()
    assert np.abs(values).max() > 3e15


def test_mmtf_takes_the_genres_of_the_metadata_by_title_and_year(
    data_dir: Path, tmp_path: Path
) -> None:
    path = data_dir / "mmtf" / "trailer_visual_avg.csv"
    metadata = data_dir / "imdb5000" / "movie_metadata.csv"
    summary, _ = prepare(tmp_path / "run", "--published", path, "--metadata", metadata)
    counts = {name: n for name, n in summary["by_row_outcome"].items() if n}
    assert counts == {"ready": 973, "no_label": 834}
    assert summary["movies"] == 973
    labels = tables.read_table(Store(str(tmp_path / "run")), "labels").to_pylist()
    by_title = {row["title"]: (row["movie_id"], row["genres"]) for row in labels}
    assert by_title["Terminator, The (1984)"] == ("tt0088247", ["Action", "Sci-Fi"])
    assert by_title["Celebration, The (Festen) (1998)"] == ("tt0154420", ["Drama"])
    assert_whole(tmp_path / "run", 973)


def test_mulans_official_split_is_what_a_model_is_tested_on(data_dir: Path, tmp_path: Path) -> None:
    summary, _ = prepare(tmp_path / "run", "--published", data_dir / "mulan")
    assert (summary["links"], summary["width"]) == (2407, 294)
    assert_whole(tmp_path / "run", 2407)
    store = Store(str(tmp_path / "run"))
    outcomes = outcomes_table.read_outcomes(store, summary["features"])
    labels = tables.read_table(store, "labels")
    training = prepare_training(
        labels, outcomes, DatasetConfig(split="given"), shuffle_labels=False
    )
    sizes = {part: len(training.rows_of(part)) for part in Part}
    assert sizes[Part.TEST] == 1196
    assert sizes[Part.TRAIN] + sizes[Part.VALIDATION] == 1211
    assert training.links_without_part == 0


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
    path = tmp_path / f"{name}.csv"
    path.write_text(f'itemId,title,genres,embedding\n1,A,Drama,"{value},2"\n')
    return path


def test_external_features_are_not_downloaded(tmp_path: Path, tiny_backbone: Path) -> None:
    run = tmp_path / "run"
    _, said = prepare(run, "--published", small(tmp_path))
    assert f"next: trailergenre train {run} --bundle DIR" in said
    ended = invoke("featurize", run, "--set", f"backbone.path={tiny_backbone}")
    assert ended.exit_code == 2
    assert "holds external features, which need no download" in ended.stderr


def test_other_external_features_need_another_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    prepare(run, "--published", small(tmp_path))
    ended = invoke("prepare_dataset", run, "--published", small(tmp_path, "other", 7))
    assert ended.exit_code == 2
    assert "holds other features" in ended.stderr
    assert_whole(run, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Give --links or --published, one of them"),
        (["--links", "x.csv", "--published", "y.csv"], "Give --links or --published, one of them"),
        (["--published", "y.csv", "--unlabelled"], "combined with --metadata only"),
        (["--published", "y.csv", "--splits", "z.json"], "combined with --metadata only"),
        (["--links", "x.csv", "--split-movies", "z.csv"], "--split-movies needs --splits"),
        (["--links", "x.csv", "--unlabelled", "--splits", "z"], "--unlabelled ignores genres"),
        (["--published", "none.csv"], "There is no file"),
    ],
)
def test_options_that_do_not_go_together_end_with_2(
    options: list[str], message: str, tmp_path: Path
) -> None:
    ended = invoke("prepare_dataset", tmp_path / "run", *options)
    assert ended.exit_code == 2
    assert message in ended.stderr


def test_metadata_cannot_be_joined_to_data_without_titles(data_dir: Path, tmp_path: Path) -> None:
    metadata = data_dir / "imdb5000" / "movie_metadata.csv"
    ended = invoke(
        "prepare_dataset", tmp_path, "--published", data_dir / "mulan", "--metadata", metadata
    )
    assert ended.exit_code == 2
    assert "mulan names no movies, so --metadata cannot be joined" in ended.stderr

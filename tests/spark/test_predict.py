from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from bundles import make_bundle
from runs import GENRES, Movie, labelled, links_table, make_movies, make_run
from submits import load_job
from trailergenre.base.config import ForestConfig, RowsConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.storage import Store
from trailergenre.cli.stages import predict as stage
from trailergenre.links.labelled_links import genre_matrix
from trailergenre.models.estimators.forest import fit_forest
from trailergenre.models.pooling import iter_links, link_rows
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.plan import read_ready_rows
from trailergenre.spark.feature_files import FeatureFiles, to_lists
from trailergenre.spark.predict import rank_genres, write_scores

pytestmark = pytest.mark.slow


def test_ranks_count_from_the_most_probable_genre() -> None:
    probabilities, thresholds = np.array([[0.1, 0.9], [0.5, 0.5]]), np.array([0.2, 0.5])
    links = pa.RecordBatch.from_pydict(
        {
            "link_id": ["a", "b"],
            "probabilities": to_lists(probabilities),
            "row": pa.array([1, 2]),
            **{name: [f"{name} a", f"{name} b"] for name in ("url", "title", "other")},
        }
    )
    scores = rank_genres(links, ("Action", "Drama"), thresholds)
    assert [tuple(row.values()) for row in scores.to_pylist()] == [
        ("a", "Action", 0.1, 0.2, False, 2, 1, "url a", "title a", "other a"),
        ("a", "Drama", 0.9, 0.5, True, 1, 1, "url a", "title a", "other a"),
        ("b", "Action", 0.5, 0.2, True, 1, 2, "url b", "title b", "other b"),
        ("b", "Drama", 0.5, 0.5, True, 2, 2, "url b", "title b", "other b"),
    ]


def test_the_cluster_scores_as_one_machine_does(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "run"))
    movies = make_movies(20, frames=2)
    fingerprint = make_run(store, movies)
    outcomes = outcomes_table.read_outcomes(store, fingerprint)
    link_of = {movie.link.link_id: movie.link for movie in movies}
    links = [link for file in iter_links(store, outcomes) for link in file]
    rows = np.concatenate([link_rows(link, "pooled", RowsConfig()) for link in links])
    truth = genre_matrix([link_of[link.link_id] for link in links], GENRES)
    forest = fit_forest(rows, truth, ForestConfig(trees=5, parallelism=1))
    bundle = make_bundle(Store(str(tmp_path / "bundle")), model=forest)
    ready = read_ready_rows(store)
    for wanted in (list(link_of)[:3], link_of):  # the second replaces the first
        found = FeatureFiles(spark, store, outcomes, wanted).scores(bundle.scorer)
        assert write_scores(found, ready, bundle.manifest, store) == len(wanted)
        assert tables.list_stale(store, "scores") == []
    scores = tables.read_table(store, "scores")
    assert len(scores) == len(links) * len(GENRES)
    expected = bundle.scorer.predict_proba(links)
    link_ids = [link.link_id for link in links]
    listed = {row["link_id"]: row for row in tables.read_table(store, "links").to_pylist()}
    for row in scores.to_pylist():
        source = listed[row["link_id"]]
        assert {name: row[name] for name in source.keys() & row.keys()}.items() <= source.items()
        place, column = link_ids.index(row["link_id"]), GENRES.index(row["genre"])
        assert row["probability"] == expected[place, column]
        assert row["rank"] == 1 + sum(expected[place] > expected[place, column]) + sum(
            expected[place, :column] == expected[place, column]
        )


def test_the_job_scores_the_links_of_the_list_alone(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, bundle = Store(str(tmp_path / "run")), tmp_path / "bundle"
    gone, *kept = make_movies(4, frames=2)
    failed = [Movie(labelled(name, []), None) for name in ("failed", "failed and gone")]
    make_run(store, [gone, *kept, *failed])
    listed = [*(movie.link for movie in kept), failed[0].link, labelled("not taken yet", [])]
    tables.write_table(store, "links", links_table(listed))
    make_bundle(Store(str(bundle)))
    job = load_job("predict_genres")
    monkeypatch.setattr(stage, "spark_session", lambda name, store, *_: nullcontext(spark))
    ended = CliRunner().invoke(job.app, [str(store), "--bundle", str(bundle)])
    assert ended.exit_code == 0, ended.output
    summary = json.loads(ended.stdout)
    assert (summary["links"], summary["scored"]) == (5, 3)
    assert summary["not_scored"] == {"not_media": 1, "deferred": 1}
    scored = set(tables.read_table(store, "scores")["link_id"].to_pylist())
    assert scored == {movie.link.link_id for movie in kept}


def test_scores_that_are_killed_on_their_way_leave_the_old_ones(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path / "run"))
    outcomes = outcomes_table.read_outcomes(store, make_run(store, make_movies(6, frames=2)))
    ready = read_ready_rows(store)
    bundle = make_bundle(Store(str(tmp_path / "bundle")))

    def score(n_links: int) -> None:
        wanted = ready["link_id"].to_pylist()[:n_links]
        found = FeatureFiles(spark, store, outcomes, wanted).scores(bundle.scorer)
        write_scores(found, ready, bundle.manifest, store)

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tables, "replace_files", end)
        score(2)
    assert len(tables.list_stale(store, "scores")) == 1
    with pytest.raises(ConfigError, match="There is no table 'scores'"):
        tables.read_table(store, "scores")
    score(3)
    first = tables.read_table(store, "scores")
    assert tables.list_stale(store, "scores") == []
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tables, "replace_files", end)
        score(4)
    assert tables.read_table(store, "scores").equals(first)
    score(4)
    assert len(tables.read_table(store, "scores")) == 4 * len(bundle.manifest.genres)
    assert tables.list_stale(store, "scores") == []

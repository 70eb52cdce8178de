from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from bundles import make_bundle
from runs import GENRES, make_movies, make_run
from trailergenre import tables
from trailergenre.config import ForestConfig
from trailergenre.forest_fit import fit_forest
from trailergenre.pooling import pool_links as pool_here
from trailergenre.spark.pooling import pool_links
from trailergenre.spark.predict import score_links, to_scores, write_scores
from trailergenre.splits import genre_matrix
from trailergenre.storage import Store


def test_ranks_count_from_the_most_probable_genre() -> None:
    scores = to_scores(["a", "b"], np.array([[0.1, 0.9], [0.5, 0.5]]), ("Action", "Drama"))
    assert scores.to_pylist() == [
        {"link_id": "a", "genre": "Action", "probability": 0.1, "rank": 2},
        {"link_id": "a", "genre": "Drama", "probability": 0.9, "rank": 1},
        {"link_id": "b", "genre": "Action", "probability": 0.5, "rank": 1},
        {"link_id": "b", "genre": "Drama", "probability": 0.5, "rank": 2},
    ]


def test_the_cluster_scores_as_one_machine_does(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "run"))
    movies = make_movies(20, frames=2)
    fingerprint = make_run(store, movies)
    outcomes = tables.read_outcomes(store, fingerprint)
    link_of = {movie.link.link_id: movie.link for movie in movies}
    link_ids, rows = pool_here(store, outcomes, link_of)
    truth = genre_matrix([link_of[i] for i in link_ids], GENRES)
    forest = fit_forest(rows, truth, ForestConfig(trees=5, parallelism=1))
    bundle = make_bundle(Store(str(tmp_path / "bundle")), forest=forest)
    for _ in range(2):  # the second replaces the first
        write_scores(score_links(pool_links(spark, store, outcomes, link_ids), bundle), store)
    scores = tables.read_table(store, "scores")
    assert len(scores) == len(link_ids) * len(GENRES)
    expected = bundle.predict_proba(rows)
    for row in scores.to_pylist():
        place, column = link_ids.index(row["link_id"]), GENRES.index(row["genre"])
        assert row["probability"] == expected[place, column]
        assert row["rank"] == 1 + sum(expected[place] > expected[place, column]) + sum(
            expected[place, :column] == expected[place, column]
        )

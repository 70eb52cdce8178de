"""Forests of which each tree is grown by a task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from runs import GENRES, make_movies, make_run
from trailergenre.base.config import ForestConfig, RowsConfig
from trailergenre.base.records import TruthArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import genre_matrix
from trailergenre.models.estimators.forest import check_forest, fit_forest, to_bytes
from trailergenre.models.pooled_table import iter_pooled
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.spark.training.spread_forest import LocalRows, grow_forest

CONFIG = ForestConfig(trees=7, max_depth=5, rows_per_tree=20)
ROWS = RowsConfig()


def make(directory: Path) -> tuple[LocalRows, TruthArray]:
    """Links of a made run, in an order that is not that of its files."""
    store = Store(str(directory))
    movies = sorted(make_movies(30), key=lambda movie: movie.link.movie_id)
    outcomes = outcomes_table.read_outcomes(store, make_run(store, movies[::-1], links_per_file=7))
    links = [movie.link for movie in movies[:25]]
    link_ids = [link.link_id for link in links]
    files = features_table.group_by_file(tables.filter_links(outcomes, link_ids))
    return LocalRows(store, files, link_ids, ROWS), genre_matrix(links, GENRES)


def test_the_forest_is_that_of_one_machine(spark: SparkSession, tmp_path: Path) -> None:
    rows, truth = make(tmp_path)
    forest = grow_forest(spark, rows, truth, CONFIG)
    check_forest(forest)
    row_of = {}
    for file in tables.iter_rows(rows.files):
        for pooled in iter_pooled(rows.store, features_table.rows_of_file(file), ROWS):
            row_of |= zip(pooled.link_ids, pooled.rows, strict=True)
    X = np.stack([row_of[link_id] for link_id in rows.link_ids])
    assert to_bytes(forest) == to_bytes(fit_forest(X, truth, CONFIG))
    # Another seed is another forest: the comparison can fail.
    other = CONFIG.model_copy(update={"seed": 8})
    assert to_bytes(forest) != to_bytes(fit_forest(X, truth, other))

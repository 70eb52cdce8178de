from __future__ import annotations

from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession
from trailergenre.spark.pooling import collect_pooled, pool_links

from runs import Movie, labelled, make_movies, make_run
from trailergenre import pooling, tables
from trailergenre.storage import Store


def test_the_cluster_pools_the_same_bytes_as_one_machine(
    spark: SparkSession, tmp_path: Path
) -> None:
    store = Store(str(tmp_path))
    movies = [*make_movies(11), Movie(labelled("broken", ["Drama"]), None)]
    fingerprint = make_run(store, movies, links_per_file=3)
    outcomes = tables.read_outcomes(store, fingerprint)
    wanted = [movie.link.link_id for movie in movies[2:]]
    expected_ids, expected = pooling.pool_links(store, outcomes, wanted)
    link_ids, rows = collect_pooled(pool_links(spark, store, outcomes, wanted))
    assert link_ids == expected_ids
    assert len(link_ids) == 9
    np.testing.assert_array_equal(rows, expected)


def test_no_link_gives_no_row(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    fingerprint = make_run(store, make_movies(3))
    outcomes = tables.read_outcomes(store, fingerprint)
    link_ids, rows = collect_pooled(pool_links(spark, store, outcomes, ["unknown"]))
    assert link_ids == []
    assert rows.shape == (0, pooling.N_POOLED)

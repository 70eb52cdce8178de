from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from runs import Movie, labelled, make_movies, make_run
from trailergenre.base.config import RowsConfig
from trailergenre.base.records import RowKind
from trailergenre.base.storage import Store
from trailergenre.models.pooling import iter_links, training_rows
from trailergenre.runs import outcomes_table
from trailergenre.spark.feature_files import FeatureFiles, collect_rows


@pytest.mark.parametrize("kind", ["pooled", "frames"])
def test_the_cluster_makes_the_same_rows_as_one_machine(
    spark: SparkSession, tmp_path: Path, kind: RowKind
) -> None:
    store = Store(str(tmp_path))
    movies = [*make_movies(11), Movie(labelled("broken", ["Drama"]), None)]
    outcomes = outcomes_table.read_outcomes(store, make_run(store, movies, links_per_file=3))
    wanted = [movie.link.link_id for movie in movies[2:]]
    config = RowsConfig(frames_per_link=2)
    here = [link for links in iter_links(store, outcomes, wanted) for link in links]
    expected = {link.link_id: training_rows(link, kind, config) for link in here}
    files = FeatureFiles(spark, store, outcomes, wanted)
    link_ids, rows = collect_rows(files.training_rows(kind, config))
    assert sorted(set(link_ids)) == sorted(expected)
    assert len(expected) == 9
    np.testing.assert_array_equal(rows, np.concatenate([expected[i] for i in sorted(expected)]))


def test_no_link_gives_no_row(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    outcomes = outcomes_table.read_outcomes(store, make_run(store, make_movies(3)))
    files = FeatureFiles(spark, store, outcomes, ["unknown"])
    link_ids, rows = collect_rows(files.training_rows("pooled", RowsConfig()))
    assert (link_ids, len(rows)) == ([], 0)

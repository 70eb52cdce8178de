from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import trailergenre as tg
from runs import make_movies, make_run
from trailergenre.base.storage import Store

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_spark_reads_the_tables_that_pandas_reads(spark: SparkSession, tmp_path: Path) -> None:
    make_run(Store(str(tmp_path)), make_movies(3))
    run = tg.open_run(tmp_path)
    frames = run.spark(spark)
    assert set(frames) == {"links", "labels", "outcomes", "features"}
    for name in ("links", "labels", "outcomes"):
        assert frames[name].count() == len(getattr(run, name)())
    by_id = dict(run.iter_features())
    rows = frames["features"].orderBy("link_id", "frame_index").collect()
    assert len(rows) == sum(map(len, by_id.values()))
    for link_id, features in by_id.items():
        read = [row["features"] for row in rows if row["link_id"] == link_id]
        np.testing.assert_array_equal(np.array(read, np.float32), features)

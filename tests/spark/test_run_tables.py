from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import trailergenre as tg
from results import run_program, write_run
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


def test_the_program_of_the_results_page_counts_current_frames(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "mine")
    names = run_program("Spark")
    assert set(names["run"]) == {"links", "labels", "outcomes", "features", "scores"}
    run = tg.open_run("runs/mine")
    genres = run.labels().set_index("link_id")["genres"]
    wanted = Counter(
        g for link_id, x in run.iter_features() for g in list(genres[link_id]) * len(x)
    )
    assert {row["genre"]: row["count"] for row in names["frames"].collect()} == wanted


def test_views_of_spark_sql_give_the_rows_of_the_python_api(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "mine")
    run_program("Features without this package", "import SparkSession")
    rows = spark.sql("SELECT * FROM features ORDER BY link_id, frame_index").collect()
    expected = sorted(tg.open_run("runs/mine").iter_features())
    received = np.array([row["features"] for row in rows], np.float32)
    np.testing.assert_array_equal(received, np.concatenate([x for _, x in expected]))
    assert [row["link_id"] for row in rows] == [link_id for link_id, x in expected for _ in x]

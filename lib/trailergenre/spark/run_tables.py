"""A run's tables as DataFrames, for notebooks and users' own jobs."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession

from trailergenre.base.storage import Store
from trailergenre.runs import tables


def read_run_tables(spark: SparkSession, store: Store, fingerprint: str) -> dict[str, DataFrame]:
    """Read links, labels, outcomes, the features of one fingerprint, and scores if there are any.

    Features are those that current outcomes name: files of unfinished tasks are left out.
    """
    outcomes = tables.read_outcomes(store, fingerprint)
    frames = {"outcomes": spark.createDataFrame(outcomes)}
    for name in ("links", "labels", "scores"):
        if store.exists(name):
            frames[name] = spark.createDataFrame(tables.read_table(store, name))
    paths = [store.spark_path(path) for path in tables.feature_files(outcomes)]
    if paths:
        current = frames["outcomes"].select("link_id", "commit")
        features = spark.read.parquet(*paths).join(current, ["link_id", "commit"], "leftsemi")
        frames["features"] = features.drop("commit")
    return frames

"""A run's tables as DataFrames, for notebooks and users' own jobs."""

from __future__ import annotations

import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table, tables
from trailergenre.spark.feature_files import FeatureFiles
from trailergenre.spark.versions import from_arrow


def read_run_tables(spark: SparkSession, store: Store, fingerprint: str) -> dict[str, DataFrame]:
    """Read links, labels, outcomes, the features of one fingerprint, and scores if there are any.

    Features are those that current outcomes name: files of unfinished tasks are left out.
    """
    outcomes = outcomes_table.read_outcomes(store, fingerprint)
    frames = {"outcomes": from_arrow(spark, outcomes)}
    for name in ("links", "labels", "scores"):
        if tables.list_files(store, name) is not None:
            frames[name] = from_arrow(spark, tables.read_table(store, name))
    if pc.any(pc.equal(outcomes["outcome"], Outcome.OK.value)).as_py():
        frames["features"] = FeatureFiles(spark, store, outcomes).frames()
    return frames

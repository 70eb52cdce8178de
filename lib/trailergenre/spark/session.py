"""The one place that makes a Spark session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark.sql import SparkSession

from trailergenre.errors import StorageError
from trailergenre.storage import Store


@contextmanager
def spark_session(app_name: str) -> Iterator[SparkSession]:
    """Give the session that spark-submit configured, and stop it at the end.

    Everything that depends on the cluster stands in Spark's own properties file
    (`conf/spark-*.conf`); only what correctness needs is set here.
    """
    # Executors must run the driver's interpreter, or they start the system's Python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spark = (
        SparkSession.builder.appName(app_name)
        .config("spark.sql.session.timeZone", "UTC")
        # Silence about lost files would be loss.
        .config("spark.sql.files.ignoreCorruptFiles", "false")
        .config("spark.sql.files.ignoreMissingFiles", "false")
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    try:
        yield spark
    finally:
        spark.stop()


def slots(spark: SparkSession) -> int:
    """Tasks that can run at the same time."""
    return max(1, spark.sparkContext.defaultParallelism)


def check_storage_is_shared(spark: SparkSession, store: Store) -> None:
    """Refuse a worker-local path on a cluster: a probe the driver wrote must be seen by workers.

    Raises:
        StorageError: some worker does not see it.
    """
    probe = "_probe"
    store.write_bytes(probe, b"seen")
    n_tasks = slots(spark)
    seen = (
        spark.sparkContext.parallelize(range(n_tasks), n_tasks)
        .map(lambda _: store.exists(probe))
        .collect()
    )
    store.delete(probe)
    if not all(seen):
        raise StorageError(
            f"Not every worker sees {store}. Use a path that is mounted on all of them, "
            "or an s3://, gs:// or hdfs:// address."
        )

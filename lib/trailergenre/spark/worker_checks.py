"""Checks before a run that every worker has the Python packages and sees the run."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from socket import gethostname
from uuid import uuid4

from pyspark.sql import SparkSession

from trailergenre.base.errors import ClusterError, StorageError
from trailergenre.base.storage import Store

_MODULES = (
    *("trailergenre", "deno", "ffmpeg", "idna", "imageio_ffmpeg", "numpy", "onnxruntime", "psutil"),
    *("pyarrow", "pydantic", "tenacity", "yt_dlp"),
)

ADVICE = (
    "Ship dist/environment.tar.gz and dist/trailergenre.zip, as conf/spark-standalone.conf does "
    "(make zip writes them), or install the package on every machine."
)


def check_packages(spark: SparkSession, n_slots: int) -> None:
    """Refuse workers that lack a package; all slots must be free, so that each gets one task."""
    modules = _MODULES

    # Travels by value: a reference to this module would make workers import what they may lack.
    def look_up(_: int) -> tuple[str, list[str]]:
        missing = [module for module in modules if find_spec(module) is None]
        return f"{gethostname()} ({sys.executable})", missing

    workers = spark.sparkContext.parallelize(range(n_slots), n_slots).map(look_up).collect()
    missing = sorted({f"{module} on {worker}" for worker, names in workers for module in names})
    if missing:
        raise ClusterError(f"Workers lack Python modules: {'; '.join(missing)}. {ADVICE}")


def check_storage_is_shared(spark: SparkSession, store: Store, n_slots: int) -> None:
    """Refuse storage on which a worker does not see a file that the driver wrote."""
    # A name of its own: two jobs on one run must not delete each other's probe.
    probe = f"_probe-{uuid4().hex}"
    store.write_bytes(probe, b"seen")
    tasks = spark.sparkContext.parallelize(range(n_slots), n_slots)
    try:
        is_seen = tasks.map(lambda _: store.exists(probe)).collect()
    finally:
        store.delete(probe)
    if not all(is_seen):
        raise StorageError(
            f"Not every worker sees {store}. Use a path that is mounted on all of them, "
            "or an s3://, gs:// or hdfs:// address."
        )

"""Checks that every worker has what the driver has: Python packages, the run and the secrets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from socket import gethostname
from typing import TypeVar
from uuid import uuid4

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from trailergenre.base.errors import ClusterError, ConfigError, StorageError
from trailergenre.base.storage import Store

T = TypeVar("T")

_MODULES = ("trailergenre", "numpy", "pandas", "psutil", "pyarrow", "pydantic", "rich")
"""What the tasks of every job import."""

SCORING = ("onnxruntime", "safetensors")
DOWNLOADS = (*SCORING, "deno", "ffmpeg", "idna", "imageio_ffmpeg", "yt_dlp")
FORESTS = (*SCORING, "sklearn")
SEARCH = (*FORESTS, "iterstrat")
PUBLISHING = ("pymongo", "tenacity")
"""What the tasks of one job import besides."""

ADVICE = (
    "Ship dist/environment.tar.gz and dist/trailergenre.zip, as conf/spark-standalone.conf does "
    "(make zip writes them), or install the package on every machine."
)


def check_packages(spark: SparkSession, modules: Sequence[str], n_slots: int) -> None:
    """Refuse workers that lack a package that every job needs, or one of the job's own `modules`.

    All slots must be free, so that each gets one task.
    """
    modules = (*_MODULES, *modules)

    # Travels by value: a reference to this module would make workers import what they may lack.
    def look_up(_: int) -> list[str]:
        place = f"{gethostname()} ({sys.executable})"
        return [f"{module} on {place}" for module in modules if find_spec(module) is None]

    missing = sorted(
        {each for lacking in _ask(spark, look_up, "array<string>", n_slots) for each in lacking}
    )
    if missing:
        raise ClusterError(f"Workers lack Python modules: {'; '.join(missing)}. {ADVICE}")


def check_storage_is_shared(spark: SparkSession, store: Store, n_slots: int) -> None:
    """Refuse storage on which a worker does not see a file that the driver wrote."""
    # A name of its own: two jobs on one run must not delete each other's probe.
    probe = f"_probe-{uuid4().hex}"
    store.write_bytes(probe, b"seen")
    try:
        is_seen = _ask(spark, lambda _: store.exists(probe), "boolean", n_slots)
    finally:
        store.delete(probe)
    if not all(is_seen):
        raise StorageError(
            f"Not every worker sees {store}. Use a path that is mounted on all of them, "
            "or an s3://, gs://, abfss:// or hdfs:// address."
        )


def _ask(spark: SparkSession, question: Callable[[int], T], kind: str, n_slots: int) -> list[T]:
    """Collect each slot's answer; rows in pickles, since a worker may lack what Arrow needs."""
    answer = F.udf(question, kind, useArrow=False)
    return [row[0] for row in spark.range(0, n_slots, 1, n_slots).select(answer("id")).collect()]


@contextmanager
def reading_secrets() -> Iterator[None]:
    """Name this worker where it lacks a secret that the driver has."""
    try:
        yield
    except ConfigError as error:
        raise ClusterError(
            f"Worker {gethostname()}: {error} Every worker reads its own environment and files; "
            "docs/cluster.md says how to give it the driver's."
        ) from None

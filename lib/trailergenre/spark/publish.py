"""Publishes the features of a run to MongoDB: one task and one client per features file.

No feature crosses the JVM: the rows that locate a file go in, counts come out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark import TaskContext
from pyspark.sql import SparkSession

from trailergenre.base import fault_injection
from trailergenre.base.config import MongoConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import OnStep
from trailergenre.mongo.connection import Destination, read_destination
from trailergenre.mongo.published_links import PublishPlan, read_links
from trailergenre.mongo.publishing import PublishResult, publish_links
from trailergenre.runs import tables
from trailergenre.spark.session import spark_context
from trailergenre.spark.worker_checks import reading_secrets

_POLL_S = 5.0


def publish_documents(
    spark: SparkSession, plan: PublishPlan, destination: Destination, on_step: OnStep
) -> PublishResult:
    """Make the collections, after `prepare_collections`, equal to the links with features.

    The connection string is not sent: each worker reads its own, which must lead to the same
    servers. `on_step` gets the frames of the finished tasks every few seconds. If a task fails,
    what was written stays, and publishing again replaces it.
    """
    context = spark_context(spark)
    config, hosts = destination.config, destination.address.hosts
    store, fingerprint, faults = plan.store, plan.fingerprint, fault_injection.read_faults()
    frames_done = context.accumulator(0)

    def publish(rows: bytes) -> PublishResult:
        of_task = TaskContext.get()
        if of_task is not None:
            task, attempt = of_task.partitionId(), of_task.attemptNumber()
            fault_injection.arm(faults, task=task, attempt=attempt)
        links = read_links(store, tables.parse_parquet(rows))
        result = publish_links(_own_destination(config, hosts), fingerprint, links)
        frames_done.add(result.frames.documents)
        return result

    # As bytes: pickle would take the whole table along with a slice.
    files = [tables.to_parquet(rows) for rows in plan.links_by_file()]
    if not files:
        return PublishResult()
    with _repeat(lambda: on_step(frames_done.value, plan.n_frames)):
        results = context.parallelize(files, len(files)).map(publish).collect()
    return sum(results, PublishResult())


def _own_destination(config: MongoConfig, hosts: str) -> Destination:
    """Read this worker's connection string; a ConfigError if it does not lead to `hosts`."""
    with reading_secrets():
        own = read_destination(config)
        if own.address.hosts != hosts:
            raise ConfigError(
                f"The MongoDB connection string leads to {own.address.hosts}, the driver's to "
                f"{hosts}."
            )
    return own


@contextmanager
def _repeat(function: Callable[[], object]) -> Iterator[None]:
    """Call a function every few seconds while this thread waits for Spark."""
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(timeout=_POLL_S):
            function()

    thread = threading.Thread(target=poll, name="publish-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

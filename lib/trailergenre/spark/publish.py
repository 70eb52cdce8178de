"""The features of a run to MongoDB on the cluster: a task and a client for each features file.

What a document is and how it is written stands in `trailergenre.mongo`. No feature crosses the
JVM: the rows that name a file go in, counts come out.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import pyarrow as pa
from pyspark import Accumulator, TaskContext
from pyspark.sql import SparkSession

from trailergenre.base import fault_injection
from trailergenre.mongo import (
    Publishable,
    PublishCounts,
    Published,
    Target,
    publish_links,
    read_links,
)

_POLL_S = 5.0


def publish_documents(
    spark: SparkSession,
    source: Publishable,
    target: Target,
    *,
    report: Callable[[int], None],
) -> Published:
    """Bring the collections to what the links with features are.

    Args:
        spark: the session.
        source: the links.
        target: prepared. Its address travels inside the task's closure, so neither Spark's
            configuration nor an argument list ever holds it.
        report: called every few seconds with the frames of the finished tasks.

    Raises:
        PythonException: an executor could not write; what was written stays, and publishing again
            replaces it.
    """
    store, fingerprint, fault = source.store, source.fingerprint, fault_injection.read_fault()
    frames_done = spark.sparkContext.accumulator(0)

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        context = TaskContext.get()
        if context is not None:
            task, attempt = context.partitionId(), context.attemptNumber()
            fault_injection.arm(fault, task=task, attempt=attempt)
        for batch in batches:
            for content in batch["part"].to_pylist():
                part = pa.ipc.open_stream(content).read_all()
                counts = publish_links(target, fingerprint, read_links(store, part))
                frames_done.add(counts.frames.documents)
                yield pa.RecordBatch.from_pylist([{"counts": json.dumps(asdict(counts))}])

    parts = [(_to_bytes(part),) for part in source.parts()]
    if not parts:
        return Published()
    rows = spark.sparkContext.parallelize(parts, len(parts))
    with _reporting(frames_done, report):
        tasks = spark.createDataFrame(rows, "part binary").mapInArrow(write, "counts string")
        counts = [_from_json(row["counts"]) for row in tasks.collect()]
    return sum(counts, Published())


def _to_bytes(part: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.schema) as writer:
        writer.write_table(part)
    return bytes(sink.getvalue().to_pybytes())


def _from_json(text: str) -> Published:
    told = json.loads(text)
    frames, trailers = (
        PublishCounts(**{**told[name], "reasons": tuple(told[name]["reasons"])})
        for name in ("frames", "trailers")
    )
    return Published(frames, trailers)


@contextmanager
def _reporting(frames_done: Accumulator[int], report: Callable[[int], None]) -> Iterator[None]:
    """Report beside an action that blocks this thread (which Ctrl-C must be able to stop)."""
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(timeout=_POLL_S):
            report(frames_done.value)

    thread = threading.Thread(target=poll, name="publish-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

"""The features of a run -> MongoDB, written from the partitions.

What a document is and how it is written stands in `trailergenre.documents`.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Accumulator
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from trailergenre import documents, tables
from trailergenre.config import MongoConfig
from trailergenre.documents import MongoAddress, PublishCounts
from trailergenre.errors import StorageError
from trailergenre.outcomes import Outcome, RowOutcome
from trailergenre.spark.tables import read_features, read_table
from trailergenre.storage import Store

_COUNTS_SCHEMA = "documents long, matched long, upserted long"
_POLL_S = 5.0
_OUR_ERROR = re.compile(r"^trailergenre\.errors\.\w+: (.+)$", re.MULTILINE)


def read_publishable(spark: SparkSession, store: Store, fingerprint: str) -> DataFrame:
    """Read features with the title and genres of their link; without a label, no genres."""
    titles = (
        read_table(spark, store, "links")
        .where(F.col("row_outcome") == RowOutcome.READY.value)
        .select("link_id", "title")
    )
    genres = read_table(spark, store, "labels").select("link_id", "genres")
    return (
        read_features(spark, store, fingerprint)
        .join(titles, on="link_id", how="left")
        .join(genres, on="link_id", how="left")
        .select(
            "link_id",
            "frame_index",
            "frame_time_s",
            "features",
            F.coalesce("title", F.lit("")).alias("title"),
            F.coalesce("genres", F.array().cast("array<string>")).alias("genres"),
        )
    )


def count_frames(store: Store, fingerprint: str) -> int:
    """Rows of features that the run's outcomes promise; read without Spark, to check its work."""
    outcomes = tables.read_outcomes(store, fingerprint)
    ok = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    return int(pc.sum(ok["frames"]).as_py() or 0)


def write_frames(
    rows: DataFrame,
    address: MongoAddress,
    config: MongoConfig,
    *,
    fingerprint: str,
    report: Callable[[int], None],
) -> PublishCounts:
    """Write every row as a document, one client a partition.

    Args:
        rows: from `read_publishable`.
        address: travels inside the task's closure, so neither Spark's configuration nor an
            argument list ever holds it.
        config: database, collection, batch size.
        fingerprint: of the features.
        report: called every few seconds with the rows of the finished partitions.

    Raises:
        StorageError: an executor could not write; what was written stays, and publishing again
            replaces it.
    """
    rows_done = rows.sparkSession.sparkContext.accumulator(0)
    write = _partition_writer(address, config, fingerprint=fingerprint, rows_done=rows_done)
    try:
        with _reporting(rows_done, report):
            partitions = rows.mapInArrow(write, _COUNTS_SCHEMA).collect()
    except PySparkException as error:
        ours = _OUR_ERROR.search(str(error))
        if ours is None:
            raise
        raise StorageError(ours[1]) from None
    return sum((PublishCounts(**counts.asDict()) for counts in partitions), PublishCounts())


def _partition_writer(
    address: MongoAddress, config: MongoConfig, *, fingerprint: str, rows_done: Accumulator[int]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        total = PublishCounts()
        with documents.open_collection(address, config) as collection:
            for batch in batches:
                total += documents.write_documents(
                    collection,
                    documents.to_documents(batch, fingerprint=fingerprint),
                    batch_size=config.batch_size,
                )
        rows_done.add(total.documents)
        yield pa.RecordBatch.from_pydict(
            {
                "documents": [total.documents],
                "matched": [total.matched],
                "upserted": [total.upserted],
            }
        )

    return write


@contextmanager
def _reporting(rows_done: Accumulator[int], report: Callable[[int], None]) -> Iterator[None]:
    """Report beside an action that blocks this thread (which Ctrl-C must be able to stop)."""
    stop = threading.Event()

    def poll() -> None:
        while not stop.wait(timeout=_POLL_S):
            report(rows_done.value)

    thread = threading.Thread(target=poll, name="publish-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

"""The features of a run -> MongoDB: each task reads a whole features file and writes its documents.

What a document is and how it is written stands in `trailergenre.documents`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark import Accumulator
from pyspark.sql import SparkSession

from trailergenre import documents, tables
from trailergenre.config import MongoConfig
from trailergenre.documents import MongoAddress, PublishCounts
from trailergenre.errors import ConfigError
from trailergenre.outcomes import Outcome, RowOutcome
from trailergenre.storage import Store

_COUNTS_SCHEMA = "documents long, matched long, upserted long"
_POLL_S = 5.0


@dataclass(frozen=True, slots=True)
class Publishable:
    """What of a run is published; small, so that it travels to every task.

    Attributes:
        store: the run, on storage that every worker sees.
        fingerprint: of the features.
        links: one row a link with features: link_id, outcome, frames, how it names its features,
            title, genres.
    """

    store: Store
    fingerprint: str
    links: pa.Table

    @property
    def n_frames(self) -> int:
        """Rows of features that the run's outcomes promise."""
        return int(pc.sum(self.links["frames"]).as_py())


def read_publishable(store: Store, fingerprint: str) -> Publishable:
    """Find the links that have features, with title and genres; without a label, no genres.

    Raises:
        ConfigError: there are none yet.
    """
    outcomes = tables.read_outcomes(store, fingerprint)
    ok = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    if not len(ok):
        raise ConfigError(
            f"No link of {store} has features {fingerprint} yet. Run jobs/featurize.py first."
        )
    rows = tables.read_table(store, "links")
    ready = rows.filter(pc.equal(rows["row_outcome"], RowOutcome.READY.value))
    labels = tables.read_table(store, "labels")
    titles = _by_link(ready, "title")
    genres = _by_link(labels, "genres")
    link_ids = ok["link_id"].to_pylist()
    links = (
        ok.select(["link_id", "outcome", "frames", *tables.FEATURES_NAMED_BY])
        .append_column("title", pa.array([titles.get(i) or "" for i in link_ids], pa.string()))
        .append_column(
            "genres", pa.array([genres.get(i) or [] for i in link_ids], pa.list_(pa.string()))
        )
    )
    return Publishable(store, fingerprint, links)


def _by_link(table: pa.Table, column: str) -> dict[str, object]:
    return dict(zip(table["link_id"].to_pylist(), table[column].to_pylist(), strict=True))


def iter_rows(source: Publishable, features_file: str) -> Iterator[pa.RecordBatch]:
    """Read one features file, each row with the title and genres of its link."""
    named = source.links.filter(pc.equal(source.links["features_file"], features_file))
    named = named.combine_chunks()
    for rows in tables.iter_features(source.store, named):
        place = pc.index_in(rows["link_id"], value_set=named["link_id"].combine_chunks())
        for column in ("title", "genres"):
            rows = rows.append_column(column, named[column].take(place))
        yield from rows.to_batches()


def write_frames(
    spark: SparkSession,
    source: Publishable,
    address: MongoAddress,
    config: MongoConfig,
    *,
    report: Callable[[int], None],
) -> PublishCounts:
    """Write every frame as a document, a task and a client for each features file.

    Args:
        spark: the session.
        source: from `read_publishable`.
        address: travels inside the task's closure, so neither Spark's configuration nor an
            argument list ever holds it.
        config: database, collection, batch size.
        report: called every few seconds with the rows of the finished tasks.

    Raises:
        PythonException: an executor could not write; what was written stays, and publishing again
            replaces it.
    """
    files = tables.feature_files(source.links)
    rows_done = spark.sparkContext.accumulator(0)

    def write(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                counts = _write_file(source, files[number], address, config)
                rows_done.add(counts.documents)
                yield _to_batch(counts)

    with _reporting(rows_done, report):
        tasks = spark.range(0, len(files), 1, len(files)).mapInArrow(write, _COUNTS_SCHEMA)
        counts = [PublishCounts(**row.asDict()) for row in tasks.collect()]
    return sum(counts, PublishCounts())


def _write_file(
    source: Publishable, features_file: str, address: MongoAddress, config: MongoConfig
) -> PublishCounts:
    total = PublishCounts()
    with documents.open_collection(address, config) as collection:
        for batch in iter_rows(source, features_file):
            total += documents.write_documents(
                collection,
                documents.to_documents(batch, fingerprint=source.fingerprint),
                batch_size=config.batch_size,
            )
    return total


def _to_batch(counts: PublishCounts) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([asdict(counts)])


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

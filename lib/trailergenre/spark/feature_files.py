"""Rows and scores of links on the cluster: a task reads features files, or their pooled rows.

All frames of a link are in one file, so nothing is shuffled, and no frame crosses the JVM unless it
is a training row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import TaskContext
from pyspark.sql import DataFrame, SparkSession

from trailergenre.base import fault_injection
from trailergenre.base.config import RowsConfig
from trailergenre.base.records import ProbabilityArray, RowKind
from trailergenre.base.storage import Store
from trailergenre.models.pooled_table import iter_pooled, iter_training_rows
from trailergenre.models.pooling import RowArray
from trailergenre.models.scorer import Scorer, ScorerGroup, score_links
from trailergenre.runs import features_table, tables
from trailergenre.spark.versions import from_arrow, to_arrow

_TASK_BYTES = 32 << 20
"""Features that a task reads: 27 trailers of 150 frames, below a second."""

_MAX_TASKS = 10_000
"""The driver keeps some KB for each."""

LinkScorer = Scorer | ScorerGroup
"""Sent to the workers."""


class FeatureFiles:
    """The features files of some links."""

    def __init__(
        self,
        spark: SparkSession,
        store: Store,
        outcomes: pa.Table,
        link_ids: tables.LinkIds | None = None,
    ) -> None:
        """Plan without reading a file; links without features in `outcomes` are left out.

        Of all links by default.
        """
        self._spark = spark
        self._store = store
        current = outcomes if link_ids is None else tables.filter_links(outcomes, link_ids)
        self.files = features_table.group_by_file(current)

    def write_pooled(self, config: RowsConfig) -> None:
        """Write the pooled rows that are not written yet, on all slots."""

        def read(store: Store, outcomes: pa.Table) -> Iterator[pa.RecordBatch]:
            for _ in iter_pooled(store, outcomes, config):
                yield from ()

        self._map(read, "link_id string").count()

    def training_rows(self, kind: RowKind, config: RowsConfig) -> DataFrame:
        """Make the training rows: link_id, number (within the link), row (floats)."""

        def read(store: Store, outcomes: pa.Table) -> Iterator[pa.RecordBatch]:
            for link_ids, counts, rows in iter_training_rows(store, outcomes, kind, config):
                numbers = np.concatenate([np.arange(n, dtype=np.int32) for n in counts])
                columns = {
                    "link_id": pa.array(np.repeat(link_ids, counts)),
                    "number": pa.array(numbers),
                    "row": to_lists(rows),
                }
                yield pa.RecordBatch.from_pydict(columns)

        return self._map(read, "link_id string, number int, row array<float>")

    def frames(self) -> DataFrame:
        """Read the frames: link_id, frame_index, frame_time_s, features."""

        def read(store: Store, outcomes: pa.Table) -> Iterator[pa.RecordBatch]:
            for table in features_table.iter_features(store, outcomes):
                lists = table["features"].combine_chunks().cast(pa.list_(pa.float32()))
                frames = table.drop_columns(["features", "commit"])
                yield from frames.append_column("features", lists).combine_chunks().to_batches()

        return self._map(
            read, "link_id string, frame_index int, frame_time_s double, features array<float>"
        )

    def scores(self, scorer: LinkScorer) -> DataFrame:
        """Score links: link_id, probabilities (one per genre); one row per link."""

        def read(store: Store, outcomes: pa.Table) -> Iterator[pa.RecordBatch]:
            for link_ids, scores in score_links(store, outcomes, scorer):
                columns = {"link_id": pa.array(link_ids), "probabilities": to_lists(scores)}
                yield pa.RecordBatch.from_pydict(columns)

        return self._map(read, "link_id string, probabilities array<double>")

    def collect_scores(self, scorer: LinkScorer) -> tuple[list[str], ProbabilityArray]:
        """Score links and collect the scores, sorted by link: 160 bytes per link."""
        table = to_arrow(self.scores(scorer)).sort_by("link_id")
        return table["link_id"].to_pylist(), from_lists(table["probabilities"])

    def _map(
        self, read: Callable[[Store, pa.Table], Iterator[pa.RecordBatch]], schema: str
    ) -> DataFrame:
        """Give each features file's outcomes to `read`."""
        store, faults = self._store, fault_injection.read_faults()

        def read_files(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            arm_task(faults)
            for batch in batches:
                for file in batch.to_pylist():
                    yield from read(store, features_table.rows_of_file(file))

        return distribute(self._spark, self.files).mapInArrow(read_files, schema)


def distribute(spark: SparkSession, files: pa.Table) -> DataFrame:
    """Deal the rows of `features_table.group_by_file` to tasks."""
    # By size, not by slots: under dynamic allocation nobody knows these yet.
    n_bytes = pc.sum(files["features_bytes"]).as_py() or 0
    n_tasks = max(1, min(len(files), n_bytes // _TASK_BYTES, _MAX_TASKS))
    return from_arrow(spark, files).repartition(n_tasks)


def arm_task(faults: Iterable[fault_injection.Fault]) -> None:
    """Set that this process runs a task from now on, for tests that kill it."""
    context = TaskContext.get()
    if context is not None:
        task, attempt = context.partitionId(), context.attemptNumber()
        fault_injection.arm(faults, task=task, attempt=attempt)


def to_lists(values: NDArray[np.float32] | NDArray[np.float64]) -> pa.ListArray:
    """Convert a matrix to a list column."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel()))


def from_lists(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """Convert a list column, all of one length, to a matrix; no row gives shape (0, 1)."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    flat = column.flatten().to_numpy(zero_copy_only=False)
    matrix: NDArray[np.float64] = flat.reshape(len(column), -1) if len(column) else flat[:, None]
    return matrix


def collect_rows(rows: DataFrame) -> tuple[list[str], RowArray]:
    """Collect training rows, sorted by link and number."""
    rows = rows.select("link_id", "number", "row")
    table = to_arrow(rows).sort_by([("link_id", "ascending"), ("number", "ascending")])
    return table["link_id"].to_pylist(), from_lists(table["row"]).astype(np.float32)

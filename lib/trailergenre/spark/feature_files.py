"""Rows and scores of links on the cluster: each task reads whole features files.

All frames of a link are in one file, so nothing is shuffled, and no frame crosses the JVM unless it
is a training row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession

from trailergenre.base.config import RowsConfig
from trailergenre.base.records import LinkFrames, ProbabilityArray, RowKind
from trailergenre.base.storage import Store
from trailergenre.models.pooling import RowArray, frames_of_table, training_rows
from trailergenre.runs import tables
from trailergenre.spark.broadcasts import broadcast
from trailergenre.spark.session import slots

Predict = Callable[[Sequence[LinkFrames]], ProbabilityArray]
"""Gives the probabilities of links, shape (n_links, n_genres); sent to the workers."""


class FeatureFiles:
    """The features files of some links."""

    def __init__(
        self, spark: SparkSession, store: Store, outcomes: pa.Table, link_ids: Iterable[str]
    ) -> None:
        """Plan without reading a file; links without features in `outcomes` are left out."""
        self._spark = spark
        self._store = store
        rows = tables.filter_links(outcomes, link_ids)
        self._rows = rows.select(["link_id", "outcome", *tables.REFERENCE_COLUMNS])
        self._files = tables.feature_files(self._rows)

    def training_rows(self, kind: RowKind, config: RowsConfig) -> DataFrame:
        """Make the training rows: link_id, number (within the link), row (floats)."""

        def to_batch(links: list[LinkFrames]) -> pa.RecordBatch:
            rows = [training_rows(link, kind, config) for link in links]
            counts = [len(each) for each in rows]
            columns = {
                "link_id": pa.array(np.repeat([link.link_id for link in links], counts)),
                "number": pa.array(np.concatenate([np.arange(n, dtype=np.int32) for n in counts])),
                "row": to_lists(np.concatenate(rows)),
            }
            return pa.RecordBatch.from_pydict(columns)

        return self._map(to_batch, "link_id string, number int, row array<float>")

    def scores(self, predict: Predict) -> DataFrame:
        """Score links: link_id, probabilities (one per genre); one row per link."""
        return self._scores(broadcast(self._spark, predict))

    def collect_scores(self, predict: Predict) -> tuple[list[str], ProbabilityArray]:
        """Score links and collect the scores, sorted by link: 160 bytes per link."""
        shared = broadcast(self._spark, predict)
        try:
            table = self._scores(shared).toArrow().sort_by("link_id")
        finally:
            shared.destroy()
        return table["link_id"].to_pylist(), from_lists(table["probabilities"])

    def _scores(self, predict: Broadcast[Predict]) -> DataFrame:
        def to_batch(links: list[LinkFrames]) -> pa.RecordBatch:
            columns = {
                "link_id": pa.array([link.link_id for link in links]),
                "probabilities": to_lists(predict.value(links)),
            }
            return pa.RecordBatch.from_pydict(columns)

        return self._map(to_batch, "link_id string, probabilities array<double>")

    def _map(
        self, to_batch: Callable[[list[LinkFrames]], pa.RecordBatch], schema: str
    ) -> DataFrame:
        rows, files, store = self._rows, self._files, self._store

        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column("id").to_pylist():
                    rows_of_file = rows.filter(pc.equal(rows["features_file"], files[number]))
                    for table in tables.iter_features(store, rows_of_file):
                        links = list(frames_of_table(table))
                        if links:
                            yield to_batch(links)

        # Two tasks per slot balance files of different sizes.
        n_tasks = max(1, min(len(files), 2 * slots(self._spark)))
        return self._spark.range(0, len(files), 1, n_tasks).mapInArrow(read, schema)


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
    table = rows.select("link_id", "number", "row").toArrow()
    table = table.sort_by([("link_id", "ascending"), ("number", "ascending")])
    return table["link_id"].to_pylist(), from_lists(table["row"]).astype(np.float32)

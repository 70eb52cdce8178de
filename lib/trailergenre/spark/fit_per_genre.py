"""What fitting one model a genre on the cluster needs, whatever the model.

Rows of the training links beside their truth, spread in a way that the data alone decides, and
genres fitted side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from trailergenre.base.errors import SchemaError
from trailergenre.base.storage import Store
from trailergenre.models.training_set import check_all_read

_PARTITION_BYTES = 12 << 20
"""Of a partition's vectors, eight bytes a value. Every level of every tree is a job over all
partitions: on a hundred rows one partition fits in half the time of four; on 700 rows of 6,144
columns four cost 15 % more CPU than one, and let four slots work."""

Report = Callable[[int, int], None]
"""Told the column of a genre whose model is ready, and its nodes or coefficients."""

Fitted = TypeVar("Fitted")


@dataclass(frozen=True)
class Labelled:
    """Rows of the training part with their truth.

    Attributes:
        rows: link_id, number, row (floats), truth (0.0 or 1.0 for each genre); not computed yet.
            Which rows stand together, and in what order, depends on nothing but the rows: MLlib
            draws a tree's rows by partition and place.
        counts: table of link_id and n_rows, sorted by link.
        n_features: columns of a row.
    """

    rows: DataFrame
    counts: pa.Table
    n_features: int

    @property
    def n_rows(self) -> int:
        """Rows of all links."""
        return int(np.sum(self.counts["n_rows"].to_numpy()))


def label_rows(
    rows: DataFrame, link_ids: Sequence[str], truth: NDArray[np.int8], *, store: Store
) -> Labelled:
    """Join rows with their truth.

    Args:
        rows: link_id, number, row; may hold other links too. Cached and computed before, or they
            would be made twice.
        link_ids: the training part.
        truth: shape (n_links, n_genres), int8; row i belongs to link_ids[i].
        store: the run, to be named if features are gone.

    Raises:
        StorageError: features of a training link are gone.
        SchemaError: rows have different widths.
    """
    table = pa.table({"link_id": list(link_ids), "truth": truth.astype(np.float64).tolist()})
    labels = rows.sparkSession.createDataFrame(table)
    joined = rows.join(F.broadcast(labels), on="link_id", how="inner")
    counts, n_features = _count(joined)
    check_all_read(store, wanted=len(link_ids), read=len(counts))
    n_rows = int(np.sum(counts["n_rows"].to_numpy()))
    n_partitions = -(-n_rows * n_features * 8 // _PARTITION_BYTES)
    spread = joined.repartition(n_partitions, "link_id").sortWithinPartitions("link_id", "number")
    return Labelled(spread.select("link_id", "number", "row", "truth"), counts, n_features)


def _count(rows: DataFrame) -> tuple[pa.Table, int]:
    """Rows of each link, and the width that all rows have."""
    width = F.size("row")
    counts = rows.groupBy("link_id").agg(
        F.count("*").alias("n_rows"), F.min(width).alias("least"), F.max(width).alias("most")
    )
    table = counts.toArrow().sort_by("link_id")
    widths = {*table["least"].to_pylist(), *table["most"].to_pylist()}
    if len(widths) > 1:
        raise SchemaError(
            f"Rows of one training must have one width. Received: {sorted(widths)}. "
            "Make the features again, all with one backbone."
        )
    return table.select(["link_id", "n_rows"]), max(widths, default=0)


def fit_each(
    fit: Callable[[int], tuple[Fitted, int]], n_genres: int, parallelism: int, report: Report
) -> list[Fitted]:
    """Fit all genres, some at a time; the first failure ends the others.

    Args:
        fit: fits the genre of a column; gives the model and its size.
        n_genres: columns of truth.
        parallelism: genres at the same time.
        report: progress; called from this thread.
    """
    models: dict[int, Fitted] = {}
    executor = ThreadPoolExecutor(max_workers=parallelism)
    try:
        genre_of = {executor.submit(fit, genre): genre for genre in range(n_genres)}
        for future in as_completed(genre_of):
            genre = genre_of[future]
            models[genre], size = future.result()
            report(genre, size)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return [models[genre] for genre in range(n_genres)]

"""What MLlib's models share: labelled rows, partitioned by the data alone, and parallel fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from trailergenre.base.errors import SchemaError
from trailergenre.base.records import ModelKind
from trailergenre.base.storage import Store
from trailergenre.models.estimators.rank_scaling import MAX_SCALING_ROWS, evenly_spaced
from trailergenre.models.pooling import RowArray
from trailergenre.models.training_set import check_all_read
from trailergenre.spark.feature_files import collect_rows
from trailergenre.spark.session import is_remote
from trailergenre.spark.versions import from_arrow, to_arrow

PARTITION_BYTES: dict[ModelKind, int] = {"forest": 256 << 20, "logistic": 12 << 20}
"""Vectors per partition, at eight bytes a value, of the rows that a model is fitted to.

In a forest, each partition adds up all bins of every open node, so that the fewest take the least
time: one holds 5,000 rows of 6,144 columns. In a regression, a partition adds up one gradient."""

T = TypeVar("T")


@dataclass(frozen=True)
class LabelledRows:
    """Rows of the training part with their truth.

    Partitions and order of `rows`, which are not computed yet, depend on the rows alone, because
    MLlib draws a tree's rows by partition and position.
    """

    rows: DataFrame  # link_id, number, row (floats), truth (0.0 or 1.0 for each genre)
    truth: NDArray[np.int8]  # shape (n_links, n_genres)
    counts: pa.Table  # link_id and n_rows, sorted by link
    n_rows: int  # of all links
    n_features: int  # columns of a row


def label_rows(
    rows: DataFrame,
    link_ids: Sequence[str],
    truth: NDArray[np.int8],
    *,
    model: ModelKind,
    store: Store,
) -> LabelledRows:
    """Join rows (link_id, number, row; cached, since they are read twice) with their truth.

    Row i of `truth`, shape (n_links, n_genres), belongs to `link_ids[i]`; rows of other links are
    left out. A StorageError, which names `store`, if the features of a training link are missing.
    """
    table = pa.table({"link_id": list(link_ids), "truth": truth.astype(np.float64).tolist()})
    labels = from_arrow(rows.sparkSession, table)
    joined = rows.join(F.broadcast(labels), on="link_id", how="inner")
    width = F.size("row")
    aggregates = joined.groupBy("link_id").agg(
        F.count("*").alias("n_rows"), F.min(width).alias("min"), F.max(width).alias("max")
    )
    counts = to_arrow(aggregates).sort_by("link_id")
    check_all_read(store, wanted=len(link_ids), read=len(counts))
    widths = {*counts["min"].to_pylist(), *counts["max"].to_pylist()}
    if len(widths) > 1:
        raise SchemaError(
            f"All training rows must have the same width. Received: {sorted(widths)}. "
            "Make the features again, all with one backbone."
        )
    n_features = max(widths, default=0)
    n_rows = int(np.sum(counts["n_rows"].to_numpy()))
    n_partitions = -(-n_rows * n_features * 8 // PARTITION_BYTES[model])
    spread = joined.repartition(n_partitions, "link_id").sortWithinPartitions("link_id", "number")
    labelled = spread.select("link_id", "number", "row", "truth")
    return LabelledRows(labelled, truth, counts, n_rows, n_features)


def collect_sample(labelled: LabelledRows) -> RowArray:
    """Collect rows that stand for all of them, as scikit-learn's scaling does: at most 100 MB."""
    counts = labelled.counts["n_rows"].to_numpy()
    ends = np.cumsum(counts)
    chosen = evenly_spaced(labelled.n_rows, MAX_SCALING_ROWS)
    links = np.searchsorted(ends, chosen, side="right")
    columns = {
        "link_id": labelled.counts["link_id"].take(pa.array(links)),
        "number": pa.array((chosen - (ends - counts)[links]).astype(np.int32)),
    }
    wanted = from_arrow(labelled.rows.sparkSession, pa.table(columns))
    rows = labelled.rows.join(F.broadcast(wanted), on=["link_id", "number"], how="left_semi")
    return collect_rows(rows)[1]


def fits_at_a_time(spark: SparkSession, wanted: int) -> int:
    """Return 1 over Spark Connect, where only the session's own thread can fit a model."""
    return 1 if is_remote(spark) else wanted


def run_parallel(function: Callable[[int], T], n: int, parallelism: int) -> Iterator[tuple[int, T]]:
    """Call a function with 0 to n - 1 in threads; yield numbers and results as they come.

    The first failure cancels the rest.
    """
    if parallelism == 1:
        yield from ((number, function(number)) for number in range(n))
        return
    executor = ThreadPoolExecutor(max_workers=parallelism)
    try:
        number_of = {executor.submit(function, number): number for number in range(n)}
        for future in as_completed(number_of):
            yield number_of[future], future.result()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)

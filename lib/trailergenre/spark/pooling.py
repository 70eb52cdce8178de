"""Pooled rows on the cluster: each task reads whole features files and pools their links.

A link's frames lie in one file, so nothing is shuffled and no frame crosses the JVM: 24 KB a link
come out. What pooling is stands in `trailergenre.pooling`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession

from trailergenre import tables
from trailergenre.pooling import N_POOLED, PooledArray, pool_table
from trailergenre.spark.session import slots
from trailergenre.storage import Store

_SCHEMA = "link_id string, pooled array<float>"


def pool_links(
    spark: SparkSession, store: Store, outcomes: pa.Table, link_ids: Iterable[str]
) -> DataFrame:
    """Pool links; those without features are left out.

    Args:
        spark: the session.
        store: the run, on storage that every worker sees.
        outcomes: from `tables.read_outcomes`.
        link_ids: the links wanted.

    Returns:
        link_id, pooled (6,144 floats); one row a link.
    """
    wanted = pa.array(sorted(set(link_ids)), pa.string())
    named = outcomes.filter(pc.is_in(outcomes["link_id"], wanted))
    named = named.select(["link_id", "outcome", *tables.FEATURES_NAMED_BY])
    files = tables.feature_files(named)

    def pool(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                rows = named.filter(pc.equal(named["features_file"], files[number]))
                for table in tables.iter_features(store, rows):
                    yield _to_batch(*pool_table(table))

    # Twice as many tasks as slots even out files of different size.
    n_tasks = max(1, min(len(files), 2 * slots(spark)))
    return spark.range(0, len(files), 1, n_tasks).mapInArrow(pool, _SCHEMA)


def _to_batch(link_ids: list[str], rows: PooledArray) -> pa.RecordBatch:
    offsets = pa.array(np.arange(len(rows) + 1, dtype=np.int32) * N_POOLED)
    pooled = pa.ListArray.from_arrays(offsets, pa.array(rows.ravel()))
    return pa.RecordBatch.from_arrays([pa.array(link_ids, pa.string()), pooled], _NAMES)


_NAMES = ["link_id", "pooled"]


def from_batch(batch: pa.RecordBatch | pa.Table) -> tuple[list[str], PooledArray]:
    """Read link_id and pooled back as the links and an array of shape (n, 6144), float32."""
    column = batch.column("pooled")
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    rows = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, N_POOLED)
    return batch.column("link_id").to_pylist(), rows.astype(np.float32, copy=False)


def collect_pooled(pooled: DataFrame) -> tuple[list[str], PooledArray]:
    """Bring pooled rows to the driver, sorted by link: 24 MB for a thousand links."""
    link_ids, rows = from_batch(pooled.select(*_NAMES).toArrow())
    order = np.argsort(np.array(link_ids, dtype=object), kind="stable")
    return [link_ids[place] for place in order], rows[order]

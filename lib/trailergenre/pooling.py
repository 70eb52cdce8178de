"""The frames of a link to one pooled row: mean, maximum and standard deviation of each feature.

The same function pools for training on the cluster, for training on a laptop and for scoring one
link, so the three cannot differ. Knows nothing of Spark or of models.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trailergenre import tables
from trailergenre.records import N_FEATURES, FeatureArray
from trailergenre.storage import Store

STATISTICS = ("mean", "max", "std")
"""What a pooled row is made of, in order; std is of the population (ddof 0)."""

N_POOLED = len(STATISTICS) * N_FEATURES
"""Values of a pooled row."""

PooledArray = NDArray[np.float32]
"""Shape (n, 6144), float32; row i belongs to link i."""


def pool_frames(features: FeatureArray) -> NDArray[np.float32]:
    """Pool the frames of one link.

    Args:
        features: shape (n, 2048), float32, in the order of the frames; n >= 1.

    Returns:
        shape (6144,), float32: 2,048 means, then maxima, then standard deviations, computed in
        float64.

    Raises:
        ValueError: there is no frame, or a row has not 2,048 finite values.

    >>> pool_frames(np.ones((2, N_FEATURES), np.float32))[[0, N_FEATURES, -1]].tolist()
    [1.0, 1.0, 0.0]
    """
    if features.ndim != 2 or features.shape[1] != N_FEATURES or not len(features):
        raise ValueError(f"Expected (n >= 1, {N_FEATURES}) features. Received: {features.shape}.")
    wide = features.astype(np.float64)
    pooled = np.concatenate([wide.mean(axis=0), wide.max(axis=0), wide.std(axis=0)])
    if not np.isfinite(pooled).all():
        raise ValueError("Features are not all finite.")
    return pooled.astype(np.float32)


def pool_table(table: pa.Table) -> tuple[list[str], PooledArray]:
    """Pool every link of a features table.

    Args:
        table: rows of `schemas.FEATURES`, in any order.

    Returns:
        The links, sorted, and their pooled rows.
    """
    ordered = table.sort_by([("link_id", "ascending"), ("frame_index", "ascending")])
    flat = ordered["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    features = flat.reshape(-1, N_FEATURES)
    link_ids = np.array(ordered["link_id"].to_pylist(), dtype=object)
    starts = np.flatnonzero(np.r_[True, link_ids[1:] != link_ids[:-1]][: len(link_ids)])
    rows = [pool_frames(frames) for frames in np.split(features, starts[1:]) if len(frames)]
    return link_ids[starts].tolist(), stack_rows(rows)


def pool_links(
    store: Store, outcomes: pa.Table, link_ids: Iterable[str]
) -> tuple[list[str], PooledArray]:
    """Pool links on this machine, one features file in memory at a time.

    Args:
        store: the run.
        outcomes: from `tables.read_outcomes`.
        link_ids: the links wanted; those without features are left out.

    Returns:
        The links, sorted, and their pooled rows.
    """
    pooled: dict[str, NDArray[np.float32]] = {}
    for table in tables.iter_features(store, outcomes, link_ids):
        pooled.update(zip(*pool_table(table), strict=True))
    found = sorted(pooled)
    return found, stack_rows([pooled[link_id] for link_id in found])


def stack_rows(rows: list[NDArray[np.float32]]) -> PooledArray:
    """Stack pooled rows; none gives shape (0, 6144)."""
    return np.stack(rows) if rows else np.empty((0, N_POOLED), np.float32)

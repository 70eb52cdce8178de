"""The frames of a link to the rows that a model sees: one pooled row, or one row per frame.

Training on a cluster, training on one machine and scoring all use these functions, so that their
rows cannot differ. `pooled_table` keeps the pooled rows of a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trailergenre.base.config import RowsConfig
from trailergenre.base.records import FeatureArray, LinkFrames, RowKind
from trailergenre.base.storage import Store
from trailergenre.runs import features_table
from trailergenre.runs.tables import LinkIds

RowArray: TypeAlias = NDArray[np.float32]
"""Shape (n_rows, n_columns), float32, finite."""


def n_columns(width: int, kind: RowKind, config: RowsConfig) -> int:
    """Columns of a row, for features of this width.

    >>> n_columns(2048, "pooled", RowsConfig()), n_columns(2048, "frames", RowsConfig())
    (6144, 2048)
    """
    return width * len(config.statistics) if kind == "pooled" else width


def pool_frames(features: FeatureArray, statistics: Iterable[str]) -> NDArray[np.float32]:
    """Pool the frames of one link, shape (n >= 1, width), in float64; std is the population's.

    Returns:
        shape (len(statistics) * width,), float32: all columns of the first statistic, then of the
        next.

    >>> pool_frames(np.array([[1], [3]], np.float32), ["mean", "max", "std"]).tolist()
    [2.0, 3.0, 1.0]
    """
    wide = features.astype(np.float64)
    # The statistics are named as the methods of an array.
    return np.concatenate([getattr(wide, name)(axis=0) for name in statistics]).astype(np.float32)


def select_span(link: LinkFrames, span: Literal["whole", "middle"]) -> LinkFrames:
    """Select the frames of the whole video, or of the middle third of its time.

    A video without frames in its middle third keeps the one nearest to its middle.
    """
    if span == "whole":
        return link
    last_s = link.frame_time_s[-1]
    chosen = (link.frame_time_s >= last_s / 3) & (link.frame_time_s <= 2 * last_s / 3)
    if not chosen.any():
        chosen[np.abs(link.frame_time_s - last_s / 2).argmin()] = True
    return LinkFrames(link.link_id, link.features[chosen], link.frame_time_s[chosen])


def link_rows(link: LinkFrames, kind: RowKind, config: RowsConfig) -> RowArray:
    """Make the rows that a link is scored by: one, or one per frame of the span.

    Raises:
        ValueError: there is no frame, or a value is not finite.
    """
    if link.features.ndim != 2 or not len(link.features):
        raise ValueError(f"Expected (n >= 1, width) features. Received: {link.features.shape}.")
    is_pooled = kind == "pooled"
    rows = pool_link(link, config)[None] if is_pooled else select_span(link, config.span).features
    check_finite(rows)
    return rows


def pool_link(link: LinkFrames, config: RowsConfig) -> NDArray[np.float32]:
    """Make the pooled row of a link, which may have values that are not finite."""
    return pool_frames(select_span(link, config.span).features, config.statistics)


def check_finite(rows: RowArray) -> None:
    """Raise a ValueError if a value is not finite."""
    if not np.isfinite(rows).all():
        raise ValueError("Features are not all finite.")


def training_rows(link: LinkFrames, kind: RowKind, config: RowsConfig) -> RowArray:
    """Make the rows that a link is trained on: at most `frames_per_link` frame rows.

    They are a copy: a view would keep the features of a whole file in memory.
    """
    rows = link_rows(link, kind, config)
    if len(rows) <= config.frames_per_link:
        return rows.copy() if np.shares_memory(rows, link.features) else rows
    # Each frame from the middle of its share of the video.
    places = (np.arange(config.frames_per_link) + 0.5) * len(rows) / config.frames_per_link
    return rows[places.astype(np.int64)]


def frames_of_table(table: pa.Table) -> Iterator[LinkFrames]:
    """Split rows of the features table, in any order, into links; frames come in order."""
    if not len(table):
        return
    ordered = table.sort_by([("link_id", "ascending"), ("frame_index", "ascending")])
    flat = ordered["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    features = flat.reshape(len(ordered), -1)
    times = ordered["frame_time_s"].to_numpy()
    link_ids = np.array(ordered["link_id"].to_pylist(), dtype=object)
    starts = np.flatnonzero(np.r_[True, link_ids[1:] != link_ids[:-1]])
    for start, end in zip(starts, [*starts[1:], len(ordered)], strict=True):
        yield LinkFrames(link_ids[start], features[start:end], times[start:end])


def iter_links(
    store: Store, outcomes: pa.Table, link_ids: LinkIds | None = None
) -> Iterator[list[LinkFrames]]:
    """Read links' frames on this machine, a list per features file; None reads all links.

    `outcomes` is from `outcomes_table.read_outcomes`. Links without features are skipped.
    """
    for table in features_table.iter_features(store, outcomes, link_ids):
        yield list(frames_of_table(table))

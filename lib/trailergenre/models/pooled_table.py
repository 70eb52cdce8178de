"""The pooled rows of a run's links, a table that is made from its features.

    RUN/pooled/FP/KEY/SHA256.parquet    link_id and row of each link in features file SHA256

KEY names the statistics and the span. Whoever first needs the pooled rows of a features file writes
the file; it has all links of the features file, of which outcomes say the current ones. Its
checksum covers its rows and where they are from: a file that fails is made again.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trailergenre.base.config import RowsConfig
from trailergenre.base.errors import StorageError
from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.records import RowKind
from trailergenre.base.storage import Store
from trailergenre.models.pooling import (
    RowArray,
    check_finite,
    frames_of_table,
    iter_links,
    pool_link,
    training_rows,
)
from trailergenre.runs import features_table, tables

log = logging.getLogger(__name__)

_VERSION = 1
"""Of what `pooling` makes of the same frames: a change of it must not read old files."""

_CHECKSUM = b"sha256"


class PooledRows(NamedTuple):
    """Links of one features file, and the pooled row of each."""

    link_ids: list[str]
    rows: RowArray


class TrainingRows(NamedTuple):
    """Links of one features file, and their training rows, those of a link together."""

    link_ids: list[str]
    counts: NDArray[np.int64]  # rows of each link
    rows: RowArray


def pooled_key(config: RowsConfig) -> str:
    """Name all settings that pooled rows depend on.

    >>> pooled_key(RowsConfig())
    'mean-max-std_whole_1'
    """
    return f"{'-'.join(config.statistics)}_{config.span}_{_VERSION}"


def iter_training_rows(
    store: Store,
    outcomes: pa.Table,
    kind: RowKind,
    config: RowsConfig,
    link_ids: tables.LinkIds | None = None,
) -> Iterator[TrainingRows]:
    """Read links' training rows, features file by features file; None reads all links."""
    if kind == "pooled":
        for pooled in iter_pooled(store, outcomes, config, link_ids):
            ones = np.ones(len(pooled.link_ids), np.int64)
            yield TrainingRows(pooled.link_ids, ones, pooled.rows)
        return
    for links in iter_links(store, outcomes, link_ids):
        rows = [training_rows(link, kind, config) for link in links]
        counts = np.array([len(each) for each in rows])
        yield TrainingRows([link.link_id for link in links], counts, np.concatenate(rows))


def iter_pooled(
    store: Store, outcomes: pa.Table, config: RowsConfig, link_ids: tables.LinkIds | None = None
) -> Iterator[PooledRows]:
    """Read links' pooled rows, features file by features file; None reads all links.

    `outcomes` is from `outcomes_table.read_outcomes`. Links without features are skipped.

    Raises:
        ValueError: a row is not finite.
    """
    for path, named in features_table.by_features_file(outcomes, link_ids):
        pooled = _read(store, path, config) or _make(store, path, named, config)
        wanted = set(named["link_id"].to_pylist())
        places = [i for i, link_id in enumerate(pooled.link_ids) if link_id in wanted]
        rows = pooled.rows[places]
        check_finite(rows)
        if places:
            yield PooledRows([pooled.link_ids[i] for i in places], rows)


def remove_unfinished(store: Store, fingerprint: str) -> None:
    """Remove files of killed writers. A living writer whose file it takes goes on without it."""
    for file in store.list_unfinished(f"pooled/{fingerprint}"):
        store.delete(file.path)


def _path_of(features_file: str, config: RowsConfig) -> str:
    """Where the pooled rows of features/FP/SHA256.parquet are."""
    path = PurePosixPath(features_file)
    return f"pooled/{path.parent.name}/{pooled_key(config)}/{path.name}"


def _read(store: Store, features_file: str, config: RowsConfig) -> PooledRows | None:
    path = _path_of(features_file, config)
    try:
        table = tables.parse_parquet(store.read_bytes(path))
        flat = table["row"].combine_chunks().flatten().to_numpy()
        pooled = PooledRows(table["link_id"].to_pylist(), flat.reshape(len(table), -1))
    except (StorageError, OSError, pa.ArrowException, KeyError, ValueError):
        return None  # not written yet, or damaged
    if (table.schema.metadata or {}).get(_CHECKSUM) != _hash(pooled, path):
        log.warning("%s below %s is damaged, and is made again", path, store)
        return None
    return pooled


def _make(store: Store, features_file: str, named: pa.Table, config: RowsConfig) -> PooledRows:
    links = list(frames_of_table(features_table.read_features(store, features_file, named)))
    rows = np.stack([pool_link(link, config) for link in links])
    pooled = PooledRows([link.link_id for link in links], rows)
    path = _path_of(features_file, config)
    columns = {
        "link_id": pa.array(pooled.link_ids),
        "row": pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1]),
    }
    table = pa.table(columns).replace_schema_metadata({_CHECKSUM: _hash(pooled, path)})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    try:
        store.write_bytes(path, sink.getvalue())
    except StorageError as error:  # a run that may only be read is read all the same
        log.info("%s", error)
    reach(Point.POOLED_WRITTEN)
    return pooled


def _hash(pooled: PooledRows, path: str) -> bytes:
    digest = hashlib.sha256("\n".join([path, *pooled.link_ids]).encode())
    digest.update(np.ascontiguousarray(pooled.rows).data)
    return digest.hexdigest().encode()

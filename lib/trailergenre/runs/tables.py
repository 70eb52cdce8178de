"""Reads and writes the tables of a run, as Parquet files checked against `schemas`.

    RUN/links/          one row per input row; one file, replaced as a whole
    RUN/labels/         one row per labelled link; one file, replaced as a whole
    RUN/outcomes/FP/    one row per finished link, in many small content-addressed files
    RUN/features/FP/    one row per frame; reached only through outcomes rows
    RUN/scores/         one row per link and genre, in files that Spark wrote

FP is the features fingerprint (`trailergenre.runs.fingerprint`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailergenre.base.errors import ConfigError, StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FeatureArray
from trailergenre.base.storage import Store
from trailergenre.runs import schemas
from trailergenre.runs.parquet import check_and_cast, read_content_addressed


def to_parquet(table: pa.Table) -> bytes:
    """Encode a table as one Parquet file."""
    sink = pa.BufferOutputStream()
    # Feature values do not repeat, so a dictionary would only cost time.
    dictionary = [column for column in table.column_names if column != "features"]
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionary)
    return bytes(sink.getvalue().to_pybytes())


_WHOLE_FILE = "table.parquet"
"""File of a table that `write_table` replaces as a whole."""


def write_table(store: Store, name: str, table: pa.Table) -> None:
    """Replace a small table as a whole.

    Raises:
        SchemaError: the columns are not those of `schemas.TABLES[name]`.
    """
    schemas.check_table(name, table.schema)
    path = f"{name}/{_WHOLE_FILE}"
    store.write_bytes(path, to_parquet(table))
    for stale in store.list_files(name):
        if stale.path != path:
            store.delete(stale.path)


def read_table(store: Store, name: str) -> pa.Table:
    """Read a small table, from the file of `write_table` or from the files that Spark wrote.

    Raises:
        ConfigError: there is no such table; names the job that writes it.
        SchemaError: its columns are not the declared ones.
    """
    files = [file.path for file in store.list_files(name)]
    if not files:
        raise ConfigError(
            f"There is no table {name!r} below {store}. "
            f"Run jobs/{_WRITERS[name]}.py first, or check the run's address."
        )
    whole = f"{name}/{_WHOLE_FILE}"
    if whole in files:
        files = [whole]  # a killed writer may not have deleted the others
    return pa.concat_tables([_read_file(store, name, path) for path in files])


REFERENCE_COLUMNS = (
    "commit",
    "features_file",
    "features_rows",
    "features_bytes",
    "features_sha256",
)
"""Columns by which an `ok` outcomes row refers to its features."""

_WRITERS = {
    "links": "prepare_dataset",
    "labels": "prepare_dataset",
    "outcomes": "featurize",
    "features": "featurize",
    "scores": "predict_genres",
}


def _read_file(store: Store, name: str, path: str) -> pa.Table:
    with store.open_input(path) as source:
        return check_and_cast(name, pq.ParquetFile(source).read())


@contextmanager
def _advising(store: Store) -> Iterator[None]:
    """Add to errors about damaged files how to find all of them."""
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} For all damage and what to do about it, run: trailergenre verify {store}"
        ) from error


def read_outcomes(
    store: Store,
    fingerprint: str,
    cache: dict[str, pa.Table] | None = None,
    columns: Sequence[str] = tuple(schemas.OUTCOMES.names),
) -> pa.Table:
    """Read the current outcome of every finished link, one row per link.

    If a link has several rows (speculative tasks, a late task of an old driver, a retry), `ok`
    beats failure beats `deferred`, then the highest round, then the earliest `finished_at`, then
    the file's name. A run without outcomes gives an empty table.

    Args:
        store: the run.
        fingerprint: of the features.
        cache: files that earlier calls read, by path; this call adds its own.
        columns: columns to read, `PRECEDENCE_COLUMNS` among them. All columns of a million links
            take gigabytes.
    """
    rows = read_all_outcomes(store, fingerprint, cache, columns)
    return current_outcomes(rows).select(columns)


def read_all_outcomes(
    store: Store,
    fingerprint: str,
    cache: dict[str, pa.Table] | None = None,
    columns: Sequence[str] = tuple(schemas.OUTCOMES.names),
) -> pa.Table:
    """Read every outcomes row, superseded ones too, with its file's path as `_file`.

    The arguments are those of `read_outcomes`, without restriction of the columns.

    Raises:
        StorageError: a file is missing, truncated or changed.
    """
    cache = {} if cache is None else cache
    paths = [file.path for file in store.list_files(f"outcomes/{fingerprint}")]
    for path in paths:
        if path not in cache:
            with _advising(store):
                cache[path] = read_content_addressed(store, "outcomes", path).select(columns)
    return join_outcomes({path: cache[path] for path in paths}, columns)


def join_outcomes(
    parts: dict[str, pa.Table], columns: Sequence[str] = tuple(schemas.OUTCOMES.names)
) -> pa.Table:
    """Concatenate outcomes files, given by path, with the path as `_file`."""
    empty = schemas.OUTCOMES.empty_table().select(columns)
    empty = empty.append_column("_file", pa.array([], pa.string()))
    named = [
        part.append_column("_file", pa.array([path] * len(part), pa.string()))
        for path, part in parts.items()
    ]
    return pa.concat_tables([empty, *named])


PRECEDENCE_COLUMNS = ("link_id", "outcome", "round", "finished_at")
"""Columns that decide which of a link's rows is current."""


def current_outcomes(rows: pa.Table) -> pa.Table:
    """Select one row per link from the rows of `join_outcomes`; see `read_outcomes`."""
    outcome = rows["outcome"]
    rank = pc.if_else(
        pc.equal(outcome, Outcome.OK.value),
        0,
        pc.if_else(pc.equal(outcome, Outcome.DEFERRED.value), 2, 1),
    )
    ordered = rows.append_column("_rank", rank).sort_by(
        [
            ("link_id", "ascending"),
            ("_rank", "ascending"),
            ("round", "descending"),
            ("finished_at", "ascending"),
            ("_file", "ascending"),
        ]
    )
    link_ids = ordered["link_id"].combine_chunks()
    is_first = pa.array([True] * min(1, len(ordered)), pa.bool_())
    if len(ordered) > 1:
        changes = pc.not_equal(link_ids[1:], link_ids[:-1])
        is_first = pa.concat_arrays([is_first, changes])
    return ordered.filter(is_first).drop_columns("_rank")


def filter_links(rows: pa.Table, link_ids: Iterable[str]) -> pa.Table:
    """Select the rows of these links."""
    wanted = pa.array(sorted(set(link_ids)), pa.string())
    return rows.filter(pc.is_in(rows["link_id"], wanted))


def feature_files(outcomes: pa.Table) -> list[str]:
    """List the features files that current outcomes rows refer to, sorted."""
    named = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    return sorted(set(named["features_file"].to_pylist()))


def iter_features(
    store: Store, outcomes: pa.Table, link_ids: Iterable[str] | None = None
) -> Iterator[pa.Table]:
    """Read the features of current outcomes, one table per file; of all links by default."""
    current = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    if link_ids is not None:
        current = filter_links(current, link_ids)
    for path in feature_files(current):
        named = current.filter(pc.equal(current["features_file"], path))
        with _advising(store):
            table = _read_features(store, path, named)
        yield referenced_rows(table, named)


def _read_features(store: Store, path: str, named: pa.Table) -> pa.Table:
    """Read one features file, and check it against the rows that refer to it."""
    table = read_content_addressed(store, "features", path)
    received = (len(table), PurePosixPath(path).stem)
    columns = (named[name].to_pylist() for name in ("features_rows", "features_sha256"))
    wrong = set(zip(*columns, strict=True)) - {received}
    if wrong:
        raise StorageError(
            f"{path} below {store} does not match its outcomes rows: expected (rows, SHA-256) "
            f"{wrong}, received {received}."
        )
    return table


def referenced_rows(features: pa.Table, named: pa.Table) -> pa.Table:
    """Select the rows of a features file that belong to link and commit of its outcomes rows."""
    reached = pc.and_(
        pc.is_in(features["link_id"], named["link_id"].combine_chunks()),
        pc.equal(features["commit"], named["commit"][0]),
    )
    return features.filter(reached)


def hash_commit(links: Iterable[tuple[str, FeatureArray]], frame_time_s: np.ndarray) -> str:
    """Hash the content of a commit, independently of its encoding, with SHA-256.

    Args:
        links: each link's id and features, shape (n, width), float32, in the file's order.
        frame_time_s: of all rows, float64.
    """
    digest = hashlib.sha256()
    for link_id, features in links:
        digest.update(link_id.encode())
        digest.update(np.ascontiguousarray(features).data)
    digest.update(np.ascontiguousarray(frame_time_s).data)
    return digest.hexdigest()

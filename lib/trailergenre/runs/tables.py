"""Reading and writing the tables of a run as Parquet, checked against `schemas`, without Spark.

    RUN/links/          one row an input row; one file, replaced at once
    RUN/labels/         one row a labelled link; one file, replaced at once
    RUN/outcomes/FP/    one row a finished link, in many small content-addressed files
    RUN/features/FP/    one row a frame; reached only through the outcomes rows that name the files
    RUN/scores/         one row a link and genre, in the files that Spark wrote

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
    """Encode a table as one Parquet file.

    Feature values do not repeat, so a dictionary for them would only cost time.
    """
    sink = pa.BufferOutputStream()
    dictionary = [column for column in table.column_names if column != "features"]
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionary)
    return bytes(sink.getvalue().to_pybytes())


_WHOLE_FILE = "table.parquet"
"""A table written by `write_table`: under one name, the new file takes the old one's place."""


def write_table(store: Store, name: str, table: pa.Table) -> None:
    """Replace a small table by one file, at once.

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
    """Read a small table whole: the file of `write_table`, or all that Spark wrote.

    Raises:
        ConfigError: the table is not there; says which job writes it.
        SchemaError: its columns are not those declared.
    """
    files = [file.path for file in store.list_files(name)]
    if not files:
        raise ConfigError(
            f"There is no table {name!r} below {store}. "
            f"Run jobs/{_WRITERS[name]}.py first, or check the run's address."
        )
    whole = f"{name}/{_WHOLE_FILE}"
    if whole in files:
        files = [whole]  # another is what a killed writer did not come to delete
    return pa.concat_tables([_read_file(store, name, path) for path in files])


REFERENCE_COLUMNS = (
    "commit",
    "features_file",
    "features_rows",
    "features_bytes",
    "features_sha256",
)
"""Columns of an `ok` outcomes row that say where its features are and what they must be."""

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
    """Tell the reader of a damaged file where to find out what else is damaged."""
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} See all that is wrong, and what to do, with: trailergenre verify {store}"
        ) from error


def read_outcomes(
    store: Store,
    fingerprint: str,
    cache: dict[str, pa.Table] | None = None,
    columns: Sequence[str] = tuple(schemas.OUTCOMES.names),
) -> pa.Table:
    """Read the current outcome of every finished link: one row a link.

    Where a link stands several times (a twin, an old driver's late task, a deferral taken up
    again): `ok` beats failure beats `deferred`, then the highest round, then the earliest
    `finished_at`, then the file's name. A run without any outcome gives an empty table.

    Args:
        store: the run.
        fingerprint: of the features.
        cache: for one who reads again and again: files read before, which never change; new ones
            are added.
        columns: those to read, `PRECEDENCE_COLUMNS` among them; in a run of a million links the
            others take gigabytes.
    """
    rows = read_all_outcomes(store, fingerprint, cache, columns)
    return current_outcomes(rows).select(columns)


def read_all_outcomes(
    store: Store,
    fingerprint: str,
    cache: dict[str, pa.Table] | None = None,
    columns: Sequence[str] = tuple(schemas.OUTCOMES.names),
) -> pa.Table:
    """Read every outcomes row, superseded ones too, with the file that holds it as `_file`.

    Args:
        store: the run.
        fingerprint: of the features.
        cache: see `read_outcomes`.
        columns: see `read_outcomes`.

    Raises:
        StorageError: a file is missing, cut or changed.
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
    """Put the rows of outcomes files, by path, behind each other, with the path as `_file`."""
    empty = schemas.OUTCOMES.empty_table().select(columns)
    empty = empty.append_column("_file", pa.array([], pa.string()))
    named = [
        part.append_column("_file", pa.array([path] * len(part), pa.string()))
        for path, part in parts.items()
    ]
    return pa.concat_tables([empty, *named])


PRECEDENCE_COLUMNS = ("link_id", "outcome", "round", "finished_at")
"""Columns that say which of a link's rows is the current one."""


def current_outcomes(rows: pa.Table) -> pa.Table:
    """Choose one row a link from the rows of `join_outcomes`; see `read_outcomes`."""
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
    """The rows of these links alone."""
    wanted = pa.array(sorted(set(link_ids)), pa.string())
    return rows.filter(pc.is_in(rows["link_id"], wanted))


def feature_files(outcomes: pa.Table) -> list[str]:
    """The features files that current outcomes rows name, sorted."""
    named = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    return sorted(set(named["features_file"].to_pylist()))


def iter_features(
    store: Store, outcomes: pa.Table, link_ids: Iterable[str] | None = None
) -> Iterator[pa.Table]:
    """Read the features of current `ok` outcomes, one table a file, only rows they reach.

    Args:
        store: the run.
        outcomes: from `read_outcomes`.
        link_ids: where given, only these links.
    """
    current = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    if link_ids is not None:
        current = filter_links(current, link_ids)
    for path in feature_files(current):
        named = current.filter(pc.equal(current["features_file"], path))
        with _advising(store):
            table = _read_features(store, path, named)
        yield referenced_rows(table, named)


def _read_features(store: Store, path: str, named: pa.Table) -> pa.Table:
    """Read one features file; the rows that name it must mean the content that is there."""
    table = read_content_addressed(store, "features", path)
    received = (len(table), PurePosixPath(path).stem)
    columns = (named[name].to_pylist() for name in ("features_rows", "features_sha256"))
    wrong = set(zip(*columns, strict=True)) - {received}
    if wrong:
        raise StorageError(
            f"{path} below {store} is not what the outcomes name: expected (rows, SHA-256) "
            f"{wrong}, received {received}."
        )
    return table


def referenced_rows(features: pa.Table, named: pa.Table) -> pa.Table:
    """The rows of a features file that outcomes rows reach: their link in their commit.

    Args:
        features: the file's rows.
        named: the current outcomes rows that name the file.
    """
    reached = pc.and_(
        pc.is_in(features["link_id"], named["link_id"].combine_chunks()),
        pc.equal(features["commit"], named["commit"][0]),
    )
    return features.filter(reached)


def hash_commit(links: Iterable[tuple[str, FeatureArray]], frame_time_s: np.ndarray) -> str:
    """SHA-256 of what a commit holds, whatever Parquet makes of it.

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

"""Reads and writes the tables of a run, as Parquet files checked against `schemas`.

    RUN/links/          one row per input row; one file, replaced as a whole
    RUN/labels/         one row per labelled link; one file, replaced as a whole
    RUN/outcomes/FP/    one row per finished link, in many small content-addressed files
    RUN/features/FP/    one row per frame; reached only through outcomes rows
    RUN/pooled/FP/      one row per link, made from its features (`models.pooled_table`)
    RUN/scores/         one row per link and genre, in files that Spark wrote

FP is the features fingerprint (`trailergenre.runs.fingerprint`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailergenre.base.errors import ConfigError, ForeignFileError, SchemaError, StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FeatureArray
from trailergenre.base.storage import Store, StoredFile
from trailergenre.runs import schemas


def to_parquet(table: pa.Table) -> bytes:
    """Encode a table as one Parquet file."""
    sink = pa.BufferOutputStream()
    # Feature values do not repeat, so a dictionary would only cost time.
    dictionary = [column for column in table.column_names if column != "features"]
    pq.write_table(table, sink, compression="zstd", use_dictionary=dictionary)
    return bytes(sink.getvalue().to_pybytes())


def parse_parquet(content: bytes) -> pa.Table:
    """Decode one Parquet file of ours; an OSError or pa.ArrowException if it is none."""
    # `pq.read_table` would import pandas (0.3 s, 40 MB).
    file = pq.ParquetFile(pa.BufferReader(content))
    # Arrow's threads may hold Python's bytes when the interpreter ends, which aborts the process.
    return file.read(use_threads=False)


def check_and_cast(name: str, table: pa.Table) -> pa.Table:
    """Bring a table to the columns, order and types of its schema; features keep their width."""
    schemas.check_table(name, table.schema)
    schema = schemas.TABLES[name]
    if name == "features" and len(table):
        schema = schemas.features_schema(_width_of(table["features"]))
    return table.select(schema.names).cast(schema)


def _width_of(features: pa.ChunkedArray) -> int:
    widths = pc.unique(pc.list_value_length(features)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise SchemaError(
            "The table features does not fit its schema: its rows must have one width. "
            f"Received: {', '.join(map(str, widths[:5]))}."
        )
    return int(widths[0])


def read_content_addressed(store: Store, name: str, path: str) -> pa.Table:
    """Read a file of table `name`, and check it against the SHA-256 in its file name."""
    expected = PurePosixPath(path).stem
    content = store.read_bytes(path)
    received = hashlib.sha256(content).hexdigest()
    if received != expected:
        raise StorageError(
            f"{path} below {store} was truncated or changed: expected content with the SHA-256 of "
            f"its name, received {len(content)} bytes with {received}."
        )
    try:
        table = parse_parquet(content)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} below {store} is not a Parquet file: {error}.") from error
    return check_and_cast(name, table)


_WHOLE_FILE = "table.parquet"


def check_replaceable(store: Store, name: str) -> None:
    """Refuse to replace the directory of a table that holds anything but files of this table.

    Raises:
        ForeignFileError: names the file that replacing the table would delete.
    """
    files = store.list_all_files(name)
    unfinished, paths = store.list_unfinished(name), {file.path for file in files}
    for file in files:
        if file not in unfinished and not _is_of_table(store, name, file, paths):
            raise ForeignFileError(store.child(file.path), "give another RUN")


_ROWS_FILE = re.compile(rf"{re.escape(_WHOLE_FILE)}|part-\d{{5}}.*\.parquet")  # ours, or Spark's


def _is_of_table(store: Store, name: str, file: StoredFile, paths: Collection[str]) -> bool:
    """Whether a file is of a table, or what Spark writes beside the rows; `paths` are all files."""
    path = PurePosixPath(file.path)
    if "_temporary" in path.parts:
        return True
    if path.name == "_SUCCESS":
        return not file.size_bytes
    if checksum := re.fullmatch(r"\.(.+)\.crc", path.name):
        return f"{path.parent}/{checksum[1]}" in paths
    if _ROWS_FILE.fullmatch(path.name) is None:
        return False
    try:
        with store.open_input(file.path) as source:
            schemas.check_table(name, pq.ParquetFile(source).schema_arrow)
    except (SchemaError, StorageError, OSError, pa.ArrowException):
        return False
    return True


def write_table(store: Store, name: str, table: pa.Table) -> None:
    """Replace a small table as a whole, or raise a `SchemaError` if its columns are wrong."""
    schemas.check_table(name, table.schema)
    path = f"{name}/{_WHOLE_FILE}"
    store.write_bytes(path, to_parquet(table))
    for stale in store.list_files(name):
        if stale.path != path:
            store.delete(stale.path)


def read_table(store: Store, name: str) -> pa.Table:
    """Read a small table, from the file of `write_table` or from the files that Spark wrote.

    A ConfigError about a missing table names the stage that writes it.
    """
    files = [file.path for file in store.list_files(name)]
    if not files:
        stage = "predict" if name == "scores" else "prepare"
        raise ConfigError(
            f"There is no table {name!r} below {store}. Run `trailergenre {stage}` first, or check "
            "the run's address."
        )
    whole = f"{name}/{_WHOLE_FILE}"
    if whole in files:
        files = [whole]  # a killed writer may not have deleted the others
    return pa.concat_tables([_read_file(store, name, path) for path in files])


REFERENCE_COLUMNS = "commit", "features_file", "features_rows", "features_bytes", "features_sha256"
"""Columns by which an `ok` outcomes row refers to its features."""


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
    the file's name.

    `cache` has the files that earlier calls read, by path; this call adds its own. `columns` are
    `PRECEDENCE_COLUMNS` and others: all columns of a million links take gigabytes.
    """
    rows = read_all_outcomes(store, fingerprint, cache, columns)
    return current_outcomes(rows).select(columns)


def read_all_outcomes(
    store: Store,
    fingerprint: str,
    cache: dict[str, pa.Table] | None = None,
    columns: Sequence[str] = tuple(schemas.OUTCOMES.names),
) -> pa.Table:
    """As `read_outcomes`, but with superseded rows too, and with `_file`, the path of each."""
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
    is_ok, is_deferred = (
        pc.equal(rows["outcome"], outcome.value) for outcome in (Outcome.OK, Outcome.DEFERRED)
    )
    rank = pc.if_else(is_ok, 0, pc.if_else(is_deferred, 2, 1))
    keys = ("link_id", "_rank", "round", "finished_at", "_file")
    order = [(key, "descending" if key == "round" else "ascending") for key in keys]
    ordered = rows.append_column("_rank", rank).sort_by(order).drop_columns("_rank")
    link_ids = ordered["link_id"].combine_chunks()
    changes = pc.not_equal(link_ids[1:], link_ids[:-1])
    is_first = pa.concat_arrays([pa.array([True] * (len(ordered) > 0), pa.bool_()), changes])
    return ordered.filter(is_first)


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
    for path, named in by_features_file(outcomes, link_ids):
        yield referenced_rows(read_features(store, path, named), named)


def by_features_file(
    outcomes: pa.Table, link_ids: Iterable[str] | None = None
) -> Iterator[tuple[str, pa.Table]]:
    """Group current outcomes by the features file that they refer to; of all links by default."""
    current = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    if link_ids is not None:
        current = filter_links(current, link_ids)
    ordered = current.sort_by("features_file")
    files = ordered["features_file"].to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.append(True, files[1:] != files[:-1])[: len(files)])
    for start, length in zip(starts, np.diff(starts, append=len(files)), strict=True):
        yield files[start], ordered.slice(int(start), int(length))


def read_features(store: Store, path: str, named: pa.Table) -> pa.Table:
    """Read all rows of a features file, and check it against outcomes rows that refer to it."""
    with _advising(store):
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

    `links` has each link's id and features in the file's order; `frame_time_s` is of all rows.
    """
    digest = hashlib.sha256()
    for link_id, features in links:
        digest.update(link_id.encode())
        digest.update(np.ascontiguousarray(features).data)
    digest.update(np.ascontiguousarray(frame_time_s).data)
    return digest.hexdigest()

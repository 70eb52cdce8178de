"""Reads and writes the tables of a run, as Parquet files checked against `schemas`.

    RUN/links/          one row per input row; one file, replaced as a whole
    RUN/labels/         one row per labelled link; one file, replaced as a whole
    RUN/outcomes/FP/    one row per finished link, in many small files (`runs.outcomes_table`)
    RUN/features/FP/    one row per frame (`runs.features_table`)
    RUN/pooled/FP/      one row per link, made from its features (`models.pooled_table`)
    RUN/scores/         one row per link and genre, in the files that `_current.json` names

FP is the features fingerprint (`trailergenre.runs.fingerprint`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter, ValidationError

from trailergenre.base.errors import ConfigError, ForeignFileError, SchemaError, StorageError
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
    return pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)


def parse_table(name: str, source: pa.NativeFile, columns: Sequence[str] | None = None) -> pa.Table:
    """Read columns of a file of table `name`, as its schema orders and types them.

    All columns must be there, also those that are not read; features keep their width.
    """
    file = pq.ParquetFile(source)
    schemas.check_table(name, file.schema_arrow)
    schema = schemas.TABLES[name]
    wanted = schema.names if columns is None else list(columns)
    # Arrow's threads may hold Python's bytes when the interpreter ends, which aborts the process.
    table = file.read(wanted, use_threads=False)
    if name == "features" and len(table):
        schema = schemas.features_schema(_width_of(table["features"]))
    return table.select(wanted).cast(pa.schema([schema.field(column) for column in wanted]))


def _width_of(features: pa.ChunkedArray) -> int:
    widths = pc.unique(pc.list_value_length(features)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise SchemaError(
            "The table features does not fit its schema: its rows must have one width. "
            f"Received: {', '.join(map(str, widths[:5]))}."
        )
    return int(widths[0])


def read_content_addressed(
    store: Store, name: str, path: str, columns: Sequence[str] | None = None
) -> pa.Table:
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
        return parse_table(name, pa.BufferReader(content), columns)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"{path} below {store} is not a Parquet file: {error}.") from error


_WHOLE_FILE = "table.parquet"
"""Of a table that one process writes."""

_CURRENT_FILE = "_current.json"
"""Of a table that tasks write: the names of its files, which are content-addressed."""

_ADDRESSED = re.compile(r"[0-9a-f]{64}\.parquet")

_FileNames = TypeAdapter(list[Annotated[str, Field(pattern=f"^{_ADDRESSED.pattern}$")]])


def check_replaceable(store: Store, name: str) -> None:
    """Refuse to replace the directory of a table that holds anything but files of this table.

    Raises:
        ForeignFileError: names the file that replacing the table would delete.
    """
    unfinished = store.list_unfinished(name)
    for file in store.list_all_files(name):
        if file not in unfinished and not _is_of_table(store, name, file.path):
            raise ForeignFileError(store.child(file.path), "give another RUN")


def _is_of_table(store: Store, name: str, path: str) -> bool:
    place, _, file_name = path.rpartition("/")
    try:
        if path == f"{name}/{_CURRENT_FILE}":
            _FileNames.validate_json(store.read_bytes(path))
            return True
        if place != name or not (file_name == _WHOLE_FILE or _ADDRESSED.fullmatch(file_name)):
            return False
        with store.open_input(path) as source:
            schemas.check_table(name, pq.ParquetFile(source).schema_arrow)
    except (SchemaError, StorageError, ValidationError, OSError, pa.ArrowException):
        return False
    return True


def write_table(store: Store, name: str, table: pa.Table) -> None:
    """Replace a small table as a whole, or raise a `SchemaError` if its columns are wrong."""
    schemas.check_table(name, table.schema)
    whole = f"{name}/{_WHOLE_FILE}"
    store.write_bytes(whole, to_parquet(table))
    _delete_others(store, name, {whole})


def replace_files(store: Store, name: str, paths: Iterable[str]) -> None:
    """Make these content-addressed files the table, in one step, and then delete all others.

    Until that step, the table is the old one.
    """
    current, files = f"{name}/{_CURRENT_FILE}", set(paths)
    names = sorted(PurePosixPath(path).name for path in files)
    store.write_bytes(current, json.dumps(names).encode())
    _delete_others(store, name, {current, *files})


def _delete_others(store: Store, name: str, kept: set[str]) -> None:
    files = (file.path for file in store.list_all_files(name))
    store.delete_all([path for path in files if path not in kept])


def list_stale(store: Store, name: str) -> list[StoredFile]:
    """List the files in a table's directory that are not of the table: those of killed writers."""
    files = store.list_all_files(name)
    current = {f"{name}/{_CURRENT_FILE}", *(list_files(store, name) or ())} if files else set()
    return [file for file in files if file.path not in current]


def list_files(store: Store, name: str) -> list[str] | None:
    """List the files of a table; None if it was not written."""
    whole, current = f"{name}/{_WHOLE_FILE}", f"{name}/{_CURRENT_FILE}"
    if not store.exists(current):
        return [whole] if store.exists(whole) else None
    try:
        return [f"{name}/{each}" for each in _FileNames.validate_json(store.read_bytes(current))]
    except ValidationError as error:
        raise StorageError(
            f"{current} below {store} is not a list of files: {error.errors()[0]['msg']}."
        ) from error


def read_table(store: Store, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read links, labels or scores, by default with all columns.

    A ConfigError about a missing table names the stage that writes it.
    """
    files = list_files(store, name)
    if files is None:
        stage = "predict" if name == "scores" else "prepare"
        raise ConfigError(
            f"There is no table {name!r} below {store}. Run `trailergenre {stage}` first, or check "
            "the run's address."
        )
    schema = schemas.TABLES[name]
    wanted = schema.names if columns is None else list(columns)
    parts = [schema.empty_table().select(wanted)]
    for path in files:
        with store.open_input(path) as source:
            parts.append(parse_table(name, source, wanted))
    return pa.concat_tables(parts)


LinkIds: TypeAlias = "Iterable[str] | pa.Array | pa.ChunkedArray"
"""Ids of links; as Python strings, a million takes 120 MB."""


def filter_links(rows: pa.Table, link_ids: LinkIds) -> pa.Table:
    """Select the rows of these links."""
    if isinstance(link_ids, pa.ChunkedArray):
        link_ids = link_ids.combine_chunks()
    wanted = link_ids if isinstance(link_ids, pa.Array) else pa.array(list(link_ids), pa.string())
    return rows.filter(pc.is_in(rows["link_id"], wanted))


_ROWS_AT_A_TIME = 1 << 16


def iter_pieces(table: pa.Table) -> Iterator[pa.Table]:
    """Cut a table into pieces whose rows may all be Python's objects at the same time."""
    for start in range(0, len(table), _ROWS_AT_A_TIME):
        yield table.slice(start, _ROWS_AT_A_TIME)


def iter_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield rows; of all of a million at once, Python's objects would take gigabytes."""
    for piece in iter_pieces(table):
        yield from piece.to_pylist()


def release_memory() -> None:
    """Give back what Arrow keeps of tables that are gone, for each thread that read: gigabytes."""
    pa.default_memory_pool().release_unused()


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, the most frequent first; nulls are left out."""
    rows = pc.value_counts(column.drop_null()).to_pylist()
    counts = {row["values"]: row["counts"] for row in rows}
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


@contextmanager
def advising(store: Store) -> Iterator[None]:
    """Add to errors about damaged files how to find all of them."""
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} For all damage and what to do about it, run: trailergenre verify {store}"
        ) from error

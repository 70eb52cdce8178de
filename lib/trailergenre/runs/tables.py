"""Reads and writes the tables of a run, as Parquet files checked against `schemas`.

    RUN/links/          one row per input row; one file, replaced as a whole
    RUN/labels/         one row per labelled link; one file, replaced as a whole
    RUN/outcomes/FP/    one row per finished link, in many small content-addressed files
    RUN/features/FP/    one row per frame; reached only through outcomes rows
    RUN/pooled/FP/      one row per link, made from its features (`models.pooled_table`)
    RUN/scores/         one row per link and genre, in the files that `_current.json` names

FP is the features fingerprint (`trailergenre.runs.fingerprint`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Annotated, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, TypeAdapter, ValidationError

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


REFERENCE_COLUMNS = "commit", "features_file", "features_rows", "features_bytes", "features_sha256"
"""Columns by which an `ok` outcomes row refers to its features."""


@contextmanager
def _advising(store: Store) -> Iterator[None]:
    """Add to errors about damaged files how to find all of them."""
    try:
        yield
    except StorageError as error:
        raise StorageError(
            f"{error} For all damage and what to do about it, run: trailergenre verify {store}"
        ) from error


PRECEDENCE_COLUMNS = ("link_id", "outcome", "round", "finished_at")
"""Columns that decide which of a link's rows is current."""

FEATURE_COLUMNS = ("link_id", "outcome", *REFERENCE_COLUMNS)
"""Columns by which readers of features reach them."""

_ALL_COLUMNS = tuple(schemas.OUTCOMES.names)

_READERS = 16
"""Outcomes files that are read at the same time."""


class OutcomesReader:
    """Reads the outcomes of one fingerprint: each file once, in threads."""

    def __init__(
        self, store: Store, fingerprint: str, columns: Sequence[str] = _ALL_COLUMNS
    ) -> None:
        """Take a run; nothing is read yet. All columns of a million links take gigabytes."""
        self._store, self._fingerprint = store, fingerprint
        self._needed = tuple(dict.fromkeys((*PRECEDENCE_COLUMNS, *columns)))
        self._read: set[str] = set()
        self._current = join_outcomes({}, self._needed)

    def current(self) -> pa.Table:
        """Read what is new; return the current outcome of every finished link, in no order.

        Besides the columns asked for, it has those that decide which outcome is current.
        """
        new = _read_new(self._store, self._fingerprint, self._read, self._needed)
        if new:
            self._read.update(new)
            rows = join_outcomes(new, self._needed)
            del new
            # Only links that have new rows are decided anew.
            ids = rows["link_id"].combine_chunks() if len(self._current) else pa.array([], "string")
            is_old = pc.is_in(self._current["link_id"], ids)
            touched = pa.concat_tables([self._current.filter(is_old), rows])
            rest = self._current.filter(pc.invert(is_old))
            self._current = pa.concat_tables([rest, current_outcomes(touched)])
        return self._current


def read_outcomes(
    store: Store, fingerprint: str, columns: Sequence[str] = _ALL_COLUMNS
) -> pa.Table:
    """Read the current outcome of every finished link, one row per link, sorted by link.

    If a link has several rows (speculative tasks, a late task of an old driver, a retry), `ok`
    beats failure beats `deferred`, then the highest round, then the earliest `finished_at`, then
    the file's name.
    """
    rows = OutcomesReader(store, fingerprint, columns).current()
    return rows.select(columns).take(pc.sort_indices(rows["link_id"]))


def read_all_outcomes(
    store: Store, fingerprint: str, columns: Sequence[str] = _ALL_COLUMNS
) -> pa.Table:
    """As `read_outcomes`, but with superseded rows too, and with `_file`, the path of each."""
    return join_outcomes(_read_new(store, fingerprint, (), columns), columns)


def _read_new(
    store: Store, fingerprint: str, known: Collection[str], columns: Sequence[str]
) -> dict[str, pa.Table]:
    """Read the outcomes files that are not `known`, by path."""
    while True:
        listed = [file.path for file in store.list_files(f"outcomes/{fingerprint}")]
        paths = [path for path in listed if path not in known]
        try:
            with _advising(store):
                return dict(zip(paths, read_outcomes_files(store, paths, columns), strict=True))
        except StorageError:
            # Files that another process merged since they were listed are gone; else it is damage.
            if all(map(store.exists, paths)):
                raise
            left = {file.path for file in store.list_files(f"outcomes/{fingerprint}")}
            if left.issuperset(paths):
                raise


def read_outcomes_files(
    store: Store, paths: Sequence[str], columns: Sequence[str] = _ALL_COLUMNS
) -> list[pa.Table]:
    """Read outcomes files, many at the same time: a store answers in milliseconds, not faster."""

    def read(path: str) -> pa.Table:
        return read_content_addressed(store, "outcomes", path, columns)

    with ThreadPoolExecutor(_READERS) as executor:
        return list(executor.map(read, paths))


def write_outcomes(store: Store, fingerprint: str, rows: pa.Table) -> str:
    """Write rows of the table `outcomes` to a file of their own, and return its path."""
    directory = f"outcomes/{fingerprint}"
    return store.write_content_addressed(directory, to_parquet(rows), ".parquet")


def join_outcomes(parts: Mapping[str, pa.Table], columns: Sequence[str] = _ALL_COLUMNS) -> pa.Table:
    """Concatenate outcomes files, given by path, with the path as `_file`."""
    empty = schemas.OUTCOMES.empty_table().select(columns)
    tables = [_with_file(empty, "")]
    return pa.concat_tables(tables + [_with_file(part, path) for path, part in parts.items()])


def _with_file(part: pa.Table, path: str) -> pa.Table:
    # A dictionary: the path of each row takes as much as its link.
    rows = pa.array(np.zeros(len(part), np.int32))
    return part.append_column("_file", pa.DictionaryArray.from_arrays(rows, pa.array([path])))


def current_outcomes(rows: pa.Table) -> pa.Table:
    """Select one row per link from the rows of `join_outcomes`; see `read_outcomes`."""
    if pc.count_distinct(rows["link_id"]).as_py() == len(rows):
        return rows
    counts = pc.value_counts(rows["link_id"])
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    is_repeated = pc.is_in(rows["link_id"], repeated)
    several = rows.filter(is_repeated)
    is_ok, is_deferred = (
        pc.equal(several["outcome"], outcome.value) for outcome in (Outcome.OK, Outcome.DEFERRED)
    )
    rank = pc.if_else(is_ok, 0, pc.if_else(is_deferred, 2, 1))
    ranked = several.append_column("_rank", rank)
    ranked = ranked.append_column("_name", several["_file"].cast(pa.string()))
    keys = ("link_id", "_rank", "round", "finished_at", "_name")
    order = [(key, "descending" if key == "round" else "ascending") for key in keys]
    ordered = ranked.sort_by(order).drop_columns(["_rank", "_name"])
    link_ids = ordered["link_id"].combine_chunks()
    changes = pc.not_equal(link_ids[1:], link_ids[:-1])
    is_first = pa.concat_arrays([pa.array([True] * (len(ordered) > 0), pa.bool_()), changes])
    return pa.concat_tables([rows.filter(pc.invert(is_repeated)), ordered.filter(is_first)])


LinkIds: TypeAlias = "Iterable[str] | pa.Array | pa.ChunkedArray"
"""Ids of links; as Python strings, a million takes 120 MB."""


def filter_links(rows: pa.Table, link_ids: LinkIds) -> pa.Table:
    """Select the rows of these links."""
    if isinstance(link_ids, pa.ChunkedArray):
        link_ids = link_ids.combine_chunks()
    wanted = link_ids if isinstance(link_ids, pa.Array) else pa.array(list(link_ids), pa.string())
    return rows.filter(pc.is_in(rows["link_id"], wanted))


_ROWS_AT_A_TIME = 1 << 16


def iter_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield rows; of all of a million at once, Python's objects would take gigabytes."""
    for batch in table.to_batches(max_chunksize=_ROWS_AT_A_TIME):
        yield from batch.to_pylist()


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value occurs, the most frequent first; nulls are left out."""
    rows = pc.value_counts(column.drop_null()).to_pylist()
    counts = {row["values"]: row["counts"] for row in rows}
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def group_by_file(outcomes: pa.Table, per_link: Sequence[str] = ("link_id",)) -> pa.Table:
    """List the features files of current outcomes, sorted by path; a row is what they say of one.

    Its columns are `REFERENCE_COLUMNS`, and NAME_list for each column in `per_link`.
    """
    named = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    lists: list[tuple[str, str]] = [(name, "list") for name in per_link]
    return named.group_by(list(REFERENCE_COLUMNS)).aggregate(lists).sort_by("features_file")


def rows_of_file(file: Mapping[str, Any]) -> pa.Table:
    """Turn a row of `group_by_file` into the outcomes rows that it stands for."""
    lists = {name.removesuffix("_list"): file[name] for name in file.keys() - {*REFERENCE_COLUMNS}}
    n_links = len(file["link_id_list"])
    same = {name: file[name] for name in REFERENCE_COLUMNS} | {"outcome": Outcome.OK.value}
    columns = lists | {name: [value] * n_links for name, value in same.items()}
    fields = [pa.field(name, _type_of(name)) for name in columns]
    return pa.table(columns, schema=pa.schema(fields))


def _type_of(column: str) -> pa.DataType:
    return pa.string() if column == "_file" else schemas.OUTCOMES.field(column).type


def iter_features(
    store: Store, outcomes: pa.Table, link_ids: LinkIds | None = None
) -> Iterator[pa.Table]:
    """Read the features of current outcomes, one table per file; of all links by default."""
    for path, named in by_features_file(outcomes, link_ids):
        yield referenced_rows(read_features(store, path, named), named)


def by_features_file(
    outcomes: pa.Table, link_ids: LinkIds | None = None
) -> Iterator[tuple[str, pa.Table]]:
    """Group current outcomes by the features file that they refer to; of all links by default."""
    current = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    if link_ids is not None:
        current = filter_links(current, link_ids)
    ordered = current.sort_by("features_file")
    lengths = pc.value_counts(ordered["features_file"]).field("counts").to_pylist()
    for start, length in zip(itertools.accumulate(lengths, initial=0), lengths, strict=False):
        named = ordered.slice(start, length)
        yield named["features_file"][0].as_py(), named


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

"""Reads and writes the table `outcomes`: one row per finished link, in many small files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.runs import schemas
from trailergenre.runs.tables import (
    advising,
    read_content_addressed,
    release_memory,
    to_parquet,
)

PRECEDENCE_COLUMNS = ("link_id", "outcome", "round", "finished_at")
"""Columns that decide which of a link's rows is current."""

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
    rows = OutcomesReader(store, fingerprint, columns).current().select(columns)
    ordered = rows.take(pc.sort_indices(rows["link_id"]))
    del rows
    release_memory()
    return ordered


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
            with advising(store):
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

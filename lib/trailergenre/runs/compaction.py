"""Merges the small outcomes files of a session, so that later readers have few requests to make.

The merged file is written and read back before the files that it replaces are deleted. Whoever is
killed in between leaves rows twice, which changes no link's current outcome, and the next session
merges again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.storage import Store, StoredFile
from trailergenre.runs import outcomes_table

_FULL_BYTES = 8 << 20
"""Of a merged file: some 60,000 links. Files of half this size are left alone."""

_IDENTITY = ("link_id", "outcome", "round", "finished_at", "commit", "features_file")
"""Columns by which two rows are the same."""


def compact_outcomes(store: Store, fingerprint: str) -> int:
    """Merge small outcomes files, and count those that are gone. Needs the lease."""
    files = store.list_files(f"outcomes/{fingerprint}")
    small = [file for file in files if file.size_bytes < _FULL_BYTES // 2]
    n_gone = 0
    for group in _group(small):
        paths = [file.path for file in group]
        rows = _drop_repeats(pa.concat_tables(outcomes_table.read_outcomes_files(store, paths)))
        merged = outcomes_table.write_outcomes(store, fingerprint, rows)
        outcomes_table.read_outcomes_files(store, [merged])
        reach(Point.MERGED)
        gone = [path for path in paths if path != merged]
        store.delete_all(gone)
        n_gone += len(gone)
    return n_gone


def _group(files: Sequence[StoredFile]) -> Iterator[list[StoredFile]]:
    """Collect files up to the size of a full one; a single file is no group."""
    group: list[StoredFile] = []
    for file in files:
        group.append(file)
        if sum(each.size_bytes for each in group) >= _FULL_BYTES:
            yield group
            group = []
    if len(group) > 1:
        yield group


def _drop_repeats(rows: pa.Table) -> pa.Table:
    """Sort rows, and keep one of each that an interrupted merge left several times."""
    numbered = rows.append_column("_row", pa.array(np.arange(len(rows))))
    firsts = numbered.group_by(list(_IDENTITY)).aggregate([("_row", "min")])["_row_min"]
    order = [(name, "ascending") for name in ("link_id", "round", "finished_at")]
    return rows.take(firsts).sort_by(order)

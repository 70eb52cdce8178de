"""The file of rows that the tasks of an executor share; tests/spark grows trees from it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from runs import make_movies, make_run
from trailergenre.base.config import RowsConfig
from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.storage import Store
from trailergenre.models.pooled_table import PooledRows, iter_pooled
from trailergenre.runs import features_table, outcomes_table
from trailergenre.spark.training import spread_forest
from trailergenre.spark.training.spread_forest import LocalRows

ROWS = RowsConfig(statistics=("mean",))


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalRows:
    """Twelve links in three features files; Spark's directories, of which the first is used."""
    store = Store(str(tmp_path / "run"))
    outcomes = outcomes_table.read_outcomes(
        store, make_run(store, make_movies(12), links_per_file=4)
    )
    (tmp_path / "first").mkdir()
    monkeypatch.setenv("SPARK_LOCAL_DIRS", f"{tmp_path}/first,{tmp_path}/second")
    return LocalRows(
        store, features_table.group_by_file(outcomes), outcomes["link_id"].to_pylist()[::-1], ROWS
    )


def expected(rows: LocalRows) -> list[bytes]:
    row_of = {}
    (directory,) = {Path(path).parent.name for path in rows.files["features_file"].to_pylist()}
    outcomes = outcomes_table.read_outcomes(rows.store, directory)
    for file in iter_pooled(rows.store, outcomes, ROWS):
        row_of |= zip(file.link_ids, file.rows, strict=True)
    return [row_of[link_id].tobytes() for link_id in rows.link_ids]


def test_rows_stand_in_the_order_of_links_and_are_written_once(
    rows: LocalRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ThreadPoolExecutor(4) as tasks:
        opened = list(tasks.map(rows.open, ["a"] * 4))
    for found in opened:
        assert [row.tobytes() for row in found] == expected(rows)
    monkeypatch.setattr(LocalRows, "_write", lambda *_: pytest.fail("written again"))
    assert len(rows.open("a")) == 12
    directory = tmp_path / "first" / "trailergenre"
    assert sorted(path.name for path in directory.iterdir()) == ["a.npy", "lock"]
    assert directory.stat().st_mode & 0o777 == 0o700


def test_the_next_forest_takes_the_place_of_the_last_and_of_what_a_killed_task_left(
    rows: LocalRows, tmp_path: Path
) -> None:
    rows.open("a")
    directory = tmp_path / "first" / "trailergenre"
    (directory / "b.npy-unfinished").write_bytes(b"half")
    assert [row.tobytes() for row in rows.open("b")] == expected(rows)
    assert sorted(path.name for path in directory.iterdir()) == ["b.npy", "lock"]


def test_rows_that_lack_leave_no_file(rows: LocalRows, tmp_path: Path) -> None:
    more = LocalRows(rows.store, rows.files, [*rows.link_ids, "gone"], ROWS)
    with pytest.raises(StorageError, match="of 12 links instead of 13"):
        more.open("a")
    assert not (tmp_path / "first" / "trailergenre" / "a.npy").exists()


def test_a_full_disk_is_named(rows: LocalRows, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spread_forest.os, "posix_fallocate", refuse)
    with pytest.raises(StorageError, match="No space left on device"):
        rows.open("a")


def test_rows_of_two_widths_are_refused(rows: LocalRows, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = iter((2048, 3))

    def pooled(store: Store, outcomes: pa.Table, config: RowsConfig) -> Iterator[PooledRows]:
        link_ids = outcomes["link_id"].to_pylist()
        yield PooledRows(link_ids, np.zeros((len(link_ids), next(widths)), np.float32))

    monkeypatch.setattr(spread_forest, "iter_pooled", pooled)
    with pytest.raises(SchemaError, match=r"same width\. Received: \[3, 2048\]"):
        rows.open("a")

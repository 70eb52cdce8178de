from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from runs import Movie, labelled, make_movies, make_run, outcome_row
from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.runs import compaction, outcomes_table, schemas
from trailergenre.runs.compaction import compact_outcomes
from trailergenre.runs.verify.verify import verify_run

Run = tuple[Store, str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of six outcomes files with one row each; two links were taken twice."""
    store, movies = (
        Store(str(tmp_path)),
        [*make_movies(3, frames=1), Movie(labelled("broken", ["Drama"]), None)],
    )
    fingerprint = make_run(store, movies, links_per_file=2)
    (whole,) = store.list_files("outcomes")
    rows = store_rows(store, fingerprint)
    store.delete(whole.path)
    for movie, outcome in zip(movies, (Outcome.DEFERRED, Outcome.CONNECT), strict=False):
        rows.append(outcome_row(movie.link.link_id, outcome))
    for row in rows:
        outcomes_table.write_outcomes(
            store, fingerprint, pa.Table.from_pylist([row], schemas.OUTCOMES)
        )
    assert len(store.list_files("outcomes")) == 6
    return store, fingerprint


def store_rows(store: Store, fingerprint: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = outcomes_table.read_outcomes(store, fingerprint).to_pylist()
    return rows


def all_rows(run: Run) -> list[str]:
    """Every row, superseded ones too; each once."""
    rows = outcomes_table.read_all_outcomes(*run).drop_columns("_file").to_pylist()
    return sorted({str(row) for row in rows})


def check(run: Run) -> str | None:
    report = verify_run(*run)
    assert report.holds, report.lines()
    return report.content_hash


def test_one_file_has_all_rows_of_a_session_and_nothing_changes_for_readers(run: Run) -> None:
    before = store_rows(*run), all_rows(run), check(run)
    assert compact_outcomes(*run) == 6
    assert len(run[0].list_files("outcomes")) == 1
    assert (store_rows(*run), all_rows(run), check(run)) == before
    assert len(outcomes_table.read_all_outcomes(*run)) == 6
    assert compact_outcomes(*run) == 0


def test_whoever_is_killed_at_any_write_or_deletion_loses_nothing_and_the_next_finishes(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, before = run[0], (store_rows(*run), all_rows(run), check(run))
    operations = {"write_bytes": Store.write_bytes, "delete": Store.delete}
    monkeypatch.setattr(compaction, "_FULL_BYTES", 3 * store.list_files("outcomes")[0].size_bytes)
    steps = 0
    while True:
        left = steps

        def step(name: str) -> Callable[..., None]:
            def killed(*arguments: Any) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    raise KeyboardInterrupt
                operations[name](*arguments)

            return killed

        with monkeypatch.context() as patched:
            for name in operations:
                patched.setattr(Store, name, step(name))
            try:
                compact_outcomes(*run)
            except KeyboardInterrupt:
                steps += 1
            else:
                break
            finally:
                assert (store_rows(*run), all_rows(run), check(run)) == before
    assert steps > 3
    assert len(store.list_files("outcomes")) < 6
    monkeypatch.undo()
    compact_outcomes(*run)
    assert len(outcomes_table.read_all_outcomes(*run)) == 6  # no row is there twice


def test_files_of_half_the_size_are_left_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    files = run[0].list_files("outcomes")
    monkeypatch.setattr(compaction, "_FULL_BYTES", 2 * min(file.size_bytes for file in files))
    assert compact_outcomes(*run) == 0
    assert run[0].list_files("outcomes") == files


def test_files_that_are_merged_while_they_are_read_are_read_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, list_files, merged = store_rows(*run), Store.list_files, []

    def list_before(store: Store, path: str) -> list[Any]:
        files = list_files(store, path)
        if not merged:
            merged.append(True)
            compact_outcomes(*run)
        return files

    monkeypatch.setattr(Store, "list_files", list_before)
    assert store_rows(*run) == before


def test_a_file_that_is_damaged_is_no_reason_to_read_again(run: Run) -> None:
    file = run[0].list_files("outcomes")[3]
    run[0].write_bytes(file.path, b"cut")
    with pytest.raises(StorageError, match=f"{file.path} .* was truncated or changed"):
        outcomes_table.read_outcomes(*run)
    with pytest.raises(StorageError, match=file.path):
        compact_outcomes(*run)
    assert len(run[0].list_files("outcomes")) == 6

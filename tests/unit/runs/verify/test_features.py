from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from runs import SETTINGS, make_movies, make_run
from trailergenre.base.storage import Store
from trailergenre.runs import schemas
from trailergenre.runs.verify.features import FileFindings
from trailergenre.runs.verify.verify import verify_run
from verified import FP, Run, cut, empty, flip, found, make_verified, remove, zero


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return make_verified(tmp_path, monkeypatch)


def test_the_content_hash_does_not_depend_on_how_files_are_cut(run: Run, tmp_path: Path) -> None:
    hashes = set()
    for number in (1, 2, 5):
        store = Store(str(tmp_path / str(number)))
        make_run(store, run.movies, links_per_file=number)
        hashes.add(verify_run(store, FP).content_hash)
    assert hashes == {run.verify().content_hash}


@pytest.mark.parametrize("what", ["value", "link", "time"])
def test_the_content_hash_changes_with_the_content(run: Run, what: str) -> None:
    before = run.verify().content_hash

    def edit(table: pa.Table) -> pa.Table:
        columns = {name: table[name] for name in table.column_names}
        if what == "value":
            flat = table["features"].combine_chunks().flatten().to_numpy().copy()
            flat[5] += 1
            columns["features"] = pa.FixedSizeListArray.from_arrays(pa.array(flat), 2048)
        elif what == "time":
            columns["frame_time_s"] = pc.add(table["frame_time_s"], 1.0)
        else:
            first = table["link_id"][0].as_py()
            columns["link_id"] = pc.if_else(pc.equal(table["link_id"], first), "x", first)
        return pa.table(columns, schema=schemas.FEATURES)

    run.replace_features(edit)
    assert run.verify().content_hash not in (before, None)


@pytest.mark.parametrize("damage", [cut, zero, flip, empty, remove])
def test_a_damaged_or_missing_features_file_is_named(
    run: Run, damage: Callable[[Run, str], str]
) -> None:
    path = damage(run, run.features_files()[1])
    report = run.verify()
    (offender,) = found(report)["I3 features files match their rows"]
    assert path in offender
    assert "links refer to it" in offender
    assert report.content_hash is None


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (lambda row: row.update(outcome="vanished"), "'vanished'"),
        (lambda row: row.update(commit=None), "ok, but it refers to no features"),
        (lambda row: row.update(features_file=None), "ok, but it refers to no features"),
        (lambda row: row.update(features_file="../x.parquet"), "whose name is not its SHA-256"),
        (lambda row: row.update(outcome="dns"), "dns, but it refers to features"),
        (lambda row: row.update(frames=2), "frame_index is not 0..1"),
        (lambda row: row.update(frames=4), "frame_index is not 0..3"),
        (lambda row: row.update(pictures_s=1.9), "3 frames, but its pictures last 1.9 s"),
        (lambda row: row.update(pictures_s=4.1), "3 frames, but its pictures last 4.1 s"),
        (lambda row: row.update(link_id="z" * 64), "no frame is there"),
        (lambda row: row.update(commit="other"), "commit is"),
        (lambda row: row.update(features_rows=1), "rows, bytes, SHA-256 are"),
        (lambda row: row.update(features_bytes=1), "rows, bytes, SHA-256 are"),
    ],
)
def test_an_outcomes_row_that_says_something_else_is_found(
    run: Run, edit: Callable[[dict[str, Any]], object], part: str
) -> None:
    run.replace_outcomes(lambda rows: edit(rows[0]))
    assert part in str(found(run.verify()))


def with_column(
    name: str, change: Callable[[np.ndarray], object]
) -> Callable[[pa.Table], pa.Table]:
    def edit(table: pa.Table) -> pa.Table:
        values = table[name].to_numpy().copy()
        change(values)
        place = table.column_names.index(name)
        return table.set_column(place, name, pa.array(values)).cast(schemas.FEATURES)

    return edit


def with_not_a_number(table: pa.Table) -> pa.Table:
    flat = table["features"].combine_chunks().flatten().to_numpy().copy()
    flat[-1] = np.nan
    column = pa.FixedSizeListArray.from_arrays(pa.array(flat), 2048)
    return table.set_column(3, "features", column).cast(schemas.FEATURES)


def test_rows_of_another_width_are_found(run: Run) -> None:
    def narrow(table: pa.Table) -> pa.Table:
        values = pa.array(np.ones(3 * len(table), np.float32))
        column = pa.FixedSizeListArray.from_arrays(values, 3)
        return table.set_column(3, "features", column)

    run.replace_features(narrow)
    ((offender,),) = found(run.verify()).values()
    assert "its rows are 3 wide, not 2048" in offender


def test_a_run_of_another_width_verifies(tmp_path: Path) -> None:
    settings = replace(SETTINGS, width=5)
    movies = [
        replace(movie, features=movie.features[:, :5])
        for movie in make_movies(4)
        if movie.features is not None
    ]
    store = Store(str(tmp_path / "narrow"))
    report = verify_run(store, make_run(store, movies, settings=settings))
    assert report.holds, report.lines()
    assert report.frames == 16


def test_a_frame_that_stands_twice_is_found(run: Run) -> None:
    run.replace_features(with_column("frame_index", lambda v: v.__setitem__(1, 0)))
    ((offender,),) = found(run.verify()).values()
    assert "frame_index is not 0..2, each once" in offender


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (with_column("frame_time_s", lambda v: v.__iadd__(0.5)), "frame_time_s is not"),
        (with_not_a_number, "not all finite"),
        (lambda table: table.slice(1), "frame_index is not 0..2"),
        (lambda table: pa.concat_tables([table, table.slice(0, 1)]), "frame_index is not 0..2"),
    ],
)
def test_features_that_are_not_what_was_embedded_are_found(
    run: Run, edit: Callable[[pa.Table], pa.Table], part: str
) -> None:
    run.replace_features(edit)
    all_found = found(run.verify())
    assert part in str(all_found)
    assert "I3 commits match their finite content" in all_found


def test_progress_reaches_the_end(run: Run) -> None:
    reported: list[tuple[int, int]] = []
    verify_run(run.store, FP, lambda done, total: reported.append((done, total)))
    assert [total for _, total in reported] == [15, 15]
    assert reported[-1] == (15, 15)


def test_a_sample_of_the_files_is_read_and_said_to_be_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_run(store, make_movies(7, frames=1), links_per_file=1)
    seen: list[list[str]] = []

    def check(current: pa.Table, _: object) -> Iterator[FileFindings]:
        files = sorted(current["features_file"].to_pylist())
        seen.append(files)
        yield from (FileFindings() for _ in files)

    whole = verify_run(store, FP, check_files=check)
    some = verify_run(store, FP, sample=3, check_files=check)
    assert seen[1] == [seen[0][place] for place in (1, 3, 5)]
    assert (whole.content_hash, some.content_hash) == (whole.content_hash, None)
    assert whole.content_hash is not None
    assert some.notes == [*whole.notes, "3 of 7 features files were read"]
    damaged = seen[0][3]
    store.write_bytes(damaged, b"cut")
    assert not verify_run(store, FP, sample=3).holds
    assert verify_run(store, FP, sample=7) == verify_run(store, FP)

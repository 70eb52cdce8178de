from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from runs import make_movies, make_run
from trailergenre.base.errors import ConfigError, ForeignFileError, SchemaError, StorageError
from trailergenre.base.storage import Store
from trailergenre.runs import features_table, outcomes_table, schemas, tables

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def outcome(link_id: str, name: str, *, minutes: int = 0, detail: str = "") -> dict[str, object]:
    return {
        "link_id": link_id,
        "outcome": name,
        "detail": detail,
        "attempts": 1,
        "round": 0,
        "download_s": 0.0,
        "decode_s": 0.0,
        "embed_s": 0.0,
        "frames": 0,
        "decode_errors": 0,
        "connections": [],
        "engine": "onnxruntime",
        "device": "cpu",
        "versions": "{}",
        "sandbox": "full",
        "finished_at": NOON + timedelta(minutes=minutes),
    }


def commit(store: Store, *rows: dict[str, object]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=schemas.OUTCOMES)
    store.write_content_addressed("outcomes/fp", tables.to_parquet(table), ".parquet")


def current(store: Store) -> dict[str, tuple[str, str]]:
    rows = outcomes_table.read_outcomes(store, "fp").to_pylist()
    return {row["link_id"]: (row["outcome"], row["detail"]) for row in rows}


def test_no_outcomes_is_an_empty_table(tmp_path: Path) -> None:
    assert len(outcomes_table.read_outcomes(Store(str(tmp_path)), "fp")) == 0


def test_ok_beats_failure_beats_deferred_whatever_came_first(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    commit(store, outcome("a", "deferred"), outcome("b", "timeout"), outcome("c", "deferred"))
    commit(store, outcome("a", "timeout", minutes=5), outcome("b", "ok", minutes=5))
    assert current(store) == {"a": ("timeout", ""), "b": ("ok", ""), "c": ("deferred", "")}


def test_of_two_equal_classes_the_earlier_is_current(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    commit(store, outcome("a", "dns", minutes=3, detail="late"))
    commit(store, outcome("a", "dns", minutes=1, detail="early"))
    assert current(store) == {"a": ("dns", "early")}


def test_of_two_equal_classes_the_later_round_is_current_however_early(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    commit(store, {**outcome("a", "dns", detail="retried"), "round": 1})
    commit(store, outcome("a", "dns", minutes=-5, detail="before"))
    commit(store, {**outcome("a", "deferred"), "round": 2})
    assert current(store) == {"a": ("dns", "retried")}


def test_files_read_before_are_not_read_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    reader = outcomes_table.OutcomesReader(store, "fp")
    commit(store, outcome("a", "deferred"))
    first = reader.current()
    (read,) = (file.path for file in store.list_files("outcomes"))
    # Were it read again, it would be found cut.
    store.write_bytes(read, b"")
    commit(store, outcome("a", "ok"), outcome("b", "dns"))
    again = reader.current().sort_by("link_id")
    assert [first["outcome"].to_pylist(), again["outcome"].to_pylist()] == [
        ["deferred"],
        ["ok", "dns"],
    ]
    with pytest.raises(StorageError, match=read):
        outcomes_table.read_outcomes(store, "fp")


def labels(title: str) -> pa.Table:
    row = {"link_id": "a", "movie_id": "tt1", "title": title, "genres": ["Drama"]}
    return pa.Table.from_pylist([row], schema=schemas.LABELS)


def test_written_table_replaces_the_old_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for title in ("A", "B"):
        tables.write_table(store, "labels", labels(title))
    assert tables.read_table(store, "labels")["title"].to_pylist() == ["B"]


def test_writer_killed_at_any_write_or_deletion_leaves_one_of_both_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    store = Store(str(tmp_path))
    tables.write_table(store, "labels", labels("A"))
    # Another file of the same table, as other versions of this package wrote it.
    store.write_bytes("labels/0123.parquet", tables.to_parquet(labels("A")))
    for step, left in (("write_bytes", "A"), ("delete", "B")):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(Store, step, kill)
            tables.write_table(store, "labels", labels("B"))
        assert tables.read_table(store, "labels")["title"].to_pylist() == [left]
    tables.write_table(store, "labels", labels("B"))
    assert len(store.list_files("labels")) == 1


def write_parts(store: Store, titles: str) -> list[str]:
    parts = (tables.to_parquet(labels(title)) for title in titles)
    return [store.write_content_addressed("labels", part, ".parquet") for part in parts]


def test_files_of_tasks_become_the_table_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(str(tmp_path))
    old = write_parts(store, "AB")
    with pytest.raises(ConfigError, match="There is no table 'labels'"):
        tables.read_table(store, "labels")  # nobody said that these are all
    tables.replace_files(store, "labels", old)
    new = write_parts(store, "BC")
    assert sorted(tables.read_table(store, "labels")["title"].to_pylist()) == ["A", "B"]
    assert [file.path for file in tables.list_stale(store, "labels")] == [new[1]]
    with monkeypatch.context() as killed:
        killed.setattr(Store, "delete", lambda *_: None)
        tables.replace_files(store, "labels", new)
    for stale in ([old[0]], []):
        assert sorted(tables.read_table(store, "labels")["title"].to_pylist()) == ["B", "C"]
        assert [file.path for file in tables.list_stale(store, "labels")] == stale
        tables.check_replaceable(store, "labels")
        tables.replace_files(store, "labels", new)
    tables.replace_files(store, "labels", [])
    assert len(tables.read_table(store, "labels")) == 0
    assert [file.path for file in store.list_all_files("")] == ["labels/_current.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b'["../links/table.parquet"]'])
def test_a_list_of_files_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    store = Store(str(tmp_path))
    store.write_bytes("labels/_current.json", content)
    with pytest.raises(StorageError, match=r"labels/_current\.json below .* not a list of files"):
        tables.read_table(store, "labels")
    with pytest.raises(ForeignFileError, match=r"labels/_current\.json"):
        tables.check_replaceable(store, "labels")


def test_chosen_columns_are_read_and_all_are_checked(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    tables.write_table(store, "labels", labels("A"))
    read = tables.read_table(store, "labels", ["title", "link_id"])
    assert read.column_names == ["title", "link_id"]
    store.write_bytes("labels/table.parquet", tables.to_parquet(labels("A").drop_columns("part")))
    with pytest.raises(SchemaError, match="missing column part"):
        tables.read_table(store, "labels", ["title"])


def test_features_of_chosen_links_and_of_none(tmp_path: Path) -> None:
    store, movies = Store(str(tmp_path)), make_movies(3, frames=2)
    outcomes = outcomes_table.read_outcomes(store, make_run(store, movies))
    wanted = movies[1].link.link_id
    (rows,) = features_table.iter_features(store, outcomes, [wanted])
    assert rows["link_id"].to_pylist() == [wanted] * 2
    assert list(features_table.iter_features(store, outcomes, [])) == []


def cut(content: bytes) -> bytes:
    return content[:-9]


def flip(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


def drop(content: bytes) -> None:
    return None


def damage(store: Store, path: str, how: Callable[[bytes], bytes | None]) -> None:
    content = how(store.read_bytes(path))
    if content is None:
        store.delete(path)
    else:
        store.write_bytes(path, content)


@pytest.mark.parametrize("how", [cut, flip, bytes.swapcase, drop])
def test_features_file_that_was_changed_is_named(
    tmp_path: Path, how: Callable[[bytes], bytes | None]
) -> None:
    store = Store(str(tmp_path))
    outcomes = outcomes_table.read_outcomes(store, make_run(store, make_movies(3, frames=2)))
    (path,) = features_table.group_by_file(outcomes)["features_file"].to_pylist()
    damage(store, path, how)
    with pytest.raises(StorageError, match=rf"{path} below .*trailergenre verify {tmp_path}"):
        list(features_table.iter_features(store, outcomes))


@pytest.mark.parametrize("column", ["features_rows", "features_sha256"])
def test_rows_that_mean_another_content_are_refused(tmp_path: Path, column: str) -> None:
    store = Store(str(tmp_path))
    outcomes = outcomes_table.read_outcomes(store, make_run(store, make_movies(3, frames=2)))
    rows = [row | {column: {"features_rows": 5}.get(column, "0")} for row in outcomes.to_pylist()]
    with pytest.raises(StorageError, match="does not match its outcomes rows"):
        list(features_table.iter_features(store, pa.Table.from_pylist(rows, schemas.OUTCOMES)))


@pytest.mark.parametrize("how", [cut, flip, bytes.swapcase])
def test_outcomes_file_that_was_changed_is_named(
    tmp_path: Path, how: Callable[[bytes], bytes | None]
) -> None:
    store = Store(str(tmp_path))
    commit(store, outcome("a", "ok"))
    (file,) = store.list_files("outcomes")
    damage(store, file.path, how)
    with pytest.raises(StorageError, match=rf"{file.path} below .*trailergenre verify {tmp_path}"):
        outcomes_table.read_outcomes(store, "fp")


def test_outcomes_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    path = store.write_content_addressed("outcomes/fp", b"no table", ".parquet")
    with pytest.raises(StorageError, match=rf"{path} below .* is not a Parquet file"):
        outcomes_table.read_outcomes(store, "fp")


def test_missing_table_names_the_job_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trailergenre prepare"):
        tables.read_table(Store(str(tmp_path)), "labels")


def test_schema_error_names_every_column_that_is_wrong(tmp_path: Path) -> None:
    table = pa.table({"link_id": [1], "movie_id": ["tt1"], "extra": ["x"], "title": ["A"]})
    with pytest.raises(SchemaError) as raised:
        tables.write_table(Store(str(tmp_path)), "labels", table)
    for part in ("missing column genres", "unknown column extra", "column link_id is int64"):
        assert part in str(raised.value)


@pytest.mark.parametrize(
    "name",
    [
        *("links.csv", "old/links.csv", "notes.txt", ".hidden", "mine.parquet", "_notes"),
        *("part-00000.parquet", "old/table.parquet", "_SUCCESS", "_current.json", ".mine.crc"),
        *(".table.parquet", "film.mp4.part", "film.ytdl"),
    ],
)
def test_a_file_that_is_not_the_tables_is_never_deleted(tmp_path: Path, name: str) -> None:
    store = Store(str(tmp_path))
    tables.write_table(store, "labels", labels("A"))
    foreign = tmp_path / "labels" / name
    foreign.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"url": ["x"]}), foreign)
    content = foreign.read_bytes()
    with pytest.raises(ForeignFileError, match=re.escape(f"labels/{name} was not written by")):
        tables.check_replaceable(store, "labels")
    assert foreign.read_bytes() == content


def test_a_copy_of_the_table_is_kept_too(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    tables.write_table(store, "labels", labels("A"))
    store.write_bytes("labels/backup.parquet", store.read_bytes("labels/table.parquet"))
    with pytest.raises(ForeignFileError, match=r"labels/backup\.parquet"):
        tables.check_replaceable(store, "labels")

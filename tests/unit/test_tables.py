from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from trailergenre import schemas, tables
from trailergenre.errors import ConfigError, SchemaError
from trailergenre.storage import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def outcome(link_id: str, name: str, *, minutes: int = 0, detail: str = "") -> dict[str, object]:
    return {
        "link_id": link_id,
        "outcome": name,
        "detail": detail,
        "attempts": 1,
        "download_s": 0.0,
        "decode_s": 0.0,
        "embed_s": 0.0,
        "frames": 0,
        "engine": "onnxruntime",
        "device": "cpu",
        "versions": "{}",
        "finished_at": NOON + timedelta(minutes=minutes),
    }


def commit(store: Store, *rows: dict[str, object]) -> None:
    table = pa.Table.from_pylist(list(rows), schema=schemas.OUTCOMES)
    store.write_content_addressed("outcomes/fp", tables.to_parquet(table), ".parquet")


def current(store: Store) -> dict[str, tuple[str, str]]:
    rows = tables.read_outcomes(store, "fp").to_pylist()
    return {row["link_id"]: (row["outcome"], row["detail"]) for row in rows}


def test_no_outcomes_is_an_empty_table(tmp_path: Path) -> None:
    assert len(tables.read_outcomes(Store(str(tmp_path)), "fp")) == 0


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


def test_written_table_replaces_the_old_one(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    row = {"link_id": "a", "movie_id": "tt1", "title": "A", "genres": ["Drama"]}
    for title in ("A", "B"):
        table = pa.Table.from_pylist([{**row, "title": title}], schema=schemas.LABELS)
        tables.write_table(store, "labels", table)
    assert tables.read_table(store, "labels")["title"].to_pylist() == ["B"]


def test_missing_table_names_the_job_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="prepare_dataset"):
        tables.read_table(Store(str(tmp_path)), "labels")


def test_schema_error_names_every_column_that_is_wrong(tmp_path: Path) -> None:
    table = pa.table({"link_id": [1], "movie_id": ["tt1"], "extra": ["x"], "title": ["A"]})
    with pytest.raises(SchemaError) as raised:
        tables.write_table(Store(str(tmp_path)), "labels", table)
    for part in ("missing column genres", "unknown column extra", "column link_id is int64"):
        assert part in str(raised.value)

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from runs import SETTINGS, make_movies, make_run, write_features
from trailergenre.base.config import RowsConfig
from trailergenre.base.errors import StorageError
from trailergenre.base.storage import Store
from trailergenre.models.pooled_table import iter_pooled, iter_training_rows, remove_unfinished
from trailergenre.models.pooling import iter_links, link_rows
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs.verify.verify import verify_run

FP = SETTINGS.fingerprint
POOLED = RowsConfig()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Nine links in three features files."""
    run = Store(str(tmp_path))
    make_run(run, make_movies(9, frames=6), links_per_file=4)
    return run


def read(store: Store, config: RowsConfig = POOLED) -> dict[str, bytes]:
    """The pooled row of each link."""
    files = iter_pooled(store, outcomes_table.read_outcomes(store, FP), config)
    return {
        link_id: row.tobytes()
        for file in files
        for link_id, row in zip(file.link_ids, file.rows, strict=True)
    }


def from_frames(store: Store, config: RowsConfig = POOLED) -> dict[str, bytes]:
    files = iter_links(store, outcomes_table.read_outcomes(store, FP))
    links = [link for file in files for link in file]
    return {link.link_id: link_rows(link, "pooled", config).tobytes() for link in links}


def pooled_files(store: Store) -> list[str]:
    return [file.path for file in store.list_files("pooled")]


@pytest.fixture
def bytes_read(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Bytes that are read from now on, by table."""
    seen: dict[str, int] = {}
    plain = Store.read_bytes

    def noted(self: Store, path: str) -> bytes:
        content = plain(self, path)
        table = path.split("/")[0]
        seen[table] = seen.get(table, 0) + len(content)
        return content

    monkeypatch.setattr(Store, "read_bytes", noted)
    return seen


def test_rows_are_those_of_the_frames_also_when_they_are_read_again(store: Store) -> None:
    configs = (RowsConfig(), RowsConfig(span="middle"), RowsConfig(statistics=("max",)))
    for config in configs:
        expected = from_frames(store, config)
        assert len(expected) == 9
        assert read(store, config) == expected
    assert len(pooled_files(store)) == 3 * len(configs)
    assert [read(store, config) for config in configs] == [
        from_frames(store, config) for config in configs
    ]


def test_the_second_reading_takes_a_twentieth_of_the_bytes(
    tmp_path: Path, bytes_read: dict[str, int]
) -> None:
    store = Store(str(tmp_path))
    make_run(store, make_movies(4, frames=100))
    read(store)
    first = bytes_read.pop("features")
    read(store)
    assert "features" not in bytes_read
    assert 0 < bytes_read["pooled"] <= first / 20


def test_only_wanted_links_are_given(store: Store) -> None:
    outcomes = outcomes_table.read_outcomes(store, FP)
    wanted = outcomes["link_id"].to_pylist()[1::3]
    for _ in range(2):
        files = list(iter_training_rows(store, outcomes, "pooled", RowsConfig(), wanted))
        assert sorted(link for file in files for link in file.link_ids) == sorted(wanted)
        assert [len(file.rows) for file in files] == [sum(file.counts) for file in files]


def supersede(store: Store) -> str:
    """Commit a link anew, with an outcome that beats the old one; gives the link."""
    row = outcomes_table.read_outcomes(store, FP).to_pylist()[0]
    link_id = str(row["link_id"])
    named = write_features(store, FP, {link_id: np.full((6, 2048), 5, np.float32)})
    row |= {**named, "finished_at": row["finished_at"].replace(year=2025)}
    content = tables.to_parquet(pa.Table.from_pylist([row], schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{FP}", content, ".parquet")
    return link_id


def test_rows_of_a_superseded_commit_are_not_given(store: Store) -> None:
    before = read(store)
    link_id = supersede(store)
    after = read(store)
    assert after == from_frames(store)
    assert [key for key in after if after[key] != before[key]] == [link_id]


@pytest.mark.parametrize("damage", ["bit", "cut", "empty", "another's"])
def test_a_damaged_file_is_made_again(store: Store, damage: str) -> None:
    expected = read(store)
    path, other, _ = pooled_files(store)
    content = store.read_bytes(path)
    middle = len(content) // 2
    damaged = {
        "bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        "cut": content[:middle],
        "empty": b"",
        "another's": store.read_bytes(other),
    }
    store.write_bytes(path, damaged[damage])
    assert read(store) == expected
    assert store.read_bytes(path) == content


def test_a_value_that_changed_with_its_file_valid_is_found(store: Store) -> None:
    """No checksum of Parquet's pages would see it."""
    expected = read(store)
    path = pooled_files(store)[0]
    table = tables.parse_parquet(store.read_bytes(path))
    rows = table["row"].combine_chunks().flatten().to_numpy().copy()
    rows[7] += 1
    column = pa.FixedSizeListArray.from_arrays(pa.array(rows), len(rows) // len(table))
    store.write_bytes(path, tables.to_parquet(table.set_column(1, "row", column)))
    assert read(store) == expected


def test_what_a_killed_writer_left_goes_and_verify_is_clean(store: Store) -> None:
    read(store)
    half = f"{pooled_files(store)[0].rpartition('/')[0]}/.unfinished-x"
    store.write_bytes(half, b"half")
    remove_unfinished(store, FP)
    assert not store.exists(half)
    assert len(pooled_files(store)) == 3
    report = verify_run(store, FP)
    assert report.holds, report.lines()


def test_a_run_that_cannot_be_written_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("read-only")

    monkeypatch.setattr(Store, "write_bytes", refuse)
    assert read(store) == from_frames(store)
    assert pooled_files(store) == []


def test_values_that_are_not_finite_stop_the_reader_that_wants_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    good, bad = make_movies(2)
    assert bad.features is not None
    bad.features[0, 0] = np.nan
    outcomes = outcomes_table.read_outcomes(store, make_run(store, [good, bad]))
    for _ in range(2):
        (file,) = iter_pooled(store, outcomes, RowsConfig(), [good.link.link_id])
        assert file.link_ids == [good.link.link_id]
        with pytest.raises(ValueError, match="not all finite"):
            list(iter_pooled(store, outcomes, RowsConfig()))

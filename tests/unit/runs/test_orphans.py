from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from runs import SETTINGS, make_movies, make_run, write_features
from trailergenre.base.errors import StorageError
from trailergenre.base.storage import Store
from trailergenre.runs import features_table, outcomes_table, schemas, tables
from trailergenre.runs.orphans import remove_orphans

FP = SETTINGS.fingerprint


@pytest.fixture
def store(tmp_path: Path) -> Store:
    run = Store(str(tmp_path))
    make_run(run, make_movies(3, frames=2))
    return run


def make_old(store: Store, path: str, hours: float = 25) -> None:
    then = time.time() - hours * 3600
    os.utime(store.local_path(path), (then, then))


def add_orphan(store: Store, hours: float) -> str:
    """A features file without outcomes, last written so long ago."""
    named = write_features(store, FP, {"orphan": np.full((1, 2048), hours, np.float32)})
    make_old(store, str(named["features_file"]), hours)
    return str(named["features_file"])


def test_old_orphans_go_and_young_ones_and_named_ones_stay(store: Store) -> None:
    (named,) = (file.path for file in store.list_files(f"features/{FP}"))
    make_old(store, named)
    old, young = add_orphan(store, 25), add_orphan(store, 23)
    assert remove_orphans(store, SETTINGS) == 1
    left = {file.path for file in store.list_files(f"features/{FP}")}
    assert left == {named, young}
    assert old not in left
    assert (
        len(list(features_table.iter_features(store, outcomes_table.read_outcomes(store, FP)))) == 1
    )


def test_unfinished_frames_go_at_once_and_kept_ones_stay(store: Store) -> None:
    directory = f"frames/{SETTINGS.frames_key}"
    for name in (".unfinished-x", "0" * 64):
        store.write_bytes(f"{directory}/{name}", b"frames")
    assert remove_orphans(store, SETTINGS) == 1
    assert [file.path for file in store.list_all_files("frames")] == [f"{directory}/{'0' * 64}"]


def test_what_a_superseded_row_names_is_no_orphan(store: Store) -> None:
    """A twin's row came later: nobody reads its features, but its row still names them."""
    rows = outcomes_table.read_outcomes(store, FP).to_pylist()
    twin = write_features(store, FP, {rows[0]["link_id"]: np.ones((2, 2048), np.float32)})
    later = rows[0]["finished_at"].replace(year=2027)
    row = {**rows[0], **twin, "finished_at": later}
    content = tables.to_parquet(pa.Table.from_pylist([row], schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{FP}", content, ".parquet")
    make_old(store, str(twin["features_file"]))
    assert remove_orphans(store, SETTINGS) == 0
    assert store.exists(str(twin["features_file"]))


def test_unfinished_files_go_at_once_and_only_where_featurize_writes(store: Store) -> None:
    key = SETTINGS.videos_key
    ours = [
        f"{place}/.unfinished-x" for place in (f"features/{FP}", f"outcomes/{FP}", f"videos/{key}")
    ]
    others = ["reports/.unfinished-x", f"features/{'0' * 16}/.unfinished-x", f"features/{FP}/.mine"]
    for path in (*ours, *others):
        store.write_bytes(path, b"half")
    assert remove_orphans(store, SETTINGS) == 3
    assert [store.exists(path) for path in (*ours, *others)] == [False] * 3 + [True] * 3


def test_pooled_rows_go_with_their_features(store: Store) -> None:
    (named,) = (file.path.rpartition("/")[2] for file in store.list_files(f"features/{FP}"))
    gone = f"{'1' * 64}.parquet"
    for name in (named, gone):
        store.write_bytes(f"pooled/{FP}/key/{name}", b"rows")
        make_old(store, f"pooled/{FP}/key/{name}")
    store.write_bytes(f"pooled/{FP}/key/.unfinished-x", b"half")
    assert remove_orphans(store, SETTINGS) == 2
    assert [file.path for file in store.list_all_files("pooled")] == [f"pooled/{FP}/key/{named}"]


def test_what_is_not_ours_is_left_alone(store: Store) -> None:
    path = f"features/{FP}/thesis.parquet"
    store.write_bytes(path, b"mine")
    make_old(store, path)
    assert remove_orphans(store, SETTINGS) == 0
    assert store.exists(path)


def test_nothing_is_removed_where_outcomes_are_damaged(store: Store) -> None:
    orphan = add_orphan(store, 25)
    (file,) = store.list_files(f"outcomes/{FP}")
    store.write_bytes(file.path, b"")
    with pytest.raises(StorageError, match=file.path):
        remove_orphans(store, SETTINGS)
    assert store.exists(orphan)

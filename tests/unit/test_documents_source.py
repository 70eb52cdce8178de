from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mongos import links_of
from runs import (
    SETTINGS,
    Movie,
    labelled,
    labels_table,
    link_id,
    links_table,
    make_movies,
    make_run,
)
from trailergenre import tables
from trailergenre.documents import read_links, read_publishable
from trailergenre.errors import StorageError
from trailergenre.records import N_FEATURES
from trailergenre.storage import Store

FP = SETTINGS.fingerprint
UP = Movie(
    labelled("up", ["Drama", "War"], "tt1"), np.arange(3 * N_FEATURES, dtype="f4").reshape(3, -1)
)
HEAT = Movie(labelled("heat", ["Crime"], "tt2"), np.ones((2, N_FEATURES), "f4"))
BROKEN = Movie(labelled("broken", ["Drama"]), None)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two links with features in a file each, of which one has no label; and one that failed."""
    made = Store(str(tmp_path / "run"))
    make_run(made, [UP, HEAT, BROKEN], links_per_file=1)
    tables.write_table(made, "labels", labels_table([UP.link]))
    return made


def test_links_are_told_with_what_lists_and_labels_say(store: Store) -> None:
    links = {link.frames.link_id: link for link in links_of(store, FP)}
    assert links.keys() == {UP.link.link_id, HEAT.link.link_id}
    up, heat = links[UP.link.link_id], links[HEAT.link.link_id]
    assert (up.title, up.genres, up.movie_id) == ("Title of tt1", ["Drama", "War"], "tt1")
    assert (heat.title, heat.genres, heat.movie_id) == ("Title of tt2", [], "tt2")
    assert up.url == f"http://127.0.0.1/{UP.link.link_id}"
    assert np.array_equal(up.frames.features, UP.features)
    assert up.frames.frame_time_s.tolist() == [0, 1, 2]
    outcomes = {row["link_id"]: row for row in tables.read_outcomes(store, FP).to_pylist()}
    row = outcomes[UP.link.link_id]
    assert (up.commit, up.finished_at) == (row["commit"], row["finished_at"])


def test_a_link_that_the_list_does_not_hold_any_more_keeps_its_features(store: Store) -> None:
    tables.write_table(store, "links", links_table([HEAT.link]))
    (up,) = (link for link in links_of(store, FP) if link.frames.link_id == UP.link.link_id)
    assert (up.title, up.url, up.movie_id, up.genres) == ("", None, None, ["Drama", "War"])


def test_parts_are_features_files_and_promise_the_outcomes_frames(store: Store) -> None:
    source = read_publishable(store, FP)
    assert source.n_frames == 5
    parts = source.parts()
    assert len(parts) == 2
    assert [len(set(part["features_file"].to_pylist())) for part in parts] == [1, 1]
    assert source.fingerprint == FP


def test_many_links_of_a_file_are_one_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    movies = make_movies(7, frames=2)
    make_run(store, movies, links_per_file=3)
    source = read_publishable(store, FP)
    assert sorted(len(part) for part in source.parts()) == [1, 3, 3]
    assert {m.link.link_id for m in movies} == {link.frames.link_id for link in links_of(store, FP)}


def test_links_of_the_run_without_features_are_withdrawn(store: Store) -> None:
    assert read_publishable(store, FP).withdrawn == [BROKEN.link.link_id]
    # Listed, and not taken yet.
    listed = [UP.link, HEAT.link, labelled("new", [])]
    tables.write_table(store, "links", links_table(listed))
    expected = sorted([BROKEN.link.link_id, link_id("new")])
    assert read_publishable(store, FP).withdrawn == expected


def test_a_run_without_any_feature_has_no_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_run(store, [BROKEN])
    source = read_publishable(store, FP)
    assert (source.parts(), source.n_frames) == ([], 0)


def test_a_changed_features_file_is_named(store: Store) -> None:
    part = read_publishable(store, FP).parts()[0]
    path = part["features_file"][0].as_py()
    store.write_bytes(path, b"cut")
    with pytest.raises(StorageError, match=path):
        read_links(store, part)

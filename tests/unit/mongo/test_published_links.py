from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
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
    outcome_row,
)
from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.mongo.published_links import plan_publishing, read_links
from trailergenre.runs import outcomes_table, schemas, tables

FP = SETTINGS.fingerprint
UP = Movie(
    labelled("up", ["Drama", "War"], "tt1"),
    np.arange(3 * INCEPTION_V3_WIDTH, dtype="f4").reshape(3, -1),
)
HEAT = Movie(labelled("heat", ["Crime"], "tt2"), np.ones((2, INCEPTION_V3_WIDTH), "f4"))
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
    outcomes = {row["link_id"]: row for row in outcomes_table.read_outcomes(store, FP).to_pylist()}
    row = outcomes[UP.link.link_id]
    assert (up.commit, up.finished_at) == (row["commit"], row["finished_at"])


def test_parts_are_features_files_and_promise_the_outcomes_frames(store: Store) -> None:
    plan = plan_publishing(store, FP)
    assert plan.n_frames == 5
    parts = plan.links_by_file()
    assert len(parts) == 2
    assert [len(set(part["features_file"].to_pylist())) for part in parts] == [1, 1]
    assert plan.fingerprint == FP


def test_many_links_of_a_file_are_one_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    movies = make_movies(7, frames=2)
    make_run(store, movies, links_per_file=3)
    plan = plan_publishing(store, FP)
    assert sorted(len(part) for part in plan.links_by_file()) == [1, 3, 3]
    assert {m.link.link_id for m in movies} == {link.frames.link_id for link in links_of(store, FP)}


def defer(store: Store, name: str) -> None:
    row = outcome_row(link_id(name), Outcome.DEFERRED)
    content = tables.to_parquet(pa.Table.from_pylist([row], schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{FP}", content, ".parquet")


def test_links_that_failed_are_withdrawn_and_open_ones_are_not(store: Store) -> None:
    defer(store, "later")
    listed = [each.link for each in (UP, HEAT, BROKEN)]
    listed += [labelled("later", []), labelled("not taken yet", [])]
    tables.write_table(store, "links", links_table(listed))
    assert plan_publishing(store, FP).withdrawn == [BROKEN.link.link_id]


def test_links_that_left_the_list_are_withdrawn_and_not_published(store: Store) -> None:
    defer(store, "later")  # it never had features
    tables.write_table(store, "links", links_table([HEAT.link]))
    plan = plan_publishing(store, FP)
    assert plan.links["link_id"].to_pylist() == [HEAT.link.link_id]
    assert plan.withdrawn == sorted([UP.link.link_id, BROKEN.link.link_id])


def test_a_run_without_any_feature_has_no_part(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_run(store, [BROKEN])
    plan = plan_publishing(store, FP)
    assert (plan.links_by_file(), plan.n_frames) == ([], 0)


def test_a_changed_features_file_is_named(store: Store) -> None:
    part = plan_publishing(store, FP).links_by_file()[0]
    path = part["features_file"][0].as_py()
    store.write_bytes(path, b"cut")
    with pytest.raises(StorageError, match=path):
        read_links(store, part)

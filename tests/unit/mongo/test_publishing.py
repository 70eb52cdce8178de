"""What the collections hold after publishing, again, and again with less, on a real wire."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection

from mongos import content_hash, destination_at, ids_of, links_of, make_store, publish, stored
from runs import SETTINGS, Movie, labelled, link_id, make_movies, make_run
from trailergenre.base.errors import ConfigError, StorageError
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.mongo import publishing
from trailergenre.mongo.bulk_writes import WriteCounts
from trailergenre.mongo.collections import prepare_collections
from trailergenre.mongo.connection import Destination, Document
from trailergenre.mongo.publishing import PublishResult, publish_links, withdraw_links

FP = SETTINGS.fingerprint


@pytest.fixture
def destination(mongo_uri: str) -> Destination:
    return destination_at(mongo_uri, batch_size=4)


def edit(
    destination: Destination, change: Callable[[Collection[Document]], object], name: str = ""
) -> None:
    """Change a collection behind our back."""
    with MongoClient[Document](destination.address.uri) as client:
        change(client[destination.config.database][name or "frames"])


def test_the_second_time_changes_nothing(destination: Destination, tmp_path: Path) -> None:
    store = make_store(tmp_path, frames=3)
    first = publish(destination, store, FP)
    assert first == PublishResult(WriteCounts(15, upserted=15), WriteCounts(5, upserted=5))
    before = content_hash(destination)
    second = publish(destination, store, FP)
    assert second == PublishResult(WriteCounts(15, matched=15), WriteCounts(5, matched=5))
    assert content_hash(destination) == before
    assert len(stored(destination)) == 15


def test_documents_hold_the_tables_features_and_trailers_their_mean(
    destination: Destination, tmp_path: Path
) -> None:
    store = make_store(tmp_path, frames=3)
    publish(destination, store, FP)
    frames = {d["_id"]: bytes(d["features"])[2:] for d in stored(destination)}
    trailers = {d["_id"]: d for d in stored(destination, "frames_trailers")}
    for link in links_of(store, FP):
        key = link.frames.link_id
        rows = [frames.pop(f"{key}:{index}") for index in range(3)]
        assert b"".join(rows) == link.frames.features.tobytes()
        mean = link.frames.features.astype(np.float64).mean(axis=0).astype(np.float32)
        assert bytes(trailers[key]["features"])[2:] == mean.tobytes()
        assert trailers[key]["frames"] == 3
    assert frames == {}


def test_fewer_frames_leave_no_stale_one(destination: Destination, tmp_path: Path) -> None:
    publish(destination, make_store(tmp_path / "long", frames=5), FP)
    shorter = make_store(tmp_path / "short", frames=2)
    done = publish(destination, shorter, FP)
    assert (done.frames.documents, done.frames.deleted) == (10, 15)
    assert ids_of(destination) == sorted(
        f"{link.frames.link_id}:{i}" for link in links_of(shorter, FP) for i in (0, 1)
    )
    assert {d["frames"] for d in stored(destination, "frames_trailers")} == {2}
    fresh = destination_at(destination.address.uri)
    publish(fresh, shorter, FP)
    assert content_hash(destination) == content_hash(fresh)


def test_other_features_are_refused_and_nothing_is_mixed(
    destination: Destination, tmp_path: Path
) -> None:
    dense = Store(str(tmp_path / "dense"))
    fingerprint = make_run(
        dense, make_movies(5, frames=6), settings=replace(SETTINGS, frames_per_s=2.0)
    )
    publish(destination, dense, fingerprint)
    before = content_hash(destination)
    with pytest.raises(ConfigError, match=r"Publish these to a new one: --set mongo\.collection"):
        publish(destination, make_store(tmp_path / "sparse", frames=3), FP)
    assert content_hash(destination) == before
    assert {d["fingerprint"] for d in stored(destination)} == {fingerprint}


@pytest.mark.parametrize(
    ("collection", "damage"),
    [
        ("frames", lambda c: c.delete_many({"frame_index": 1})),
        ("frames", lambda c: c.update_many({"frame_index": 2}, {"$set": {"title": "Other"}})),
        ("frames", lambda c: c.update_one({"frame_index": 0}, {"$set": {"fingerprint": "other"}})),
        ("frames", lambda c: c.update_many({}, {"$unset": {"link_id": 1}})),
        ("frames", lambda c: c.insert_one({"link_id": link_id("movie-0"), "frame_index": 99})),
        ("frames", lambda c: c.insert_one({"link_id": link_id("movie-1"), "frame_index": 1})),
        ("frames", lambda c: c.insert_one({"_id": "odd", "link_id": link_id("movie-4")})),
        ("frames_trailers", lambda c: c.delete_one({})),
        ("frames_trailers", lambda c: c.update_many({}, {"$set": {"frames": 1000}})),
    ],
)
def test_publishing_again_mends_what_was_done_by_hand(
    destination: Destination,
    tmp_path: Path,
    collection: str,
    damage: Callable[[Collection[Document]], object],
) -> None:
    store = make_store(tmp_path, frames=3)
    publish(destination, store, FP)
    before = content_hash(destination)
    edit(destination, damage, collection)
    assert content_hash(destination) != before
    publish(destination, store, FP)
    assert content_hash(destination) == before


def test_links_that_have_no_features_any_more_have_no_documents(
    destination: Destination, tmp_path: Path
) -> None:
    movies = make_movies(5, frames=3)
    publish(destination, make_store(tmp_path / "before", frames=3), FP)
    failed = [Movie(movies[0].link, None), *movies[1:]]
    store = Store(str(tmp_path / "after"))
    make_run(store, failed, links_per_file=3)
    done = publish(destination, store, FP)
    assert (done.frames.deleted, done.trailers.deleted) == (3, 1)
    gone = movies[0].link.link_id
    assert not [
        id_
        for id_ in (*ids_of(destination), *ids_of(destination, "frames_trailers"))
        if gone in id_
    ]
    assert len(stored(destination)) == 12


def test_links_of_another_run_are_left_alone(destination: Destination, tmp_path: Path) -> None:
    other = Store(str(tmp_path / "other"))
    make_run(other, [Movie(labelled("up", ["Drama"]), np.ones((2, INCEPTION_V3_WIDTH), "f4"))])
    publish(destination, other, FP)
    publish(destination, make_store(tmp_path / "mine", frames=3), FP)
    assert len(stored(destination)) == 17
    assert len(stored(destination, "frames_trailers")) == 6


def test_two_at_once_leave_what_one_does(destination: Destination, tmp_path: Path) -> None:
    store = make_store(tmp_path, frames=8)
    prepare_collections(destination, SETTINGS)
    links, done = links_of(store, FP), []
    together = threading.Barrier(2)

    def work() -> None:
        together.wait()
        done.append(publish_links(destination, FP, links))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.frames.documents for each in done] == [40, 40]
    assert sum(each.frames.upserted for each in done) == 40
    assert [each.frames.refused for each in done] == [0, 0]
    alone = destination_at(destination.address.uri)
    publish(alone, store, FP)
    assert content_hash(destination) == content_hash(alone)


def interrupt(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Do something when a function of `publishing` is called for the first time, before it."""
    function = getattr(publishing, name)

    def first(*args: object) -> object:
        monkeypatch.setattr(publishing, name, function)
        act()
        return function(*args)

    monkeypatch.setattr(publishing, name, first)


@pytest.mark.parametrize("is_withdrawn", [False, True])
def test_another_run_that_changes_the_same_links_meanwhile_is_told(
    destination: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_withdrawn: bool
) -> None:
    store, other = make_store(tmp_path / "mine", frames=3), make_store(tmp_path / "other", frames=2)
    theirs = links_of(other, FP)
    prepare_collections(destination, SETTINGS)

    def act() -> None:
        if is_withdrawn:
            withdraw_links(destination, [theirs[0].frames.link_id])
        else:
            publish_links(destination, FP, theirs)

    interrupt(monkeypatch, "count_documents", act)
    told = r"Another run .* links in t\w+\.frames .*Publish again when it has ended"
    with pytest.raises(StorageError, match=told):
        publish_links(destination, FP, links_of(store, FP))
    publish(destination, store, FP)
    alone = destination_at(destination.address.uri)
    publish(alone, store, FP)
    assert content_hash(destination) == content_hash(alone)


def test_a_twin_that_deletes_the_same_stale_frames_is_no_other_run(
    destination: Destination, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(destination, make_store(tmp_path / "long", frames=5), FP)
    store = make_store(tmp_path / "short", frames=3)
    interrupt(monkeypatch, "delete_documents", lambda: publish(destination, store, FP))
    done = publish(destination, store, FP)
    assert (done.frames.documents, done.frames.deleted) == (15, 0)
    assert len(stored(destination)) == 15


@pytest.mark.parametrize(
    "title", ['{"$gt": ""}', "$where", "a.b", "nul\x00nul", "", "é🎬", "x" * 1_000_000]
)
def test_titles_stay_text(destination: Destination, tmp_path: Path, title: str) -> None:
    store = make_store(tmp_path, frames=1)
    links = [replace(link, title=title) for link in links_of(store, FP)]
    publish_links(destination, FP, links)
    assert {d["title"] for d in stored(destination)} == {title}


def test_one_that_is_too_large_is_told_and_all_others_are_there(
    destination: Destination, tmp_path: Path
) -> None:
    links = links_of(make_store(tmp_path, frames=3), FP)
    huge = replace(links[2], title="x" * 17_000_000)
    done = publish_links(destination, FP, [*links[:2], huge, *links[3:]])
    key = huge.frames.link_id
    assert (done.frames.documents, done.frames.refused) == (12, 3)
    assert (done.trailers.documents, done.trailers.refused) == (4, 1)
    assert [reason.partition(" ")[0] for reason in done.frames.reasons] == [
        f"{key}:{index}:" for index in range(3)
    ]
    assert all("too large" in reason and len(reason) <= 300 for reason in done.frames.reasons)
    assert len(stored(destination)) == 12


def test_a_rule_of_the_collection_refuses_single_documents_by_their_reason(
    destination: Destination, tmp_path: Path
) -> None:
    store = make_store(tmp_path, frames=3)
    edit(destination, lambda c: c.create_index("frame_time_s", unique=True))
    done = publish_links(destination, FP, links_of(store, FP))
    assert (done.frames.documents, done.frames.refused) == (3, 12)
    assert "E11000" in done.frames.reasons[0]
    assert sorted(d["frame_index"] for d in stored(destination)) == [0, 1, 2]


def test_refused_documents_do_not_hide_stale_ones(destination: Destination, tmp_path: Path) -> None:
    publish(destination, make_store(tmp_path / "long", frames=3), FP)
    link = links_of(make_store(tmp_path / "short", frames=2), FP)[0]
    edit(destination, lambda c: c.delete_one({"_id": f"{link.frames.link_id}:0"}))
    # As many documents as there should be, but not the right ones.
    publish_links(destination, FP, [replace(link, title="x" * 17_000_000)])
    left = [d["frame_index"] for d in stored(destination) if d["link_id"] == link.frames.link_id]
    assert left == [1]

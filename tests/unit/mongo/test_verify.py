"""`verify` with MongoDB beside it: what it finds, publishing again mends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from typer.testing import CliRunner

from mongos import content_hash, destination_at, publish
from runs import SETTINGS, Movie, labelled, link_id, links_table, make_run
from trailergenre.base.errors import StorageError
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.mongo.connection import Destination, Document
from trailergenre.mongo.verify import check_published
from trailergenre.runs import tables
from trailergenre.runs.verify.verification import Verification
from trailergenre.runs.verify.verify import verify_run
from verified import FP, Run, cut, found, make_verified, notes

FRAMES = "I3 MongoDB holds every frame as the features table"
TRAILERS = "I3 MongoDB holds one document a link with features"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Five links of three frames, and one that failed."""
    return make_verified(tmp_path, monkeypatch)


@pytest.fixture
def destination(mongo_uri: str) -> Destination:
    return destination_at(mongo_uri)


def verify_published(store: Store, destination: Destination) -> Verification:
    """As `trailergenre verify --mongo` does."""
    report = verify_run(store, FP)
    report.checks.extend(check_published(store, FP, destination, lambda done, total: None))
    return report


def verify(run: Run, destination: Destination) -> Verification:
    return verify_published(run.store, destination)


def collection(
    destination: Destination, client: MongoClient[Document], name: str
) -> Collection[Document]:
    return client[destination.config.database][name]


def edit(
    destination: Destination, name: str, change: Callable[[Collection[Document]], object]
) -> None:
    with MongoClient[Document](destination.address.uri) as client:
        change(collection(destination, client, name))


def test_what_was_published_holds(run: Run, destination: Destination) -> None:
    publish(destination, run.store, FP)
    report = verify(run, destination)
    assert found(report) == {}
    checked = {f"{check.invariant} {check.name}": check.checked for check in report.checks}
    assert (checked[FRAMES], checked[TRAILERS]) == (15, 5)
    assert "of links that this run does not publish" not in notes(report)


def test_without_being_asked_no_server_is_looked_at(run: Run) -> None:
    names = [check.name for check in verify_run(run.store, FP).checks]
    assert not [name for name in names if "MongoDB" in name]


MOVIE = link_id("movie-0")
LOST = link_id("broken")

DAMAGES: dict[str, tuple[str, Callable[[Collection[Document]], object], list[str]]] = {
    "deleted": ("frames", lambda c: c.delete_one({"_id": f"{MOVIE}:1"}), [f"missing: {MOVIE}:1"]),
    "other title": (
        "frames",
        lambda c: c.update_one({"_id": f"{MOVIE}:2"}, {"$set": {"title": "Other"}}),
        [f"changed: {MOVIE}:2"],
    ),
    "other features": (
        "frames",
        lambda c: c.update_one({"_id": f"{MOVIE}:0"}, {"$set": {"features": b"\x27\x00"}}),
        [f"changed: {MOVIE}:0"],
    ),
    "one field more": (
        "frames",
        lambda c: c.update_one({"_id": f"{MOVIE}:0"}, {"$set": {"note": "mine"}}),
        [f"changed: {MOVIE}:0"],
    ),
    "a stale frame": (
        "frames",
        lambda c: c.insert_one({"_id": f"{MOVIE}:3", "link_id": MOVIE, "frame_index": 3}),
        [f"extra: {MOVIE}:3"],
    ),
    "a twin": (
        "frames",
        lambda c: c.insert_one({"_id": 7, "link_id": MOVIE, "frame_index": 0}),
        ["extra: 7"],
    ),
    "a link that failed": (
        "frames",
        lambda c: c.insert_one({"_id": f"{LOST}:0", "link_id": LOST, "frame_index": 0}),
        [f"extra: {LOST}:0"],
    ),
    "a trailer": ("frames_trailers", lambda c: c.delete_one({"_id": MOVIE}), [f"missing: {MOVIE}"]),
    "a changed trailer": (
        "frames_trailers",
        lambda c: c.update_one({"_id": MOVIE}, {"$set": {"frames": 4}}),
        [f"changed: {MOVIE}"],
    ),
    "a trailer too many": (
        "frames_trailers",
        lambda c: c.insert_one({"_id": LOST}),
        [f"extra: {LOST}"],
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_done_by_hand_is_named_and_publishing_again_mends_it(
    run: Run, destination: Destination, damage: str
) -> None:
    publish(destination, run.store, FP)
    before = content_hash(destination)
    name, change, offenders = DAMAGES[damage]
    edit(destination, name, change)
    check = FRAMES if name == "frames" else TRAILERS
    assert found(verify(run, destination)) == {check: offenders}
    publish(destination, run.store, FP)
    assert found(verify(run, destination)) == {}
    assert content_hash(destination) == before


def test_a_moved_document_is_missing_and_is_put_back(run: Run, destination: Destination) -> None:
    publish(destination, run.store, FP)
    edit(destination, "frames", lambda c: c.update_many({}, {"$set": {"link_id": "0" * 64}}))
    (check,) = (check for check in verify(run, destination).checks if not check.holds)
    assert (check.n_offenders, len(check.offenders)) == (15, 5)
    publish(destination, run.store, FP)
    assert verify(run, destination).holds


def test_other_features_than_the_runs_are_told_at_once(run: Run, destination: Destination) -> None:
    assert "Nothing was published" in found(verify(run, destination))[FRAMES][0]
    other = Store(str(run.store.local_path("other")))
    fingerprint = make_run(other, run.movies, settings=replace(SETTINGS, frames_per_s=2.0))
    publish(destination, other, fingerprint)
    ((offender,),) = found(verify(run, destination)).values()
    assert f"holds features {fingerprint}" in offender


def test_documents_of_another_run_are_a_note(
    run: Run, destination: Destination, tmp_path: Path
) -> None:
    other = Store(str(tmp_path / "other"))
    make_run(other, [Movie(labelled("up", ["Drama"]), np.ones((2, INCEPTION_V3_WIDTH), "f4"))])
    publish(destination, other, FP)
    publish(destination, run.store, FP)
    report = verify(run, destination)
    assert report.holds
    of_others = "of links that this run does not publish: another run's"
    by_check = {f"{check.invariant} {check.name}": check.notes for check in report.checks}
    ((frames,), (trailers,)) = by_check[FRAMES], by_check[TRAILERS]
    assert f"2 documents are {of_others}" in frames
    assert f"1 documents are {of_others}" in trailers


def test_a_half_finished_run_leaves_the_documents_of_one_that_shares_its_collection(
    run: Run, destination: Destination, tmp_path: Path
) -> None:
    publish(destination, run.store, FP)
    # The same list, of which one link has failed, and no other is taken yet.
    half = Store(str(tmp_path / "half"))
    failed = run.movies[1].link
    make_run(half, [Movie(failed, None)])
    tables.write_table(half, "links", links_table([movie.link for movie in run.movies]))
    extra = [f"extra: {failed.link_id}:{index}" for index in range(3)]
    assert found(verify_published(half, destination))[FRAMES] == extra
    done = publish(destination, half, FP)
    assert (done.frames.deleted, done.trailers.deleted) == (3, 1)
    report = verify_published(half, destination)
    assert not {FRAMES, TRAILERS} & found(report).keys()
    assert "12 documents are of links that this run does not publish" in notes(report)
    missing = [f"missing: {failed.link_id}:{index}" for index in range(3)]
    assert found(verify(run, destination))[FRAMES] == missing


def test_documents_of_a_link_that_left_the_list_are_extra_until_it_is_published_again(
    run: Run, destination: Destination
) -> None:
    publish(destination, run.store, FP)
    for drop in (run.replace_links, run.replace_labels):
        drop(lambda rows: rows.pop(0))  # that of MOVIE
    extra = [f"extra: {MOVIE}:{index}" for index in range(3)]
    assert found(verify(run, destination)) == {FRAMES: extra, TRAILERS: [f"extra: {MOVIE}"]}
    publish(destination, run.store, FP)
    assert found(verify(run, destination)) == {}


def test_features_that_cannot_be_read_are_found_there_too_and_end_nothing(
    run: Run, destination: Destination
) -> None:
    publish(destination, run.store, FP)
    path = run.features_files()[0]
    cut(run, path)
    report = verify(run, destination)
    (offender,) = found(report)[FRAMES]
    assert path in offender
    # Whose frames they are cannot be told: nothing is said of another run.
    assert "of links that this run does not publish" not in notes(report)
    (outcomes,) = run.store.list_files(f"outcomes/{FP}")
    cut(run, outcomes.path)
    (offender,) = found(verify(run, destination))[FRAMES]
    assert outcomes.path in offender


def test_a_run_without_labels_is_to_be_mended_before_it_is_published_again(
    run: Run, destination: Destination
) -> None:
    publish(destination, run.store, FP)
    run.store.delete_directory("labels")
    (check,) = (each for each in verify(run, destination).checks if f"I3 {each.name}" == FRAMES)
    assert "Run `trailergenre prepare` first" in check.offenders[0]
    assert "follow the advice above, then publish it again" in check.lines()[-1]


def test_the_command_compares_where_the_configuration_says(
    run: Run, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", destination.address.uri)
    publish(destination, run.store, FP)
    words = ["verify", str(run.store), "--mongo", "--json"]
    words += ["--set", f"mongo.database={destination.config.database}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    edit(destination, "frames", lambda c: c.delete_one({"_id": f"{MOVIE}:0"}))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks[FRAMES.removeprefix("I3 ")]["offenders"] == [f"missing: {MOVIE}:0"]
    (line,) = (
        line
        for line in CliRunner().invoke(app, [*words[:3], *words[4:]]).stdout.splitlines()
        if "trailergenre publish" in line
    )
    assert "again" in line


def test_a_server_that_is_away_is_no_finding(run: Run) -> None:
    away = destination_at("mongodb://127.0.0.1:1", timeout_s=0.2)
    with pytest.raises(StorageError, match="was not reached"):
        verify_published(run.store, away)

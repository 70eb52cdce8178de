"""A server that fails some calls: what is waited for, and what ends the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mongos import content_hash, failing, links_of, make_store, publish, stored, target_at
from runs import SETTINGS
from trailergenre.base.errors import StorageError
from trailergenre.mongo import (
    Document,
    Target,
    bulk_writes,
    prepare_collections,
    publish_links,
    withdraw_links,
)

FP = SETTINGS.fingerprint


@pytest.fixture
def target(mongo_uri: str) -> Target:
    return target_at(mongo_uri, batch_size=4)


def test_what_a_server_lacks_ends_the_run_and_keeps_what_was_written(
    target: Target, tmp_path: Path
) -> None:
    store = make_store(tmp_path, frames=3)
    prepare_collections(target, SETTINGS)
    with (
        failing(target, "update", {"skip": 2, "times": 1000}, errorCode=14031),
        pytest.raises(StorageError, match=r"^MongoDB at 127\.0\.0\.1:\d+: "),
    ):
        publish_links(target, FP, links_of(store, FP))
    assert len(stored(target)) == 8
    publish(target, store, FP)
    assert len(stored(target)) == 15


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks before a call is repeated are short."""
    monkeypatch.setattr(bulk_writes, "_FIRST_BREAK_S", 0.01)


FAULTS: dict[str, Document] = {
    "late": {
        "writeConcernError": {
            "code": 64,
            "codeName": "WriteConcernTimeout",
            "errmsg": "waiting for replication timed out",
            "errInfo": {"wtimeout": True},
        }
    },
    "lost": {"closeConnection": True},
    "busy": {"errorCode": 262, "errorLabels": ["RetryableWriteError"]},
}
"""What a server does for a while."""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("command", "fault"),
    [
        *(("update", fault) for fault in FAULTS),
        ("delete", "late"),
        ("delete", "lost"),
        ("aggregate", "lost"),  # so the driver counts
    ],
)
def test_what_passes_is_waited_for(
    target: Target, tmp_path: Path, command: str, fault: str
) -> None:
    publish(target, make_store(tmp_path / "long", frames=5), FP)
    store = make_store(tmp_path / "short", frames=2)
    # The driver itself repeats once.
    with failing(target, command, {"skip": 1, "times": 3}, **FAULTS[fault]):
        done = publish(target, store, FP)
    assert (done.frames.documents, done.frames.refused) == (10, 0)
    alone = target_at(target.address.uri)
    publish(alone, store, FP)
    assert content_hash(target) == content_hash(alone)


@pytest.mark.usefixtures("hasty")
def test_withdrawing_waits_for_what_passes(target: Target, tmp_path: Path) -> None:
    store = make_store(tmp_path, frames=2)
    publish(target, store, FP)
    links = [link.frames.link_id for link in links_of(store, FP)]
    with failing(target, "delete", {"skip": 1, "times": 3}, **FAULTS["lost"]):
        withdraw_links(target, links)
    assert stored(target) == stored(target, "frames_trailers") == []


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("command", ["update", "delete"])
def test_a_set_that_has_no_majority_ends_the_run_by_its_reason(
    target: Target, tmp_path: Path, command: str
) -> None:
    publish(target, make_store(tmp_path / "long", frames=5), FP)
    no_majority = r"a majority of its replica set did not .*waiting for replication timed out$"
    with (
        failing(target, command, {"times": 1000}, **FAULTS["late"]),
        pytest.raises(StorageError, match=no_majority),
    ):
        publish(target, make_store(tmp_path / "short", frames=2), FP)


LACKING: Document = {"errorCode": 14031}
"""No space left: nothing that passes."""


def test_no_trailer_is_written_before_all_frames_are_there(target: Target, tmp_path: Path) -> None:
    links = links_of(make_store(tmp_path, frames=4), FP)
    # Five batches of frames.
    with failing(target, "update", {"skip": 5, "times": 1}, **LACKING), pytest.raises(StorageError):
        publish_links(target, FP, links)
    assert len(stored(target)) == 20
    assert stored(target, "frames_trailers") == []


def test_no_frame_is_deleted_before_its_trailer(target: Target, tmp_path: Path) -> None:
    links = links_of(make_store(tmp_path, frames=2), FP)
    publish_links(target, FP, links)
    ids = [link.frames.link_id for link in links]
    with failing(target, "delete", {"skip": 1, "times": 1}, **LACKING), pytest.raises(StorageError):
        withdraw_links(target, ids)
    assert len(stored(target)) == 10
    assert stored(target, "frames_trailers") == []

"""A server that fails some calls: what is waited for, and what ends the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mongos import content_hash, destination_at, failing, links_of, make_store, publish, stored
from runs import SETTINGS
from trailergenre.base.errors import StorageError
from trailergenre.mongo import bulk_writes
from trailergenre.mongo.collections import prepare_collections
from trailergenre.mongo.connection import Destination, Document
from trailergenre.mongo.publishing import publish_links, withdraw_links

FP = SETTINGS.fingerprint


@pytest.fixture
def destination(mongo_uri: str) -> Destination:
    return destination_at(mongo_uri, batch_size=4)


def test_what_a_server_lacks_ends_the_run_and_keeps_what_was_written(
    destination: Destination, tmp_path: Path
) -> None:
    store = make_store(tmp_path, frames=3)
    prepare_collections(destination, SETTINGS)
    with (
        failing(destination, "update", {"skip": 2, "times": 1000}, errorCode=14031),
        pytest.raises(StorageError, match=r"^MongoDB at 127\.0\.0\.1:\d+: "),
    ):
        publish_links(destination, FP, links_of(store, FP))
    assert len(stored(destination)) == 8
    publish(destination, store, FP)
    assert len(stored(destination)) == 15


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The back-off is short."""
    monkeypatch.setattr(bulk_writes._BACKOFF, "multiplier", 0.01)


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
    destination: Destination, tmp_path: Path, command: str, fault: str
) -> None:
    publish(destination, make_store(tmp_path / "long", frames=5), FP)
    store = make_store(tmp_path / "short", frames=2)
    # The driver itself repeats once.
    with failing(destination, command, {"skip": 1, "times": 3}, **FAULTS[fault]):
        done = publish(destination, store, FP)
    assert (done.frames.documents, done.frames.refused) == (10, 0)
    alone = destination_at(destination.address.uri)
    publish(alone, store, FP)
    assert content_hash(destination) == content_hash(alone)


@pytest.mark.usefixtures("hasty")
def test_withdrawing_waits_for_what_passes(destination: Destination, tmp_path: Path) -> None:
    store = make_store(tmp_path, frames=2)
    publish(destination, store, FP)
    links = [link.frames.link_id for link in links_of(store, FP)]
    with failing(destination, "delete", {"skip": 1, "times": 3}, **FAULTS["lost"]):
        withdraw_links(destination, links)
    assert stored(destination) == stored(destination, "frames_trailers") == []


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("command", ["update", "delete"])
def test_a_set_that_has_no_majority_ends_the_run_by_its_reason(
    destination: Destination, tmp_path: Path, command: str
) -> None:
    publish(destination, make_store(tmp_path / "long", frames=5), FP)
    no_majority = r"a majority of its replica set did not .*waiting for replication timed out$"
    with (
        failing(destination, command, {"times": 1000}, **FAULTS["late"]),
        pytest.raises(StorageError, match=no_majority),
    ):
        publish(destination, make_store(tmp_path / "short", frames=2), FP)


LACKING: Document = {"errorCode": 14031}
"""No space left: nothing that passes."""


def test_no_trailer_is_written_before_all_frames_are_there(
    destination: Destination, tmp_path: Path
) -> None:
    links = links_of(make_store(tmp_path, frames=4), FP)
    # Five batches of frames.
    with (
        failing(destination, "update", {"skip": 5, "times": 1}, **LACKING),
        pytest.raises(StorageError),
    ):
        publish_links(destination, FP, links)
    assert len(stored(destination)) == 20
    assert stored(destination, "frames_trailers") == []


def test_no_frame_is_deleted_before_its_trailer(destination: Destination, tmp_path: Path) -> None:
    links = links_of(make_store(tmp_path, frames=2), FP)
    publish_links(destination, FP, links)
    ids = [link.frames.link_id for link in links]
    with (
        failing(destination, "delete", {"skip": 1, "times": 1}, **LACKING),
        pytest.raises(StorageError),
    ):
        withdraw_links(destination, ids)
    assert len(stored(destination)) == 10
    assert stored(destination, "frames_trailers") == []

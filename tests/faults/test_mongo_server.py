"""A MongoDB server that goes away, or whose answers are lost: F19 and F20 of docs/security.md."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pymongo import MongoClient

from mongos import BreakingLine, Server, content_hash, destination_at, publish, serve, stored
from runs import SETTINGS, make_movies, make_run
from trailergenre.base.errors import StorageError
from trailergenre.base.fault_injection import Point
from trailergenre.base.storage import Store
from trailergenre.mongo import bulk_writes
from trailergenre.mongo.connection import Destination, Document
from trailergenre.mongo.publishing import PublishResult

pytestmark = pytest.mark.slow

FP = SETTINGS.fingerprint
FRAMES = 50
AWAY_S = 5.0
BATCHES_BEFORE = 50 + 1 + 10
"""Of two documents: the frames and the trailers of the first file, and frames of the second."""
FRAMES_BEFORE = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """No replica set: the driver repeats no write by itself there, only we do."""
    with serve(tmp_path_factory.mktemp("server"), replica_set_name=None) as started:
        yield started


@pytest.fixture(scope="module")
def replica_set(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The driver repeats a write once."""
    with serve(tmp_path_factory.mktemp("replica-set")) as started:
        yield started


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Ten links of fifty frames in five features files."""
    store = Store(str(tmp_path_factory.mktemp("run")))
    make_run(store, make_movies(10, frames=FRAMES), links_per_file=2)
    return store


@pytest.fixture(scope="module")
def whole(run: Store, server: Server) -> str:
    """The hash of what an undisturbed publisher leaves."""
    destination = destination_at(server.uri)
    publish(destination, run, FP)
    assert len(stored(destination)) == 10 * FRAMES
    return content_hash(destination)


def n_stored(destination: Destination) -> int:
    with MongoClient[Document](destination.address.uri) as client:
        return client[destination.config.database]["frames"].estimated_document_count()


@contextmanager
def away(server: Server) -> Iterator[None]:
    """Stop a server; started again whatever happens, for it serves all tests of this module."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def stopped_in_the_middle(
    monkeypatch: pytest.MonkeyPatch, server: Server, destination: Destination, run: Store
) -> Iterator[Future[PublishResult]]:
    """A publisher in the second file of five finds the server away; yields while it is so."""
    is_there, go_on = threading.Event(), threading.Event()
    batches = itertools.count(1)

    def hold(point: Point) -> None:
        if point is Point.MID_PUBLISH and next(batches) == BATCHES_BEFORE:
            is_there.set()
            go_on.wait()

    monkeypatch.setattr(bulk_writes, "reach", hold)
    with ThreadPoolExecutor(max_workers=1) as executor:
        running = executor.submit(publish, destination, run, FP)
        running.add_done_callback(lambda _: is_there.set())  # it failed before
        try:
            is_there.wait()
            assert not running.done()
            assert n_stored(destination) == FRAMES_BEFORE
            with away(server):
                go_on.set()
                yield running
        finally:
            go_on.set()


def test_f19_a_server_that_is_away_for_five_seconds_loses_nothing(
    run: Store, server: Server, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = destination_at(server.uri, batch_size=2)
    with stopped_in_the_middle(monkeypatch, server, destination, run) as running:
        time.sleep(AWAY_S)
    done = running.result()
    assert (done.frames.documents, done.frames.refused) == (10 * FRAMES, 0)
    assert content_hash(destination) == whole


def test_f19_a_server_that_stays_away_ends_the_run_and_the_next_one_goes_on(
    run: Store, server: Server, whole: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = destination_at(server.uri, batch_size=2)
    impatient = replace(destination, config=destination.config.model_copy(update={"timeout_s": 2}))
    with (
        stopped_in_the_middle(monkeypatch, server, impatient, run) as running,
        pytest.raises(StorageError, match=r"127\.0\.0\.1:\d+ was not reached within 2 s"),
    ):
        running.result()
    assert n_stored(destination) == FRAMES_BEFORE
    publish(destination, run, FP)
    assert content_hash(destination) == whole


def test_f19_a_server_that_is_away_at_the_start_is_refused(run: Store, server: Server) -> None:
    destination = destination_at(server.uri, timeout_s=1)
    with away(server), pytest.raises(StorageError, match="was not reached within 1 s"):
        publish(destination, run, FP)


@pytest.mark.parametrize(("kind", "breaks"), [("server", 3), ("replica_set", 1)])
def test_f20_a_write_whose_answer_is_lost_is_repeated_and_changes_nothing(
    run: Store, whole: str, kind: str, breaks: int, request: pytest.FixtureRequest
) -> None:
    server: Server = request.getfixturevalue(kind)
    line = BreakingLine(server.port, breaks)
    destination = destination_at(line.uri, batch_size=40)
    done = publish(destination, run, FP)
    line.close()
    assert line.broken == breaks
    assert (done.frames.documents, done.frames.refused) == (10 * FRAMES, 0)
    assert content_hash(destination_at(server.uri, destination.config.database)) == whole


def test_f20_a_whole_batch_that_comes_twice_changes_nothing(
    run: Store, server: Server, whole: str
) -> None:
    destination = destination_at(server.uri)
    with ThreadPoolExecutor(max_workers=2) as executor:
        for running in [executor.submit(publish, destination, run, FP) for _ in range(2)]:
            assert running.result().frames.documents == 10 * FRAMES
    assert content_hash(destination) == whole


def test_f20_a_line_that_always_breaks_ends_the_run(run: Store, server: Server) -> None:
    line = BreakingLine(server.port, 10_000)
    with pytest.raises(StorageError, match=r"MongoDB at 127\.0\.0\.1:\d+: AutoReconnect"):
        publish(destination_at(line.uri), run, FP)
    line.close()
    assert line.broken >= 4

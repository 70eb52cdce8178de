"""Kills of worker, executor and driver around MongoDB on real Spark.

What is killed and run again leaves what one whole run does. Every point for the worker, one for
the driver; `make soak` runs all nine, and 10,000 frames.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from killed import (
    MASTERS,
    Driver,
    Drivers,
    assert_was_hit,
    faults,
    submit_and_be_killed,
    task_kills,
)
from mongos import content_hash, destination_at, in_file, stored
from runs import make_movies, make_run
from trailergenre.base.fault_injection import Point, Victim
from trailergenre.base.storage import Store
from trailergenre.mongo.connection import Destination

pytestmark = pytest.mark.slow

POINTS = (Point.FEATURES_READ, Point.MID_PUBLISH, Point.PUBLISHED)
ONE_POINT = (Point.MID_PUBLISH,)
LINKS, FRAMES = 80, 125


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eight links in four features files, of twelve frames each; batches are of four."""
    store = Store(str(tmp_path_factory.mktemp("run")))
    make_run(store, make_movies(8, frames=12), links_per_file=2)
    return store


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """10,000 frames in five features files."""
    store = Store(str(tmp_path_factory.mktemp("large")))
    make_run(store, make_movies(LINKS, frames=FRAMES), links_per_file=16)
    return store


def arguments(store: Store, destination: Destination) -> list[str]:
    config = destination.config
    settings = (
        f"mongo.database={config.database}",
        f"mongo.batch_size={config.batch_size}",
        f"mongo.uri_file={config.uri_file}",
    )
    return [str(store), *(word for setting in settings for word in ("--set", setting))]


def publish(
    driver: Driver, store: Store, destination: Destination, fault: str = ""
) -> dict[str, object]:
    words = arguments(store, destination)
    ended = driver.run("publish_features", words, fault)
    assert ended.code == 0, ended.output
    # What Spark says of a lost executor may come after it.
    (line,) = (line for line in ended.output.splitlines() if line.startswith('{"stage"'))
    return dict(json.loads(line))


@pytest.fixture(scope="module")
def whole(run: Store, drivers: Drivers, mongo_uri: str, temporary: Path) -> tuple[str, int]:
    """The hash and the number of documents of a publisher that nobody killed."""
    destination = in_file(destination_at(mongo_uri, batch_size=4), temporary)
    publish(drivers.on(MASTERS[Victim.WORKER]), run, destination)
    return content_hash(destination), len(stored(destination))


@pytest.mark.parametrize(("victim", "points"), task_kills(POINTS))
def test_a_killed_task_is_tried_again_and_leaves_the_same_documents(
    victim: Victim,
    points: tuple[Point, ...],
    run: Store,
    whole: tuple[str, int],
    drivers: Drivers,
    mongo_uri: str,
    temporary: Path,
) -> None:
    destination = in_file(destination_at(mongo_uri, batch_size=4), temporary)
    driver = drivers.on(MASTERS[victim])
    summary = publish(driver, run, destination, faults(victim, points))
    assert_was_hit(victim, points, temporary)
    assert (summary["documents"], summary["deleted"], summary["refused"]) == (96, 0, 0)
    assert (content_hash(destination), len(stored(destination))) == whole


@pytest.mark.parametrize(
    "point",
    [pytest.param(p, marks=[] if p in ONE_POINT else pytest.mark.soak) for p in POINTS],
)
def test_a_killed_driver_is_run_again_and_leaves_the_same_documents(
    point: Point,
    run: Store,
    whole: tuple[str, int],
    drivers: Drivers,
    mongo_uri: str,
    temporary: Path,
) -> None:
    destination = in_file(destination_at(mongo_uri, batch_size=4), temporary)
    submit_and_be_killed(
        "publish_features",
        arguments(run, destination),
        faults(Victim.DRIVER, [point]),
        temporary,
    )
    assert_was_hit(Victim.DRIVER, [point], temporary)
    assert not [
        f
        for f in run.list_files("runs")
        if destination.config.database in str(run.read_bytes(f.path))
    ]
    publish(drivers.on(MASTERS[Victim.DRIVER]), run, destination)
    assert (content_hash(destination), len(stored(destination))) == whole


@pytest.mark.soak
def test_ten_thousand_frames_twice_and_killed_in_the_middle(
    large: Store, drivers: Drivers, mongo_uri: str, temporary: Path
) -> None:
    driver = drivers.on(MASTERS[Victim.DRIVER])
    destination, killed = (in_file(destination_at(mongo_uri), temporary) for _ in range(2))
    n_frames = LINKS * FRAMES
    first = publish(driver, large, destination)
    before = content_hash(destination)
    second = publish(driver, large, destination)
    told = ("documents", "matched", "modified", "upserted", "deleted")
    assert [first[name] for name in told] == [n_frames, 0, 0, n_frames, 0]
    assert [second[name] for name in told] == [n_frames, n_frames, 0, 0, 0]
    assert content_hash(destination) == before
    submit_and_be_killed(
        "publish_features",
        arguments(large, killed),
        # Of its 8 batches, the first task has written 4.
        f"{Point.MID_PUBLISH}:{Victim.DRIVER}:0:3",
        temporary,
    )
    assert_was_hit(Victim.DRIVER, [Point.MID_PUBLISH], temporary)
    assert 4 * 256 <= len(stored(killed)) < n_frames
    publish(driver, large, killed)
    assert (len(stored(killed)), content_hash(killed)) == (n_frames, before)

"""Three points around MongoDB x three victims on real Spark, and 10,000 frames.

What is killed and run again leaves what one whole run does.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymongo import MongoClient

from killed import MASTERS, Driver, assert_was_hit, submit_and_be_killed
from mongos import content_hash, stored, target_at
from runs import make_movies, make_run
from submits import standalone_cluster, submit
from trailergenre.base.fault_injection import Point, Victim
from trailergenre.base.storage import Store
from trailergenre.mongo import Document, Target

pytestmark = pytest.mark.slow

POINTS = (Point.FEATURES_READ, Point.MID_PUBLISH, Point.PUBLISHED)
LINKS, FRAMES = 80, 125


@pytest.fixture(scope="module")
def drivers(temporary: Path) -> Iterator[dict[str, Driver]]:
    """One driver a master, started when it is first used."""
    started: dict[str, Driver] = {}
    yield started
    for driver in started.values():
        driver.close()


def driver_of(drivers: dict[str, Driver], victim: Victim, temporary: Path) -> Driver:
    master = MASTERS[victim]
    if master not in drivers:
        drivers[master] = Driver(master, temporary)
    return drivers[master]


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


def arguments(store: Store, target: Target) -> list[str]:
    config = target.config
    settings = (f"mongo.database={config.database}", f"mongo.batch_size={config.batch_size}")
    return [str(store), *(word for setting in settings for word in ("--set", setting))]


def environment(target: Target) -> dict[str, str]:
    return {"TRAILERGENRE_MONGO_URI": target.address.uri}


def publish(driver: Driver, store: Store, target: Target, fault: str = "") -> dict[str, object]:
    words = arguments(store, target)
    ended = driver.run("publish_features", words, fault, environment(target))
    assert ended.code == 0, ended.output
    # What Spark says of a lost executor may come after it.
    (line,) = (line for line in ended.output.splitlines() if line.startswith('{"stage"'))
    return dict(json.loads(line))


@pytest.fixture(scope="module")
def whole(
    run: Store, drivers: dict[str, Driver], mongo_uri: str, temporary: Path
) -> tuple[str, int]:
    """The hash and the number of documents of a publisher that nobody killed."""
    target = target_at(mongo_uri, batch_size=4)
    publish(driver_of(drivers, Victim.WORKER, temporary), run, target)
    return content_hash(target), len(stored(target))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.EXECUTOR])
def test_a_killed_task_is_tried_again_and_leaves_the_same_documents(
    victim: Victim,
    point: Point,
    run: Store,
    whole: tuple[str, int],
    drivers: dict[str, Driver],
    mongo_uri: str,
    temporary: Path,
) -> None:
    target = target_at(mongo_uri, batch_size=4)
    driver = driver_of(drivers, victim, temporary)
    summary = publish(driver, run, target, f"{point}:{victim}:0")
    assert_was_hit(point, victim, temporary)
    assert (summary["documents"], summary["deleted"], summary["refused"]) == (96, 0, 0)
    assert (content_hash(target), len(stored(target))) == whole


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_driver_is_run_again_and_leaves_the_same_documents(
    point: Point,
    run: Store,
    whole: tuple[str, int],
    drivers: dict[str, Driver],
    mongo_uri: str,
    temporary: Path,
) -> None:
    target = target_at(mongo_uri, batch_size=4)
    submit_and_be_killed(
        "publish_features",
        arguments(run, target),
        f"{point}:{Victim.DRIVER}:0",
        temporary,
        environment(target),
    )
    assert_was_hit(point, Victim.DRIVER, temporary)
    assert not [
        f for f in run.list_files("runs") if target.config.database in str(run.read_bytes(f.path))
    ]
    publish(driver_of(drivers, Victim.DRIVER, temporary), run, target)
    assert (content_hash(target), len(stored(target))) == whole


def test_a_speculative_twin_leaves_the_same_documents(
    run: Store, whole: tuple[str, int], mongo_uri: str, tmp_path: Path
) -> None:
    target = target_at(mongo_uri, batch_size=4)
    conf = {
        "executor.memory": "1g",
        "speculation": "true",
        "speculation.multiplier": "1.01",
        "speculation.quantile": "0.1",
        "speculation.interval": "50ms",
        "speculation.minTaskRuntime": "50ms",
        "eventLog.compress": "false",
        "eventLog.dir": tmp_path.as_uri(),
    }
    # Spark has no twins on a local master, and none on the host of the first.
    with (
        standalone_cluster(tmp_path / "spark", apart=True) as master,
        held_back_once(mongo_uri, seconds=20),
    ):
        ended = submit(
            "publish_features",
            *arguments(run, target),
            master=master,
            conf=[f"spark.{name}={value}" for name, value in conf.items()],
            env=environment(target),
        )
    assert ended.summary["documents"] == 96
    assert any(b'"Speculative":true' in log.read_bytes() for log in tmp_path.rglob("events_*"))
    assert (content_hash(target), len(stored(target))) == whole


@contextmanager
def held_back_once(uri: str, *, seconds: int) -> Iterator[None]:
    """The server takes up one write only after this time, whoever has done it meanwhile."""
    held = {"failCommands": ["update"], "blockConnection": True, "blockTimeMS": seconds * 1000}
    with MongoClient[Document](uri) as client:
        fail = functools.partial(client.admin.command, "configureFailPoint", "failCommand")
        fail(mode={"times": 1}, data={**held, "appName": "trailergenre"})
        try:
            yield
        finally:
            fail(mode="off")


def test_ten_thousand_frames_twice_and_killed_in_the_middle(
    large: Store, drivers: dict[str, Driver], mongo_uri: str, temporary: Path
) -> None:
    driver = driver_of(drivers, Victim.DRIVER, temporary)
    target, killed = target_at(mongo_uri), target_at(mongo_uri)
    n_frames = LINKS * FRAMES
    first = publish(driver, large, target)
    before = content_hash(target)
    second = publish(driver, large, target)
    told = ("documents", "matched", "modified", "upserted", "deleted")
    assert [first[name] for name in told] == [n_frames, 0, 0, n_frames, 0]
    assert [second[name] for name in told] == [n_frames, n_frames, 0, 0, 0]
    assert content_hash(target) == before
    submit_and_be_killed(
        "publish_features",
        arguments(large, killed),
        # Of its 8 batches, the first task has written 4.
        f"{Point.MID_PUBLISH}:{Victim.DRIVER}:0:3",
        temporary,
        environment(killed),
    )
    assert_was_hit(Point.MID_PUBLISH, Victim.DRIVER, temporary)
    assert 4 * 256 <= len(stored(killed)) < n_frames
    publish(driver, large, killed)
    assert (len(stored(killed)), content_hash(killed)) == (n_frames, before)

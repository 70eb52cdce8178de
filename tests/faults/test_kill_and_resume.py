"""Seven points x three victims, on real Spark: a killed run ends as if nobody had killed it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from killed import (
    MASTERS,
    Driver,
    assert_nothing_is_left,
    assert_was_hit,
    content_hash,
    make_case,
    submit_and_be_killed,
)
from servers import AnswerServer
from trailergenre.base.fault_injection import Point, Victim

pytestmark = pytest.mark.slow

POINTS = list(Point)[: list(Point).index(Point.OUTCOMES_WRITTEN) + 1]
"""Where `featurize` comes by."""
SEEDS = [int(seed) for seed in os.environ.get("TRAILERGENRE_SEEDS", "0").split(",")]
"""Each gives another list; `make soak` takes several."""


@pytest.fixture(scope="module")
def drivers(temporary: Path) -> Iterator[dict[str, Driver]]:
    """One driver a master, started when it is first used."""
    started: dict[str, Driver] = {}
    yield started
    for driver in started.values():
        driver.close()


@pytest.fixture(scope="module", params=SEEDS)
def seed(request: pytest.FixtureRequest) -> int:
    """Of the list."""
    return int(request.param)


@pytest.fixture(scope="module")
def whole(
    server: AnswerServer,
    tiny_backbone: Path,
    drivers: dict[str, Driver],
    temporary: Path,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, dict[str, int]]:
    """The hash of an uninterrupted run, and what it asked for."""
    server.requests.clear()
    case = make_case(server, tiny_backbone, tmp_path_factory.mktemp("whole"), seed=seed)
    assert driver_of(drivers, MASTERS[Victim.WORKER], temporary).featurize(case.arguments).code == 0
    return content_hash(case), case.requests()


def driver_of(drivers: dict[str, Driver], master: str, temporary: Path) -> Driver:
    if master not in drivers:
        drivers[master] = Driver(master, temporary)
    return drivers[master]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.EXECUTOR])
def test_a_killed_task_is_tried_again_and_nothing_else_is(
    victim: Victim,
    point: Point,
    server: AnswerServer,
    tiny_backbone: Path,
    whole: tuple[str, dict[str, int]],
    drivers: dict[str, Driver],
    temporary: Path,
    seed: int,
    tmp_path: Path,
) -> None:
    driver = driver_of(drivers, MASTERS[victim], temporary)
    case = make_case(server, tiny_backbone, tmp_path / "run", seed=seed)
    server.requests.clear()
    assert driver.featurize(case.arguments, f"{point}:{victim}:0").code == 0
    assert_was_hit(point, victim, temporary)
    assert content_hash(case) == whole[0]
    assert_nothing_is_left(temporary)
    # Who is killed after the commit costs no request; before it, those of the open chunk.
    asked, once = case.requests(), whole[1]
    repeated = [link for link in asked if asked[link] > once[link]]
    # A handful of links on two slots are chunks of one.
    hit = {case.links[0].link_id}
    assert set(repeated) <= (set() if point is Point.OUTCOMES_WRITTEN else hit)
    assert all(asked[link] >= once[link] for link in asked)


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_driver_is_resumed_without_asking_again(
    point: Point,
    server: AnswerServer,
    tiny_backbone: Path,
    whole: tuple[str, dict[str, int]],
    drivers: dict[str, Driver],
    temporary: Path,
    seed: int,
    tmp_path: Path,
) -> None:
    case = make_case(server, tiny_backbone, tmp_path / "run", seed=seed)
    submit_and_be_killed("featurize", case.arguments, f"{point}:{Victim.DRIVER}:0", temporary)
    assert_was_hit(point, Victim.DRIVER, temporary)
    committed = case.committed()
    assert (point is Point.OUTCOMES_WRITTEN) <= bool(committed)
    server.requests.clear()
    driver = driver_of(drivers, MASTERS[Victim.DRIVER], temporary)
    assert driver.featurize(case.arguments).code == 0
    assert content_hash(case) == whole[0]
    asked = case.requests()
    assert {link for link in asked if asked[link]} == set(asked) - committed
    assert_nothing_is_left(temporary)

"""Kills of worker, executor and driver on real Spark: a killed run ends as if nobody had killed it.

Every point for the worker, one for the driver; `make soak` runs all of them on several lists.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from killed import (
    MASTERS,
    Drivers,
    assert_nothing_is_left,
    assert_was_hit,
    content_hash,
    faults,
    make_case,
    submit_and_be_killed,
    task_kills,
)
from servers import AnswerServer
from trailergenre.base.fault_injection import Point, Victim

pytestmark = pytest.mark.slow

POINTS = list(Point)[: list(Point).index(Point.OUTCOMES_WRITTEN) + 1]
"""The points that `featurize` passes."""
SEEDS = [int(seed) for seed in os.environ.get("TRAILERGENRE_SEEDS", "0").split(",")]
"""Each gives another list; `make soak` takes several."""


@pytest.fixture(scope="module", params=SEEDS)
def seed(request: pytest.FixtureRequest) -> int:
    """Of the list."""
    return int(request.param)


@pytest.fixture(scope="module")
def whole(
    server: AnswerServer,
    tiny_backbone: Path,
    drivers: Drivers,
    temporary: Path,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[str, dict[str, int]]:
    """The hash of an uninterrupted run, and what it asked for."""
    server.requests.clear()
    case = make_case(server, tiny_backbone, tmp_path_factory.mktemp("whole"), seed=seed)
    assert drivers.on(MASTERS[Victim.WORKER]).featurize(case.arguments).code == 0
    return content_hash(case), case.requests()


@pytest.mark.parametrize(("victim", "points"), task_kills(POINTS))
def test_a_killed_task_is_tried_again_and_nothing_else_is(
    victim: Victim,
    points: tuple[Point, ...],
    server: AnswerServer,
    tiny_backbone: Path,
    whole: tuple[str, dict[str, int]],
    drivers: Drivers,
    temporary: Path,
    seed: int,
    tmp_path: Path,
) -> None:
    driver = drivers.on(MASTERS[victim])
    case = make_case(server, tiny_backbone, tmp_path / "run", seed=seed)
    server.requests.clear()
    assert driver.featurize(case.arguments, faults(victim, points)).code == 0
    assert_was_hit(victim, points, temporary)
    assert content_hash(case) == whole[0]
    assert_nothing_is_left(temporary)
    # Who is killed after the commit costs no request; before it, those of the open chunk.
    asked, once = case.requests(), whole[1]
    repeated = [link for link in asked if asked[link] > once[link]]
    # A handful of links on two slots are chunks of one.
    hit = {case.links[0].link_id}
    assert set(repeated) <= (set() if points == (Point.OUTCOMES_WRITTEN,) else hit)
    assert all(asked[link] >= once[link] for link in asked)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, marks=[] if point is POINTS[-1] else pytest.mark.soak)
        for point in (*POINTS, Point.MERGED)
    ],
)
def test_a_driver_killed_elsewhere_is_resumed_without_asking_again(
    point: Point,
    server: AnswerServer,
    tiny_backbone: Path,
    whole: tuple[str, dict[str, int]],
    drivers: Drivers,
    temporary: Path,
    seed: int,
    tmp_path: Path,
) -> None:
    case = make_case(server, tiny_backbone, tmp_path / "run", seed=seed)
    submit_and_be_killed("featurize", case.arguments, faults(Victim.DRIVER, [point]), temporary)
    assert_was_hit(Victim.DRIVER, [point], temporary)
    committed = case.committed()
    assert (point is Point.OUTCOMES_WRITTEN) <= bool(committed)
    server.requests.clear()
    driver = drivers.on(MASTERS[Victim.DRIVER])
    assert driver.featurize(case.arguments).code == 0
    assert content_hash(case) == whole[0]
    asked = case.requests()
    assert {link for link in asked if asked[link]} == set(asked) - committed
    assert_nothing_is_left(temporary)

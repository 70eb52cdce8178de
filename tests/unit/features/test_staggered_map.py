from __future__ import annotations

import threading
import time

import pytest

from trailergenre.features.staggered_map import Ahead

BOUND_S = 60
"""On a hang; nothing here waits for it."""


def run(ahead: Ahead, values: list[int], step: object) -> list[int]:
    """Run to the end, with room made for each value at once."""
    given = []
    for value in ahead.run(values, step, threading.Event()):  # type: ignore[arg-type, var-annotated]
        given.append(value)
        ahead.leave()
    return given


def test_steps_that_end_soon_follow_one_another() -> None:
    running: set[int] = set()
    together: list[int] = []

    def step(value: int, stopped: threading.Event) -> int:
        running.add(value)
        time.sleep(0.25)
        together.append(len(running))
        running.discard(value)
        return value

    assert run(Ahead(4, at_once=4, slow_s=60), [0, 1, 2], step) == [0, 1, 2]
    assert set(together) == {1}


def test_a_step_that_hangs_keeps_no_other_from_starting() -> None:
    release = threading.Event()

    def step(value: int, stopped: threading.Event) -> int:
        if value == 0:
            assert release.wait(BOUND_S)
        elif value == 9:
            release.set()
        return value

    given = run(Ahead(3, at_once=3, slow_s=0.01), list(range(10)), step)
    assert given[:8] == list(range(1, 9))
    assert sorted(given) == list(range(10))


def test_no_more_values_are_begun_than_there_is_room_for() -> None:
    ahead, taken = Ahead(3, at_once=3, slow_s=60), []

    def source() -> object:
        for value in range(9):
            taken.append(value)
            yield value

    stopped = threading.Event()
    values = ahead.run(source(), lambda value, _: value, stopped)  # type: ignore[arg-type]
    assert [next(values) for _ in range(3)] == [0, 1, 2]
    more: list[int] = []
    waiting = threading.Thread(target=lambda: more.append(next(values)))
    waiting.start()
    waiting.join(0.3)
    assert (taken, more) == ([0, 1, 2], [])
    ahead.leave()
    waiting.join(BOUND_S)
    assert (taken, more) == ([0, 1, 2, 3], [3])


def test_no_more_steps_run_at_once_than_may_however_slow_they_are() -> None:
    running: set[int] = set()
    together: list[int] = []

    def step(value: int, stopped: threading.Event) -> int:
        running.add(value)
        together.append(len(running))
        time.sleep(0.3)
        running.discard(value)
        return value

    assert sorted(run(Ahead(6, at_once=2, slow_s=0.01), list(range(6)), step)) == list(range(6))
    assert max(together) == 2


def test_an_error_of_a_step_ends_the_others_and_comes_out() -> None:
    ended = threading.Event()

    def step(value: int, stopped: threading.Event) -> int:
        if value == 1:
            raise OSError("disk full")
        assert stopped.wait(BOUND_S)
        ended.set()
        return value

    with pytest.raises(OSError, match="disk full"):
        run(Ahead(2, at_once=2, slow_s=0.01), [0, 1, 2], step)
    assert ended.is_set()


def test_being_stopped_ends_what_runs() -> None:
    stopped, ended = threading.Event(), threading.Event()

    def step(value: int, halted: threading.Event) -> int:
        stopped.set()
        assert halted.wait(BOUND_S)
        ended.set()
        return value

    assert list(Ahead(2, at_once=2, slow_s=60).run([0, 1], step, stopped)) == []
    assert ended.is_set()

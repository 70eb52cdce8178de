"""Kills processes on purpose, to test that a killed run loses nothing. Off by default.

With TRAILERGENRE_FAULT=POINT:VICTIM:ATTEMPT, the victim gets SIGKILL when the task of the first
chunk reaches the point in this attempt (from 0; several as 0,1,2). A fourth number, as in
P4:worker:0:2, lets it pass the point so many times before. Several kills are separated by spaces.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import psutil

from trailergenre.base.errors import ConfigError

VARIABLE = "TRAILERGENRE_FAULT"
MARKER_FILE = "fault-reached"
"""File in the directory for temporary files to which each kill adds a line, for tests."""
_POLL_S = 0.005


class Point(StrEnum):
    """Where a task can be killed, in order; P8 to P10 are in publishing, P11 and P12 in training.

    P13 is in the driver, which merges outcomes files.
    """

    PLANNED = "P1"
    MID_DOWNLOAD = "P2"
    DOWNLOADED = "P3"
    MID_DECODE = "P4"
    MID_INFERENCE = "P5"
    FEATURES_WRITTEN = "P6"
    OUTCOMES_WRITTEN = "P7"
    FEATURES_READ = "P8"
    MID_PUBLISH = "P9"
    PUBLISHED = "P10"
    POOLED_WRITTEN = "P11"
    TREE_GROWN = "P12"
    MERGED = "P13"


class Victim(StrEnum):
    """What is killed: the Python worker, the executor's JVM, or the driver with its JVM."""

    WORKER = "worker"
    EXECUTOR = "executor"
    DRIVER = "driver"


class Fault(NamedTuple):
    """One kill, in these attempts of the task, after passing the point `spared` times."""

    point: Point
    victim: Victim
    attempts: frozenset[int]
    spared: int
    driver_pid: int


def read_faults() -> tuple[Fault, ...]:
    """Read the faults from the driver's environment; a `ConfigError` if one is malformed."""
    return tuple(map(_parse, os.environ.get(VARIABLE, "").split()))


def _parse(text: str) -> Fault:
    try:
        point, victim, attempts, *more = text.split(":")
        (spared,) = more or ["0"]
        numbers = frozenset(map(int, attempts.split(",")))
        return Fault(Point(point), Victim(victim), numbers, int(spared), os.getpid())
    except ValueError as error:
        raise ConfigError(
            f"{VARIABLE} takes POINT:VICTIM:ATTEMPT, e.g. P4:worker:0, or with a fourth number. "
            f"Received: {text!r}."
        ) from error


_armed: Fault | None = None
_passed = 0


def arm(faults: Iterable[Fault], *, task: int, attempt: int) -> None:
    """Set which task runs in this process from now on."""
    global _armed, _passed
    meant = (fault for fault in faults if task == 0 and attempt in fault.attempts)
    _armed, _passed = next(meant, None), 0


def reach(point: Point, when: Callable[[], bool] = lambda: True) -> None:
    """Pass a point, or kill the victim there, once `when` holds, if a fault is armed for it."""
    global _passed
    if _armed is None or _armed.point is not point:
        return
    if _passed < _armed.spared:
        _passed += 1
        return
    while not when():
        time.sleep(_POLL_S)
    _kill(_armed)


def _kill(fault: Fault) -> None:
    with Path(tempfile.gettempdir(), MARKER_FILE).open("a") as marker:
        marker.write(f"{fault.point}:{fault.victim}\n")
    if fault.victim is Victim.WORKER:
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.victim is Victim.EXECUTOR:
        # The executor's JVM started Spark's daemon, which forked this process.
        os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
    else:
        driver = psutil.Process(fault.driver_pid)
        submit = driver.parent()  # spark-submit is the JVM around the driver's Python
        victims = [driver]
        if submit is not None and submit.name() == "java":
            victims.append(submit)
        for process in sorted(victims, key=lambda each: each.pid == os.getpid()):  # itself last
            process.kill()
    while True:  # until Spark ends this process
        time.sleep(1)

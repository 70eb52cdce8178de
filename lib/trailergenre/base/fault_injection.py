"""Kills on purpose, to prove that a killed run loses nothing: off by default, free when off.

TRAILERGENRE_FAULT=POINT:VICTIM:ATTEMPT, read by the driver and sent to its tasks: the task of the
first chunk, in this attempt (from 0; or several, as in 0,1,2), ends the victim with SIGKILL when it
reaches the point. A fourth number says after how many times that it came by unharmed.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import psutil

from trailergenre.base.errors import ConfigError

VARIABLE = "TRAILERGENRE_FAULT"
MARKER_FILE = "fault-reached"
"""File in the directory for temporary files that a kill leaves."""
_POLL_S = 0.005


class Point(StrEnum):
    """Where a task can be hit, in the order in which it comes by; P8 to P10 are publishing's."""

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


class Victim(StrEnum):
    """Who is killed: the Python worker, the executor's JVM, or the driver with its JVM."""

    WORKER = "worker"
    EXECUTOR = "executor"
    DRIVER = "driver"


@dataclass(frozen=True, slots=True)
class Fault:
    """One kill.

    Attributes:
        point: where.
        victim: whom.
        attempts: in which attempts of the task; 0 is the first.
        spared: times that the point is passed before.
        driver_pid: of the driver's Python process.
    """

    point: Point
    victim: Victim
    attempts: frozenset[int]
    spared: int = 0
    driver_pid: int = field(default_factory=os.getpid)


def read_fault() -> Fault | None:
    """The fault that the environment asks for, on the driver.

    Raises:
        ConfigError: the variable is set to something else.
    """
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    try:
        point, victim, attempts, *more = text.split(":")
        (spared,) = more or ["0"]
        of = frozenset(map(int, attempts.split(",")))
        return Fault(Point(point), Victim(victim), of, int(spared))
    except ValueError as error:
        raise ConfigError(
            f"{VARIABLE} takes POINT:VICTIM:ATTEMPT, e.g. P4:worker:0, or with a fourth number. "
            f"Received: {text!r}."
        ) from error


_armed: Fault | None = None
_passed = 0


def arm(fault: Fault | None, *, task: int, attempt: int) -> None:
    """Say which task runs in this process from now on."""
    global _armed, _passed
    is_meant = fault is not None and task == 0 and attempt in fault.attempts
    _armed, _passed = (fault if is_meant else None), 0


def reach(point: Point, when: Callable[[], bool] = lambda: True) -> None:
    """Come by a point; where a fault is armed for it, nothing comes after.

    Args:
        point: the point.
        when: waited for before the kill, to hit the middle of what another process does.
    """
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
    # For whoever asked for it to see that it came to pass.
    Path(tempfile.gettempdir(), MARKER_FILE).write_text(f"{fault.point}:{fault.victim}")
    if fault.victim is Victim.WORKER:
        os.kill(os.getpid(), signal.SIGKILL)
    elif fault.victim is Victim.EXECUTOR:
        # This process was forked by Spark's daemon, which the executor's JVM started.
        os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
    else:
        driver = psutil.Process(fault.driver_pid)
        # spark-submit is the JVM around the driver's Python process.
        submit = driver.parent()
        driver.kill()
        if submit is not None and submit.name() == "java":
            submit.kill()
    while True:  # Spark ends this process, now that its owner is gone
        time.sleep(1)

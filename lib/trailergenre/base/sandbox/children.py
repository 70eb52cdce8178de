"""Child processes that outlive neither their deadline nor their parent, and stay in their limits.

Each is a process group of its own, killed as a group. Its limits are set by `launcher.py` on the
way to its program; time and the memory of the group are watched from here. Children that need a
warm start are `forks.py`'s. Knows nothing of what the children do.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import IO, Protocol, cast

import psutil

_POLL_S = 0.1
"""How late a deadline may be noticed."""

_MEMORY_POLL_S = 0.25
"""How late the group's memory may be noticed."""


class Deadline:
    """Seconds on the monotonic clock that all steps of one link share.

    Attributes:
        seconds: at the start.
        stopped: set by the owner of the work to end it at once.
    """

    def __init__(self, seconds: float, stopped: threading.Event | None = None) -> None:
        """Start the clock.

        Args:
            seconds: from now.
            stopped: once set, no time is left.
        """
        self.seconds = seconds
        self.stopped = stopped or threading.Event()
        self._left_s = seconds
        self._since: float | None = time.monotonic()

    @property
    def left_s(self) -> float:
        """Seconds left, never below 0."""
        if self.stopped.is_set():
            return 0.0
        since = self._since
        running_s = 0.0 if since is None else time.monotonic() - since
        return max(0.0, self._left_s - running_s)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stand still while somebody else is waited for."""
        self._left_s, self._since = self.left_s, None
        try:
            yield
        finally:
            self._since = time.monotonic()


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What one child, with all that it starts, may use.

    Attributes:
        cpu_s: seconds of processor time of each process.
        file_bytes: largest file that it may write.
        memory_bytes: resident memory of the whole group.
        address_space_bytes: of each process; None for programs that reserve far more than they
            use, such as deno.
        has_network: whether it may reach any.
    """

    cpu_s: float
    file_bytes: int
    memory_bytes: int
    address_space_bytes: int | None
    has_network: bool

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """The kernel's part of them, as `launcher.bind` takes it behind the parent's id."""
        return (
            math.ceil(self.cpu_s),
            self.file_bytes,
            self.address_space_bytes or 0,
            int(self.has_network),
        )


class Process(Protocol):
    """What a child is watched and ended by, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int:
        """Its id, which stays its own until it was waited for."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """The pipe to its standard input."""

    @property
    def stdout(self) -> IO[bytes] | None:
        """The pipe from its standard output."""

    @property
    def returncode(self) -> int | None:
        """How it ended: exit code, or a signal's number below 0; None until that was asked for."""

    def poll(self) -> int | None:
        """How it ended; None while it runs."""

    def wait(self) -> int:
        """How it ended, once it has."""


@dataclass
class Child:
    """A running child, the leader of a process group.

    Attributes:
        process: the child; stdin and stdout are pipes, stderr goes where the caller said.
        limits: what its group may use.
        is_timed_out: set once the deadline ended it.
        is_over_memory: set once the memory of its group ended it.
    """

    process: Process
    limits: ChildLimits
    is_timed_out: bool = field(default=False)
    is_over_memory: bool = field(default=False)

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input."""
        return cast(IO[bytes], self.process.stdin)

    @property
    def stdout(self) -> IO[bytes]:
        """Its standard output."""
        return cast(IO[bytes], self.process.stdout)

    def kill(self) -> None:
        """End the whole process group."""
        # macOS answers EPERM for a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def watch(self, deadline: Deadline, is_over: threading.Event) -> None:
        """Kill the group when no time or memory is left, unless it is over before."""
        measured_at = time.monotonic()
        while not is_over.wait(min(deadline.left_s, _POLL_S)):
            if deadline.left_s <= 0:
                self.is_timed_out = True
                self.kill()
                return
            if time.monotonic() - measured_at < _MEMORY_POLL_S:
                continue
            measured_at = time.monotonic()
            if group_memory_bytes(self.process.pid) > self.limits.memory_bytes:
                self.is_over_memory = True
                self.kill()
                return


def group_memory_bytes(leader: int) -> int:
    """Resident memory of a child and of all that it started; shared pages count for each.

    Costs as much on a machine of ten thousand processes as on one of ten. What was left behind by
    a process between, and is nobody's child of these any more, is not found.
    """
    total = 0
    pids = [leader]
    while pids:
        pid = pids.pop()
        # A process may end while it is looked at.
        with contextlib.suppress(psutil.Error, OSError):
            total += psutil.Process(pid).memory_info().rss
            pids += _list_children(pid)
    return total


def _list_children(pid: int) -> list[int]:
    if not _knows_children():
        return [child.pid for child in psutil.Process(pid).children()]
    # Each thread has children of its own.
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]


@cache
def _knows_children() -> bool:
    """Whether the kernel lists a process's children; else all processes have to be looked at."""
    return Path(f"/proc/self/task/{os.getpid()}/children").exists()


@contextlib.contextmanager
def start_child(
    arguments: Sequence[str],
    *,
    deadline: Deadline,
    stderr: IO[bytes] | int,
    env: Mapping[str, str],
    limits: ChildLimits,
) -> Iterator[Child]:
    """Run a child; whatever happens in the block, its group is gone afterwards.

    A kernel that knows the signal kills the child when the thread that calls this ends, however it
    ends: a killed Spark worker leaves no ffmpeg. So the thread must outlive the block; the steps of
    a stream do, each is one generator that one thread of `prefetch` runs from first to last.

    Args:
        arguments: absolute path of a program, and its arguments; never a shell line. A program that
            cannot be started ends with 127, as in a shell.
        deadline: past it the group is killed, so that reads from the pipe end.
        stderr: an open file, or `subprocess.STDOUT`; a pipe that nobody reads would block it.
        env: its whole environment.
        limits: what it may use.
    """
    process = subprocess.Popen(
        [*_launcher_arguments(limits), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=dict(env),
        start_new_session=True,
    )
    with watched(Child(process, limits), deadline) as child:
        yield child


@contextlib.contextmanager
def watched(child: Child, deadline: Deadline) -> Iterator[Child]:
    """Watch a child that has begun; whatever happens in the block, its group is gone afterwards."""
    # A thread and not a signal: Spark's Python workers and tests call this from any thread.
    is_over = threading.Event()
    watch = threading.Thread(target=child.watch, args=(deadline, is_over), daemon=True)
    try:
        watch.start()
        yield child
    finally:
        is_over.set()
        if watch.ident is not None:
            watch.join()
        child.kill()
        child.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        child.process.wait()


@cache
def _launcher_source() -> str:
    """The launcher's text: the package may be a zip, which no interpreter's `-I` would find."""
    return resources.files(__package__).joinpath("launcher.py").read_text(encoding="utf-8")


def _launcher_arguments(limits: ChildLimits) -> list[str]:
    encoded = ",".join(str(number) for number in (os.getpid(), *limits.numbers))
    return [sys.executable, "-I", "-S", "-c", _launcher_source(), encoded]

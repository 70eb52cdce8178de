"""Child processes with a deadline and resource limits, none of which outlives its parent.

Each child leads a process group, which is killed as a whole. `launcher.py` sets the kernel's limits
before the program starts; deadline and memory are watched from here.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import IO, cast

import psutil

_POLL_S = 0.1
_MEMORY_POLL_S = 0.25


class Deadline:
    """A countdown on the monotonic clock; no time is left once `stopped` is set."""

    def __init__(self, seconds: float, stopped: threading.Event | None = None) -> None:
        self.seconds = seconds
        self.stopped = stopped or threading.Event()
        self._left_s = seconds
        self._since: float | None = time.monotonic()

    @property
    def left_s(self) -> float:
        """Seconds left, at least 0."""
        if self.stopped.is_set():
            return 0.0
        since = self._since
        return max(0.0, self._left_s - (0.0 if since is None else time.monotonic() - since))

    @property
    def used_s(self) -> float:
        """Seconds used so far."""
        return self.seconds - self.left_s

    def pause(self) -> None:
        """Pause the countdown."""
        self._left_s, self._since = self.left_s, None

    def resume(self) -> None:
        """Continue the countdown."""
        self._since = time.monotonic()

    def renew(self) -> None:
        """Start the countdown anew."""
        self._left_s, self._since = self.seconds, time.monotonic()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the countdown while others are waited for."""
        self.pause()
        try:
            yield
        finally:
            self.resume()


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """The limits of one child and of all processes that it starts."""

    cpu_s: float  # of each process
    file_bytes: int  # largest file it may write
    memory_bytes: int  # resident, of the whole group
    address_space_bytes: int | None  # of each; None if it reserves more than it uses, as deno
    has_network: bool

    @property
    def numbers(self) -> tuple[int, int, int, int]:
        """The limits that the kernel enforces, as `launcher.bind` takes them."""
        address_space_bytes = self.address_space_bytes or 0
        return math.ceil(self.cpu_s), self.file_bytes, address_space_bytes, int(self.has_network)


class Fork:
    """A child that `fork_client` started, with the interface of `subprocess.Popen`."""

    def __init__(
        self,
        pid: int,
        line: socket.socket,
        pipes: tuple[IO[bytes], IO[bytes]],
        reap: Callable[[int], int],
    ) -> None:
        """Take a fork that closes its `line` when it ends; `reap` then returns its exit code."""
        self.pid = pid
        self.stdin, self.stdout = pipes
        self.returncode: int | None = None
        self._line = line
        self._reap = reap

    def poll(self) -> int | None:
        """Return the exit code if the fork has ended."""
        if self.returncode is None:
            with contextlib.suppress(BlockingIOError):
                self._line.recv(1, socket.MSG_DONTWAIT)
                return self.wait()
        return self.returncode

    def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        if self.returncode is None:
            self._line.recv(1)  # returns when the fork ends
            self._line.close()
            self.returncode = self._reap(self.pid)
        return self.returncode


@dataclass
class Child:
    """A running child, the leader of a process group; the flags say why it was killed."""

    process: subprocess.Popen[bytes] | Fork
    limits: ChildLimits
    is_timed_out: bool = False
    is_over_memory: bool = False

    @property
    def stdin(self) -> IO[bytes]:
        """The pipe to its standard input."""
        return cast(IO[bytes], self.process.stdin)

    @property
    def stdout(self) -> IO[bytes]:
        """The pipe from its standard output."""
        return cast(IO[bytes], self.process.stdout)

    def kill(self) -> None:
        """Kill the whole process group."""
        # macOS answers EPERM for a group of which only a zombie is left.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def watch(self, deadline: Deadline, is_over: threading.Event) -> None:
        """Kill the group at its deadline or memory limit, unless `is_over` is set before."""
        measured_at = time.monotonic()
        while not is_over.wait(min(deadline.left_s, _POLL_S)):
            if deadline.left_s <= 0:
                self.is_timed_out = True
            elif time.monotonic() - measured_at >= _MEMORY_POLL_S:
                measured_at = time.monotonic()
                used_bytes = group_memory_bytes(self.process.pid)
                self.is_over_memory = used_bytes > self.limits.memory_bytes
            if self.is_timed_out or self.is_over_memory:
                self.kill()
                return


def group_memory_bytes(leader: int) -> int:
    """Resident memory of a child and its descendants; shared pages count for each."""
    total, pids = 0, [leader]
    while pids:
        pid = pids.pop()
        # A process may end while it is measured.
        with contextlib.suppress(psutil.Error, OSError):
            total += psutil.Process(pid).memory_info().rss
            pids += _list_children(pid)
    return total


def _list_children(pid: int) -> list[int]:
    # psutil's `children` scans all processes of the machine.
    if not _has_children_files():
        return [child.pid for child in psutil.Process(pid).children()]
    files = Path(f"/proc/{pid}/task").glob("*/children")  # one per thread
    return [int(child) for file in files for child in file.read_text().split()]


@cache
def _has_children_files() -> bool:
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
    """Run a child, and kill its group when the block ends.

    On Linux, the kernel also kills the child when the calling *thread* ends, so that a killed Spark
    worker leaves no ffmpeg. Hence one thread must run the block from start to end.

    The program's path is absolute; if it cannot be started, the exit code is `LAUNCH_FAILED`. At
    the deadline, reads from the pipe end. `stderr` is no pipe: an unread one would block the child.
    """
    numbers = ",".join(map(str, (os.getpid(), *limits.numbers)))
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _launcher_source(), numbers, *arguments],
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
    """Watch a running child, and kill its group when the block ends."""
    # A thread, not a signal: Spark's Python workers call this from any thread.
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
    """Source of the launcher; `-I` would not find it if the package is a zip."""
    return resources.files(__package__).joinpath("launcher.py").read_text(encoding="utf-8")

"""Child processes that cannot outlive their deadline: own process group, killed as a group.

Knows nothing of what the children do. The full sandbox around them is built on this.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, cast

_POLL_S = 0.1
"""How late a deadline may be noticed."""


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
        address_space_bytes: of each process; None where a program needs more than it uses.
        has_network: whether it may reach any.
    """

    cpu_s: float
    file_bytes: int
    memory_bytes: int
    address_space_bytes: int | None
    has_network: bool


@dataclass
class Child:
    """A running child.

    Attributes:
        process: the child; stdin and stdout are pipes, stderr goes where the caller said.
        is_timed_out: set once the deadline ended it.
        is_over_memory: set once the memory of its group ended it.
    """

    process: subprocess.Popen[bytes]
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
        """Kill the group when no time is left, unless it is over before."""
        while not is_over.wait(min(deadline.left_s, _POLL_S)):
            if deadline.left_s <= 0:
                self.is_timed_out = True
                self.kill()
                return


@contextlib.contextmanager
def start_child(
    arguments: Sequence[str],
    *,
    deadline: Deadline,
    stderr: IO[bytes],
    env: Mapping[str, str],
    limits: ChildLimits | None = None,
) -> Iterator[Child]:
    """Run a child; whatever happens in the block, its group is gone afterwards.

    Args:
        arguments: program and arguments; never a shell line.
        deadline: past it the group is killed, so that reads from the pipe end.
        stderr: an open file; a pipe that nobody reads would block the child.
        env: its whole environment.
        limits: what it may use.
    """
    process = subprocess.Popen(
        list(arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=dict(env),
        start_new_session=True,
    )
    child = Child(process)
    # A thread and not a signal: Spark's Python workers and tests call this from any thread.
    is_over = threading.Event()
    watch = threading.Thread(target=child.watch, args=(deadline, is_over), daemon=True)
    watch.start()
    try:
        yield child
    finally:
        is_over.set()
        watch.join()
        child.kill()
        child.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        process.wait()

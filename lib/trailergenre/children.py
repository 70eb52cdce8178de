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


class Deadline:
    """A moment on the monotonic clock that all steps of one link share."""

    def __init__(self, seconds: float) -> None:
        """Start the clock.

        Args:
            seconds: from now.
        """
        self.seconds = seconds
        self._at = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds left, never below 0."""
        return max(0.0, self._at - time.monotonic())


@dataclass
class Child:
    """A running child.

    Attributes:
        process: the child; stdin and stdout are pipes, stderr goes where the caller said.
        is_timed_out: set once the deadline ended it.
    """

    process: subprocess.Popen[bytes]
    is_timed_out: bool = field(default=False)

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
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def _expire(self) -> None:
        self.is_timed_out = True
        self.kill()


@contextlib.contextmanager
def start_child(
    arguments: Sequence[str], *, deadline: Deadline, stderr: IO[bytes], env: Mapping[str, str]
) -> Iterator[Child]:
    """Run a child; whatever happens in the block, its group is gone afterwards.

    Args:
        arguments: program and arguments; never a shell line.
        deadline: past it the group is killed, so that reads from the pipe end.
        stderr: an open file; a pipe that nobody reads would block the child.
        env: its whole environment.
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
    alarm = threading.Timer(deadline.left_s, child._expire)
    alarm.daemon = True
    alarm.start()
    try:
        yield child
    finally:
        alarm.cancel()
        child.kill()
        child.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            child.stdin.close()
        process.wait()

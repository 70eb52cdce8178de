"""Run a Spark job without the warning that every JVM of Spark 4 prints at start-up."""

from __future__ import annotations

import os
import pty
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_WARNING = b"WARNING: Using incubator modules: jdk.incubator.vector"
"""The JVM's first line. Neither Java nor Spark has an option to turn it off."""


@contextmanager
def without_jvm_warning() -> Iterator[int]:
    """Yield a file descriptor for a job's stderr, copied to ours without the warning.

    It is a terminal if ours is one, so that the job draws a progress bar on it.
    """
    if os.isatty(2):
        reader, writer = pty.openpty()
        tty.setraw(writer)  # the real terminal translates line ends
        termios.tcsetwinsize(writer, termios.tcgetwinsize(2))
    else:
        reader, writer = os.pipe()
    thread = threading.Thread(target=_copy, args=(reader,), daemon=True)
    thread.start()
    try:
        yield writer
    finally:
        os.close(writer)
        thread.join(5)  # a process that outlives the job may hold its end


def _copy(reader: int) -> None:
    """Copy to stderr until the last writer is gone; drop the first line if it is the warning."""
    # At its end, a pipe returns nothing and a terminal raises an error.
    with suppress(OSError), os.fdopen(reader, "rb", buffering=0) as source:
        line = source.readline()
        if line.strip() != _WARNING:
            os.write(2, line)
        while chunk := source.read(65536):
            os.write(2, chunk)

"""What a JVM that this process starts prints, without the lines that it prints at every start."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_AT_EVERY_START = (
    b"WARNING: Using incubator modules: jdk.incubator.vector",
    b'Setting default log level to "',
    b"To adjust logging level use sc.setLogLevel",
    b"Setting Spark log level to ",
)
"""Neither Java nor Spark has an option to turn them off."""


_is_stopping = threading.Event()


def stop_listening() -> None:
    """Drop what the JVM prints until the next session: traces of what a stopped one still did."""
    _is_stopping.set()


@contextmanager
def filtered_stderr() -> Iterator[None]:
    """Give a process that is started in this block a filtered stderr, for as long as it lives."""
    _is_stopping.clear()
    stderr = os.dup(2)
    reader, writer = os.pipe()
    threading.Thread(target=_copy, args=(reader, stderr), daemon=True).start()
    os.dup2(writer, 2)
    os.close(writer)
    try:
        yield
    finally:
        os.dup2(stderr, 2)


def _copy(reader: int, stderr: int) -> None:
    with suppress(OSError), os.fdopen(reader, "rb") as source:
        for line in source:
            if not (_is_stopping.is_set() or line.startswith(_AT_EVERY_START)):
                os.write(stderr, line)
    os.close(stderr)

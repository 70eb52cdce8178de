"""An iterator that runs ahead in a thread, by a bounded number of values."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")

_POLL_S = 0.1


class _End:
    """Marks the end of the source."""


class Prefetch(Generic[T]):
    """Iterate a generator in a thread; its errors come out of the iteration.

    Leaving the `with` block ends the thread and closes the generator, however far it was.
    """

    def __init__(
        self, source: Generator[T], *, depth: int, stopped: threading.Event | None = None
    ) -> None:
        """Keep the source; the thread starts with the `with` block.

        Args:
            source: runs in the thread only.
            depth: values that may wait; what bounds the memory.
            stopped: of a chain of these; once set, none waits for another any more.
        """
        self._source = source
        self._waiting: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
        self._is_closed = stopped or threading.Event()
        self._executor = ThreadPoolExecutor(max_workers=1)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._future: Future[None] = self._executor.submit(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the thread and wait for it."""
        self._is_closed.set()
        self._executor.shutdown()

    def __iter__(self) -> Iterator[T]:
        """Yield the source's values in order."""
        while not self._is_closed.is_set():
            try:
                value = self._waiting.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if isinstance(value, _End):
                self._future.result()
                return
            yield value

    def _run(self) -> None:
        with closing(self._source):
            try:
                for value in self._source:
                    self._put(value)
                    if self._is_closed.is_set():
                        break
            finally:
                self._put(_End())

    def _put(self, value: T | _End) -> None:
        while not self._is_closed.is_set():
            try:
                self._waiting.put(value, timeout=_POLL_S)
            except queue.Full:
                continue
            return

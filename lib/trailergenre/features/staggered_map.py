"""A step for each value, ahead of whoever takes the results, in the order in which they end.

Steps follow one another; but one that takes long no longer keeps the next from starting, so a
value that hangs costs the others nothing, until as many hang as may run at the same time. Knows
nothing of what the steps do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")

_POLL_S = 0.1


class Ahead:
    """Bounds how many values are begun and not yet dealt with, and how many steps run at once."""

    def __init__(self, at_most: int, *, at_once: int, slow_s: float) -> None:
        """Begin with no value.

        Args:
            at_most: values that are taken and of which `leave` is not yet called.
            at_once: steps that run at the same time.
            slow_s: seconds of a step after which the next may start beside it.
        """
        self._at_once = at_once
        self._slow_s = slow_s
        self._room = threading.Semaphore(at_most)

    def leave(self) -> None:
        """Say that a value is dealt with: there is room for another."""
        self._room.release()

    def run(
        self,
        source: Iterable[S],
        step: Callable[[S, threading.Event], T],
        stopped: threading.Event,
    ) -> Generator[T]:
        """Yield what the steps give, the first to end first.

        Args:
            source: a value is taken when its step can start.
            step: called with a value, in one thread from first to last, and with an event that is
                set when it must end at once.
            stopped: once set, nothing more is taken or given.

        Raises:
            Exception: what a step raised; the others are ended.
        """
        values = iter(source)
        halted = threading.Event()
        running: set[Future[T]] = set()
        is_over, fresh_until = False, 0.0
        newest: Future[T] | None = None
        with ThreadPoolExecutor(max_workers=self._at_once) as executor:
            try:
                while (running or not is_over) and not stopped.is_set():
                    is_fresh = newest in running and time.monotonic() < fresh_until
                    may_begin = not is_over and not is_fresh and len(running) < self._at_once
                    if may_begin and self._has_room(is_idle=not running):
                        try:
                            newest = executor.submit(step, next(values), halted)
                        except StopIteration:
                            is_over = True
                            continue
                        fresh_until = time.monotonic() + self._slow_s
                        running.add(newest)
                    done, running = wait(running, _POLL_S, FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            finally:
                # Something runs only where a step failed or nobody wants the rest.
                halted.set()

    def _has_room(self, *, is_idle: bool) -> bool:
        # Where a step is running its end must not be waited for here.
        return self._room.acquire(timeout=_POLL_S if is_idle else 0)

"""Work of known or unknown length: a bar on a terminal, plain lines in a pipe.

What spreads over a run's links has `progress.Watch`; this is for everything else that takes more
than some seconds. Nothing is written to stdout.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from trailergenre.base.terminal import open_console

_SILENT_S = 15.0
"""Longest silence in a pipe: who waits longer takes it that the work hangs."""


@contextmanager
def frames_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Show how many frames are done: a bar on a terminal, a line every 15 s in a pipe.

    Args:
        title: what is done with them.

    Yields:
        A function of the frames that are done and those that there are.
    """
    with _bar(title, says_each=False) as show:
        yield lambda done, total: show(done, total, f"{title}: {done}/{total} frames")


@contextmanager
def steps_bar(title: str) -> Iterator[Callable[[int, int, str], None]]:
    """Show the steps of some work as they get ready: a bar on a terminal, lines in a pipe.

    In a pipe a line comes at least every 15 s, also where a step takes long or none is told.

    Args:
        title: what is done.

    Yields:
        A function of the steps that are done, those that there are, and what the last one was.
    """
    with _bar(title, says_each=True) as show:
        yield lambda done, total, what: show(done, total, f"{title}: {done}/{total} {what}")


@contextmanager
def _bar(title: str, *, says_each: bool) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function of what is done, what there is, and a text that says both."""
    console = open_console()
    if not console.is_terminal:
        with _Lines(console, title) as lines:

            def tell(done: int, total: int, text: str) -> None:
                lines.text = text
                if says_each:
                    lines.print()

            yield tell
        return
    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=None)

        def draw(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield draw


class _Lines:
    """Prints its text when it is told to, and whenever it was silent for long.

    Attributes:
        text: what is to be said.
    """

    def __init__(self, console: Console, text: str) -> None:
        self.text = text
        self._console = console
        self._started = self._printed = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._break_silence, daemon=True)

    def __enter__(self) -> _Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def print(self) -> None:
        self._printed = time.monotonic()
        took = format_s(self._printed - self._started)
        self._console.print(f"[{took}] {self.text}", markup=False, highlight=False)

    def _break_silence(self) -> None:
        while not self._over.wait(self._printed + _SILENT_S - time.monotonic()):
            # Something may have been said meanwhile.
            if time.monotonic() - self._printed >= _SILENT_S:
                self.print()


_DAY_S = 86400.0


def format_s(seconds: float | None) -> str:
    """Seconds as a person says them.

    >>> format_s(3725)
    '1:02:05'
    """
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_age(moment: datetime) -> str:
    """How long ago a UTC moment is, as a person says it: over a day in days."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return f"{seconds / _DAY_S:.1f} days" if seconds > _DAY_S else format_s(seconds)

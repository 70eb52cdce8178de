"""Progress of long work on stderr: a bar on a terminal, plain lines in a pipe."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from trailergenre.base.terminal import escape, open_console

_SILENT_S = 15.0  # in a pipe; a longer silence looks like a hang
_BAR_MAX_COLUMNS = 30
_WIDE_COLUMNS = 120  # a terminal that has room for the details
_DAY_S = 86400.0


class OnStep(Protocol):
    """A progress callback."""

    def __call__(self, done: int, total: int, label: str = "") -> None:
        """Show that `done` of `total` steps are done; `label` names the last one."""


@contextmanager
def progress_bar(title: str, unit: str = "") -> Iterator[OnStep]:
    """Show the progress of some work, and yield its callback. `unit` names steps without a label.

    In a pipe, a step with a label is printed at once.
    """
    with ProgressDisplay(title) as display:

        def on_step(done: int, total: int, label: str = "") -> None:
            text = f"{title}: {done}/{total} {label or unit}".rstrip()
            display.update(done, total, text, at_once=bool(label))

        yield on_step


class ProgressDisplay:
    """A bar on a terminal; in a pipe, its text as a line after at most 15 s of silence."""

    def __init__(self, text: str) -> None:
        self._console = open_console()
        self.is_terminal = self._console.is_terminal
        self._text = text
        self._details = ""
        self._started = self._printed = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._break_silence, daemon=True)
        # The column that may wrap gives way on a narrow terminal: the details, then the bar.
        self._bar = Progress(
            BarColumn(None, table_column=Column(max_width=_BAR_MAX_COLUMNS)),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[details]}", markup=False, table_column=Column()),
            console=self._console,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressDisplay:
        """Start to draw."""
        if self.is_terminal:
            self._task = self._bar.add_task(self._text, total=None, details="")
            self._bar.start()
        else:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; nothing is printed afterwards."""
        if self.is_terminal:
            self._bar.stop()
        else:
            self._closed.set()
            self._thread.join()

    def update(
        self, done: int, total: int, text: str, *, details: str = "", at_once: bool = False
    ) -> None:
        """Show `text`, and `details` if there is room; `at_once` prints it to a pipe now."""
        # A label with a line break would break the bar.
        self._text, self._details = text, details = escape(text), escape(details)
        if self._task is not None:
            shown = details if self._console.width >= _WIDE_COLUMNS else ""
            self._bar.update(
                self._task, completed=done, total=total, description=text, details=shown
            )
        elif at_once:
            self._print()

    def _print(self) -> None:
        self._printed = time.monotonic()
        elapsed = format_duration(self._printed - self._started)
        line = f"[{elapsed}] {self._text} {self._details}".rstrip()
        self._console.print(line)

    def _break_silence(self) -> None:
        while not self._closed.wait(self._printed + _SILENT_S - time.monotonic()):
            if time.monotonic() - self._printed >= _SILENT_S:  # no update was printed meanwhile
                self._print()


def format_duration(seconds: float) -> str:
    """Format seconds as hours, minutes and seconds.

    >>> format_duration(3725)
    '1:02:05'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_age(moment: datetime) -> str:
    """Format the time since a UTC moment; in days if longer than a day."""
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return f"{seconds / _DAY_S:.1f} days" if seconds > _DAY_S else format_duration(seconds)

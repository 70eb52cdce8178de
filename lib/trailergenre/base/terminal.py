"""The user's terminal and command line, also behind spark-submit; the only place that prints.

Titles, file names and servers' messages come from strangers. Whatever is printed has its control
characters escaped here, so that no text moves the cursor, hides a word or looks like another line.

spark-submit gives a Python job pipes and only the words after the script's name. So progress bars
need the terminal of the parent process, and a resume hint needs its command line.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

import psutil
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment

_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
_SECRET = re.compile("secret|password|token|access[.]?key|credential", re.IGNORECASE)
"""As `spark.redaction.regex` of conf/spark-*.conf; a storage address holds no secret."""


_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escape(text: str, *, keep: str = "") -> str:
    r"""Escape control characters and others that a terminal does not show, except those of `keep`.

    The escapes are those of JSON, so JSON stays what it is.

    >>> print(escape("a\n\x1b[31m\u202e"), escape("caf\u00e9"))
    a\n\u001b[31m\u202e café
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else _SHORT.get(c, f"\\u{ord(c):04x}") for c in text
    )


def print_line(line: str, *, err: bool = False) -> None:
    """Print one line, whatever line breaks are in it, to stdout or stderr."""
    stream = sys.stderr if err else sys.stdout
    stream.write(f"{escape(line)}\n")
    stream.flush()


class EscapedStream:
    """A text stream that escapes what is written to it, apart from line breaks and tabs."""

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write escaped text; the count is that of `text`, as its caller expects."""
        self.stream.write(escape(text, keep="\n\t"))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each line."""
        for line in lines:
            self.write(line)

    def isatty(self) -> bool:
        """Nobody shall colour what is escaped."""
        return False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        """The stream's own attributes."""
        if name in {"buffer", "reconfigure", "detach"}:  # ways around `write`
            raise AttributeError(name)
        return getattr(self.stream, name)


def escape_streams() -> None:
    """Escape what anybody writes to stdout and stderr: logs, tracebacks, errors of options."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, EscapedStream):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # what the locale cannot write
            setattr(sys, name, EscapedStream(stream))


class EscapedConsole(Console):
    """A console that takes text as text: it escapes it, and knows no markup."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of rich
        super().__init__(soft_wrap=True, markup=False, emoji=False, highlight=False, **options)

    @property  # type: ignore[misc]  # never set
    def file(self) -> IO[str]:
        """The stream itself: this console's own codes must reach it."""
        file = super().file
        return file.stream if isinstance(file, EscapedStream) else file

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render it with all text escaped; what moves the cursor is a `control`."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else escape(text, keep="\n"), style, control)


class _Terminal(EscapedConsole):
    """A console on a terminal that is not a standard stream, which is all that rich measures."""

    @property  # type: ignore[misc]  # never set
    def size(self) -> ConsoleDimensions:
        """The present size."""
        try:
            columns, lines = os.get_terminal_size(self.file.fileno())
        except OSError:  # the terminal was closed, which must not end the run
            columns, lines = 0, 0
        return ConsoleDimensions(columns or 80, lines or 25)


def open_console(*, stderr: bool = True) -> Console:
    """Open stderr, or the terminal of spark-submit if that started this process; or stdout."""
    if not stderr:
        return EscapedConsole()
    console = EscapedConsole(stderr=True)
    if not console.file.isatty() and _submitted() is not None:
        try:
            terminal = Path(f"/proc/{os.getppid()}/fd/2").readlink()
            if terminal.is_relative_to("/dev/pts"):
                return _Terminal(file=terminal.open("w"))
        except OSError:
            pass  # no /proc, or no permission
    return console


def typed_command() -> str:
    """The command that started this process, without secrets, to be typed again."""
    submitted = _submitted()
    if submitted is not None:
        words = ["spark-submit", *submitted]
    elif sys.argv[0].endswith(".py"):
        words = ["python", *sys.orig_argv[1:]]
    else:
        words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return shlex.join(map(_redact, words))


def _submitted() -> list[str] | None:
    """The words after `spark-submit`; None if it did not start this process."""
    try:
        words = psutil.Process(os.getppid()).cmdline()
        return words[words.index(_SUBMIT) + 1 :]
    except (psutil.Error, ValueError):
        return None


def _redact(word: str) -> str:
    if word.startswith("http"):
        return word  # a web link needs its query
    name, separator, _ = word.partition("=")
    return f"{name}=..." if separator and _SECRET.search(word) else word

"""The user's terminal and command line, also behind spark-submit.

spark-submit gives a Python job pipes and only the words after the script's name. So progress bars
need the terminal of the parent process, and a resume hint needs its command line.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import psutil
from rich.console import Console, ConsoleDimensions

_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
_SECRET = re.compile("secret|password|token|access[.]?key|credential", re.IGNORECASE)
"""As `spark.redaction.regex` of conf/spark-*.conf; a storage address holds no secret."""


class _Terminal(Console):
    """A console on a terminal that is not a standard stream, which is all that rich measures."""

    @property  # type: ignore[misc]  # never set
    def size(self) -> ConsoleDimensions:
        """The present size."""
        try:
            columns, lines = os.get_terminal_size(self.file.fileno())
        except OSError:  # the terminal was closed, which must not end the run
            columns, lines = 0, 0
        return ConsoleDimensions(columns or 80, lines or 25)


def open_console() -> Console:
    """Open the terminal of spark-submit if that started this process, else stderr."""
    if not sys.stderr.isatty() and _submitted() is not None:
        try:
            stderr = Path(f"/proc/{os.getppid()}/fd/2").readlink()
            if stderr.is_relative_to("/dev/pts"):
                return _Terminal(file=stderr.open("w"), soft_wrap=True)
        except OSError:
            pass  # no /proc, or no permission
    return Console(stderr=True, soft_wrap=True)


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

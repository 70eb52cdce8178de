"""What the user typed and looks at, also where spark-submit's JVM stands between.

spark-submit gives a Python job pipes, whatever it has itself, and of its own words only those
behind the script's name.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import psutil
from rich.console import Console, ConsoleDimensions

from trailergenre.base.storage_address import redact_address

_SUBMIT = "org.apache.spark.deploy.SparkSubmit"
_SECRET = re.compile("secret|password|token|access[.]?key|credential", re.IGNORECASE)
"""As `spark.redaction.regex` of conf/spark-*.conf, but for `uri`: an address loses user info and
query, and `mongo.uri_file` is none."""


class _Terminal(Console):
    """A console on a terminal that is none of this process's own streams, which rich measures."""

    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> ConsoleDimensions:
        """As it is now: it may be drawn larger or smaller at any time."""
        try:
            columns, lines = os.get_terminal_size(self.file.fileno())
        except OSError:  # it was closed, which stops no run
            columns, lines = 0, 0
        return ConsoleDimensions(columns or 80, lines or 25)  # 0: it does not say


def open_console() -> Console:
    """The terminal that the user looks at, else stderr.

    Only of spark-submit is the terminal taken although stderr is a pipe: whoever else gave us a
    pipe, or a file, meant it.
    """
    if not sys.stderr.isatty() and _submitted() is not None:
        try:
            stderr = Path(f"/proc/{os.getppid()}/fd/2").readlink()
            if stderr.is_relative_to("/dev/pts"):
                return _Terminal(file=stderr.open("w"), soft_wrap=True)
        except OSError:
            pass  # no /proc, or not ours to look at
    return Console(stderr=True, soft_wrap=True)


def typed_command() -> str:
    """The command that started this process, to be typed again; no secret is shown."""
    submitted = _submitted()
    if submitted is not None:
        words = ["spark-submit", *submitted]
    elif sys.argv[0].endswith(".py"):
        words = ["python", *sys.orig_argv[1:]]
    else:
        words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    return shlex.join(map(_without_secrets, words))


def _submitted() -> list[str] | None:
    """The words behind `spark-submit`; None where something else started this process."""
    try:
        words = psutil.Process(os.getppid()).cmdline()
        return words[words.index(_SUBMIT) + 1 :]
    except (psutil.Error, ValueError):
        return None


def _without_secrets(word: str) -> str:
    if word.startswith("http"):
        return word  # a web link needs its query; it holds no key to a storage
    name, separator, _ = word.partition("=")
    return f"{name}=..." if separator and _SECRET.search(word) else redact_address(word)

"""A terminal with one program on it, as a person sits before it."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

CTRL_C = b"\x03"


class Terminal:
    """What is typed on it and what stands on it."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        """Start a program that has the terminal for itself, as a shell's foreground."""
        self._ours, theirs = pty.openpty()
        self._shown: list[bytes] = []
        # setsid makes the terminal the one whose keys send signals. These tests may themselves run
        # where Ctrl-C is ignored, as behind `&` in a script, and a child would take that on.
        self.process = subprocess.Popen(
            ["env", "--default-signal=INT", "setsid", "--ctty", *command],
            stdin=theirs, stdout=theirs, stderr=theirs, env=dict(env), cwd=cwd,
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def press(self, key: bytes) -> None:
        """Press a key; the terminal sends its signal to all processes of the foreground."""
        os.write(self._ours, key)

    def wait(self, timeout_s: float) -> int:
        """The exit code of the program."""
        return self.process.wait(timeout_s)

    def screen(self) -> str:
        """All that was shown so far, with the codes that move the cursor."""
        return b"".join(self._shown).decode(errors="replace")

    def close(self) -> None:
        """End the program, and wait until nothing is shown any more."""
        self.process.kill()
        self.process.wait()
        # Nobody reads on once all who have the terminal are gone.
        self._reader.join(30)
        os.close(self._ours)

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # Linux's way to say that nobody is left
            while shown := os.read(self._ours, 65536):
                self._shown.append(shown)


@contextlib.contextmanager
def terminal(command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Iterator[Terminal]:
    """Run a program on a terminal; it has ended afterwards."""
    running = Terminal(command, env=env, cwd=cwd)
    try:
        yield running
    finally:
        running.close()

"""What is made once for all tests, whichever process asks first: the network and a demo."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from submits import REPOSITORY

TIMEOUT_S = 1500
"""Bounds a hang; the demo takes a few minutes."""


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        directory: what it wrote; a test that writes there copies it first.
        code: its exit code.
        stdout: its output, with that of the jobs that it ran.
        stderr: the same of stderr.
    """

    directory: str
    code: int
    stdout: str
    stderr: str

    @property
    def out(self) -> Path:
        """The directory as a path."""
        return Path(self.directory)


def shared_inception(factory: pytest.TempPathFactory) -> Ended:
    """The real network with random weights, exported by the command line."""
    return _once(
        factory,
        "inception",
        lambda out: run_command("backbone", "export", "--weights", "random", "--out", str(out)),
    )


def shared_demo(factory: pytest.TempPathFactory) -> Ended:
    """The demo's run; the demo finds its network there, as from an earlier demo."""
    inception = shared_inception(factory).out

    def make(out: Path) -> subprocess.CompletedProcess[str]:
        out.mkdir()
        shutil.copytree(inception, out / "backbone")
        return run_command("demo", "--out", str(out))

    return _once(factory, "demo-run", make)


def run_command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line."""
    return subprocess.run(
        [sys.executable, "-m", "trailergenre", *words],
        cwd=REPOSITORY,
        # Nothing of a test goes to a server that somebody works with.
        env={name: os.environ[name] for name in os.environ if name != "TRAILERGENRE_MONGO_URI"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _once(
    factory: pytest.TempPathFactory,
    name: str,
    make: Callable[[Path], subprocess.CompletedProcess[str]],
) -> Ended:
    """Make a directory, or take the one that another test process has made or is making.

    A command that failed fails all who ask for its directory, and is not run again.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    record = base / f"{name}.json"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            out = base / name
            done = make(out)
            ended = Ended(str(out), done.returncode, done.stdout, done.stderr)
            record.write_text(json.dumps(asdict(ended)))
    ended = Ended(**json.loads(record.read_text()))
    assert ended.code == 0, ended.stdout + ended.stderr
    return ended

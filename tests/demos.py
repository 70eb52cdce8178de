"""The demo's run: what `make demo` leaves, once for all tests, whichever process asks first."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from submits import REPOSITORY

TIMEOUT_S = 2100
"""A bound on hangs: beside much other work the demo takes twenty minutes."""


@dataclass(frozen=True)
class Demo:
    """How the demo ended.

    Attributes:
        directory: what it wrote; to be copied by who writes there.
        code: with which it ended.
        stdout: what it and its jobs said.
        stderr: what else they said.
    """

    directory: str
    code: int
    stdout: str
    stderr: str

    @property
    def out(self) -> Path:
        """The directory as a path."""
        return Path(self.directory)


def shared_demo(factory: pytest.TempPathFactory) -> Demo:
    """Run the demo, or take the one that another test process has made or is just making.

    One that failed fails all who ask for it, and is not run again.
    """
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    record = base / "demo.json"
    with (base / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            out = base / "demo-run"
            done = run_demo("--out", str(out))
            demo = Demo(str(out), done.returncode, done.stdout, done.stderr)
            record.write_text(json.dumps(asdict(demo)))
    demo = Demo(**json.loads(record.read_text()))
    assert demo.code == 0, demo.stdout + demo.stderr
    return demo


def run_demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "trailergenre", "demo", *arguments],
        cwd=REPOSITORY,
        # Nothing of a test goes to a server that somebody works with.
        env={name: os.environ[name] for name in os.environ if name != "TRAILERGENRE_MONGO_URI"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )

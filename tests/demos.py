"""The demo's own run on the tiny network: what `make demo` leaves, once for all tests."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from submits import REPOSITORY


TIMEOUT_S = 1500
"""A bound on hangs: beside much other work the demo takes ten minutes."""


def shared_demo(base: Path, backbone: Path) -> Path:
    """Run the demo, or take the one that another test process has made or is just making.

    Args:
        base: directory of the whole test session, seen by all of its processes.
        backbone: the exported network that takes Inception-V3's place.
    """
    out = base / "demo-run"
    with (base / "demo-run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "run" / "reports" / "evaluation.html").exists():
            shutil.rmtree(out, ignore_errors=True)
            _run_demo(out, backbone)
    return out


def session_directory(factory: pytest.TempPathFactory) -> Path:
    """The directory that the processes of one test session share."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _run_demo(out: Path, backbone: Path) -> None:
    # The demo keeps a backbone that it finds in a directory of its own.
    shutil.copytree(backbone, out / "backbone")
    (out / ".trailergenre-demo").touch()
    done = subprocess.run(
        [sys.executable, "-m", "trailergenre", "demo", "--out", str(out)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout

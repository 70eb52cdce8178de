"""Other projects' ways over the same clips, each in its own environment."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from speed.children import BENCHMARKS
from trailergenre.base.errors import ToolMissingError

_PYTHON = BENCHMARKS / "peers" / ".venv" / "bin" / "python"


def run_ray_data(clips: Sequence[Path], backbone: Path) -> float:
    """Frames a second of Ray Data, cut off from every network; see `peers/ray_data.py`.

    Raises:
        ToolMissingError: its environment was not built.
        RuntimeError: it failed; the message is its last line.
    """
    if not _PYTHON.exists():
        raise ToolMissingError(f"There is no {_PYTHON}. `make bench GOAL=B12` builds it.")
    script = BENCHMARKS / "peers" / "ray_data.py"
    command = ["unshare", "--map-root-user", "--net", _PYTHON, script, backbone, *clips]
    done = subprocess.run(
        [str(word) for word in command],
        env={**os.environ, "PYTHONPATH": str(BENCHMARKS.parent / "lib")},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"Ray Data failed: {done.stderr.decode().splitlines()[-1]}")
    return float(done.stdout.split()[-1])

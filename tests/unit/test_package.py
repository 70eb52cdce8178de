"""What importing the package does to a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_loading_the_engine_leaves_nothing_in_home(tmp_path: Path) -> None:
    """ONNX Runtime would put a device id and a database there, and report to its maker."""
    env = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    command = [sys.executable, "-c", "import trailergenre.base.onnx_session"]
    subprocess.run(command, env={**env, "HOME": str(tmp_path), "XDG_CACHE_HOME": ""}, check=True)
    assert list(tmp_path.iterdir()) == []

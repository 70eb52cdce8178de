"""What importing the package does to a machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    "code",
    [
        "import trailergenre.base.onnx_session",
        "from trailergenre.features.backbone import openvino_engine as engine\n"
        "engine.import_openvino()",
    ],
    ids=["onnxruntime", "openvino"],
)
def test_loading_the_engine_leaves_nothing_in_home(tmp_path: Path, code: str) -> None:
    """Both would put an id there and report to their makers, OpenVINO except where CI is set."""
    left_out = {"ORT_DISABLE_TELEMETRY", "CI", "TF_BUILD", "JENKINS_URL"}
    env = {name: value for name, value in os.environ.items() if name not in left_out}
    command = [sys.executable, "-c", code]
    subprocess.run(command, env={**env, "HOME": str(tmp_path), "XDG_CACHE_HOME": ""}, check=True)
    assert list(tmp_path.iterdir()) == []

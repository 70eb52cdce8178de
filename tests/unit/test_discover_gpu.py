"""The script by which Spark finds a machine's GPUs, beside a driver that is not there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest


def discover(repository: Path, programs: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [repository / "conf" / "discover_gpu.sh"],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def make_driver(directory: Path, lines: str) -> None:
    program = directory / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o700)


@pytest.mark.parametrize("indices", [["0"], ["0", "1", "3"]])
def test_addresses_are_what_the_driver_names(
    repository: Path, tmp_path: Path, indices: list[str]
) -> None:
    make_driver(tmp_path, "; ".join(f"echo {index}" for index in indices))
    found = discover(repository, tmp_path)
    assert json.loads(found.stdout) == {"name": "gpu", "addresses": indices}


def test_a_driver_that_does_not_answer_is_no_machine_without_gpus(
    repository: Path, tmp_path: Path
) -> None:
    make_driver(tmp_path, "echo No devices were found >&2; exit 6")
    found = discover(repository, tmp_path)
    assert found.returncode != 0
    assert "No devices" in found.stderr

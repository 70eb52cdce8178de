"""The rule that CI allows no skipped test, tried on a small suite of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
import pytest

def test_that_passes():
    assert True

@pytest.mark.skip(reason="no such device")
def test_that_is_skipped():
    assert True

@pytest.mark.xfail(reason="known")
def test_that_is_known_to_fail():
    assert False
"""


def run_suite(directory: Path, repository: Path, **variables: str) -> subprocess.CompletedProcess:
    shutil.copy(repository / "tests" / "conftest.py", directory / "conftest.py")
    (directory / "test_small.py").write_text(SUITE)
    environment = {k: v for k, v in os.environ.items() if k != "CI"} | variables
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull,
         "-o", f"pythonpath={repository / 'tests'}", "--rootdir", str(directory), str(directory)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_skip_is_no_failure_on_a_laptop(tmp_path: Path, repository: Path) -> None:
    ended = run_suite(tmp_path, repository)
    assert ended.returncode == pytest.ExitCode.OK
    assert "1 passed, 1 skipped, 1 xfailed" in ended.stdout


def test_a_skip_fails_ci_and_is_named(tmp_path: Path, repository: Path) -> None:
    ended = run_suite(tmp_path, repository, CI="true")
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "test_small.py::test_that_is_skipped (list it in .ci/run" in ended.stdout
    assert "test_that_is_known_to_fail (list" not in ended.stdout


def test_a_skip_that_ci_lists_is_allowed(tmp_path: Path, repository: Path) -> None:
    allowed = "\n  test_small.py::test_that_is_skipped  \n"
    ended = run_suite(tmp_path, repository, CI="true", TRAILERGENRE_ALLOWED_SKIPS=allowed)
    assert ended.returncode == pytest.ExitCode.OK

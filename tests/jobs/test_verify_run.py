"""The job as a person runs it: a last line of JSON, exit code 0, 1 or 2, and nothing changed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from runs import make_movies, make_run
from trailergenre.base.storage import Store
from trailergenre.runs.verify.verify import verify_run

SPARK_SUBMIT = str(Path(sys.executable).with_name("spark-submit"))


def verify(
    repository: Path, run: Path, *options: str, launcher: str = sys.executable
) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON of the last line of stdout, and what was said beside it."""
    done = subprocess.run(
        [launcher, repository / "jobs" / "verify_run.py", run, *options],
        # Others' scratch on this machine is none of this test's.
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(run.parent), "PYSPARK_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = done.stdout.splitlines()
    return done.returncode, json.loads(lines[-1]) if lines else {}, done.stderr


@pytest.mark.parametrize(
    "launcher", [sys.executable, pytest.param(SPARK_SUBMIT, marks=pytest.mark.slow)]
)
def test_the_job_says_what_the_function_says(
    launcher: str, repository: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "run"))
    fingerprint = make_run(store, make_movies(5))
    before = store.list_all_files("")
    code, summary, said = verify(repository, tmp_path / "run", launcher=launcher)
    assert code == 0, said
    assert summary["content_hash"] == verify_run(store, fingerprint).content_hash
    assert (summary["stage"], summary["holds"]) == ("verify_run", True)
    changed = {file.path for file in store.list_all_files("")} - {file.path for file in before}
    assert all(path.startswith("runs/") for path in changed)
    assert len(changed) == 1


def test_what_is_found_is_named_and_the_exit_code_1(repository: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path / "run"))
    make_run(store, make_movies(5))
    (file,) = store.list_files("features")
    store.write_bytes(file.path, b"cut")
    code, summary, said = verify(repository, tmp_path / "run")
    assert (code, summary["holds"]) == (1, False)
    assert file.path in json.dumps(summary)
    assert "FOUND  I3  features files are what rows name" in said
    assert "Restore the features file from a copy, or delete it with the outcomes file" in said


def test_after_damaged_files_are_deleted_their_links_are_to_be_taken_again(
    repository: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "run"))
    make_run(store, make_movies(5))
    for directory in ("features", "outcomes"):
        (file,) = store.list_files(directory)
        store.delete(file.path)
    code, summary, said = verify(repository, tmp_path / "run")
    assert code == 1
    (wrong,) = (check for check in summary["checks"] if not check["holds"])
    assert (wrong["invariant"], wrong["found"]) == ("I1", 5)
    assert "it takes what has no outcome" in said


def test_no_run_is_one_line_and_exit_2(repository: Path, tmp_path: Path) -> None:
    code, summary, said = verify(repository, tmp_path / "nothing")
    assert (code, summary) == (2, {})
    assert said.startswith("error: There is no run at")
    assert len(said.splitlines()) == 1

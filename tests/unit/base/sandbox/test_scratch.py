from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trailergenre.base.errors import StorageError
from trailergenre.base.sandbox.scratch import list_abandoned_scratch, scratch_directory

OWNER = """
from trailergenre.base.sandbox.scratch import scratch_directory
with scratch_directory() as path:
    (path / "video").write_bytes(b"x")
    print(path, flush=True)
    input()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files of the test's own."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def start_owner(temporary: Path) -> tuple[subprocess.Popen[str], Path]:
    """Another process with a scratch directory, as a neighbour on the same machine."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER],
        env={"TMPDIR": str(temporary)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_nothing_is_left_whatever_happens_inside(temporary: Path) -> None:
    with pytest.raises(KeyError), scratch_directory() as path:
        (path / "attempt").mkdir()
        assert path.parent.stat().st_mode & 0o777 == 0o700
        raise KeyError
    assert list(temporary.iterdir()) == []


def test_a_dead_owners_directory_is_swept_and_a_living_neighbours_is_not(temporary: Path) -> None:
    neighbour, kept = start_owner(temporary)
    dead, swept = start_owner(temporary)
    end(dead)
    assert swept.exists()
    assert list_abandoned_scratch() == [swept.parent]
    try:
        with scratch_directory():
            assert not swept.parent.exists()
            assert (kept / "video").exists()
    finally:
        end(neighbour)


@pytest.mark.parametrize("name", [".lock", "lock", "files", ".trailergenre-scratch.bak"])
def test_directories_of_other_programs_are_left_alone(temporary: Path, name: str) -> None:
    theirs = temporary / "trailergenre-notes"
    theirs.mkdir()
    (theirs / name).touch()
    with scratch_directory():
        assert list_abandoned_scratch() == []
    assert (theirs / name).exists()


def test_no_room_for_scratch_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with pytest.raises(StorageError, match="Set TMPDIR"), scratch_directory():
        pass

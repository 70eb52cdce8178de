from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.base.fault_injection import (
    MARKER_FILE,
    VARIABLE,
    Fault,
    Point,
    Victim,
    arm,
    reach,
    read_faults,
)

WORKER = """
import sys
from trailergenre.base.fault_injection import Point, arm, reach, read_faults
arm(read_faults(), task=int(sys.argv[1]), attempt=int(sys.argv[2]))
reach(Point.PLANNED)
reach(Point.MID_DECODE)
reach(Point.DOWNLOADED)
reach(Point.DOWNLOADED)
print("alive")
"""


def run(
    temporary: Path, fault: str, *, task: int = 0, attempt: int = 0
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WORKER, str(task), str(attempt)],
        env={VARIABLE: fault, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_nothing_happens_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_faults() == ()
    arm((), task=0, attempt=0)
    for point in Point:
        reach(point)


def test_the_victim_dies_at_the_point_in_the_first_chunks_task_and_in_no_other(
    tmp_path: Path,
) -> None:
    assert run(tmp_path, "P4:worker:0").returncode == -signal.SIGKILL
    assert (tmp_path / MARKER_FILE).read_text() == "P4:worker\n"
    (tmp_path / MARKER_FILE).unlink()
    others = (
        run(tmp_path, "P4:worker:0", task=1),
        run(tmp_path, "P4:worker:1"),
        run(tmp_path, "P5:worker:0"),
    )
    for other in others:
        assert (other.returncode, other.stdout) == (0, "alive\n")
    assert list(tmp_path.iterdir()) == []


def test_attempts_may_be_hit_at_several_points(tmp_path: Path) -> None:
    kills = "P1:worker:0 P4:worker:1"
    for attempt in (0, 1):
        assert run(tmp_path, kills, attempt=attempt).returncode == -signal.SIGKILL
    assert (tmp_path / MARKER_FILE).read_text().split() == ["P1:worker", "P4:worker"]
    assert run(tmp_path, kills, attempt=2).returncode == 0


def test_several_attempts_may_be_hit(tmp_path: Path) -> None:
    assert run(tmp_path, "P4:worker:0,2", attempt=2).returncode == -signal.SIGKILL


@pytest.mark.parametrize(("spared", "dies"), [(1, True), (2, False)])
def test_a_point_may_be_passed_before(spared: int, dies: bool, tmp_path: Path) -> None:
    code = run(tmp_path, f"P3:worker:0:{spared}").returncode
    assert code == (-signal.SIGKILL if dies else 0)


def test_a_point_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[Fault] = []
    monkeypatch.setattr("trailergenre.base.fault_injection._kill", killed.append)
    fault = Fault(Point.MID_DOWNLOAD, Victim.WORKER, frozenset({0}), spared=0, driver_pid=0)
    arm([fault], task=0, attempt=0)
    answers = iter([False, False, True])
    reach(Point.MID_DOWNLOAD, lambda: next(answers))
    arm((), task=0, attempt=0)
    assert killed == [fault]
    assert list(answers) == []


@pytest.mark.parametrize(
    "text",
    [
        "P4",
        "P4:worker:0 P4",
        "P44:worker:0",
        "P4:nobody:0",
        "P4:worker:soon",
        "P4:worker:0:soon",
        "P4:worker:0:1:2",
    ],
)
def test_another_text_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(ConfigError, match="POINT:VICTIM:ATTEMPT"):
        read_faults()

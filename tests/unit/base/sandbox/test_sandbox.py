from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from trailergenre.base.sandbox import children
from trailergenre.base.sandbox.children import (
    Child,
    ChildLimits,
    Deadline,
    group_memory_bytes,
    start_child,
)

# Writes to the FIFO at once, and again after a time that no killed process reaches.
GRANDCHILD = """
import sys, time
with open(sys.argv[1], "wb", buffering=0) as out:
    out.write(b"started")
    time.sleep(20)
    out.write(b" and still alive")
"""
CHILD = f"""
import subprocess, sys
subprocess.run([sys.executable, "-c", {GRANDCHILD!r}, sys.argv[1]])
"""


LIMITS = ChildLimits(
    cpu_s=60,
    file_bytes=1_000_000,
    memory_bytes=1_000_000_000,
    address_space_bytes=None,
    has_network=True,
)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """A pipe with a name: reading it ends when every process that writes to it is gone."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@contextmanager
def run_python(
    code: str, *arguments: str, directory: Path, seconds: float = 30, limits: ChildLimits = LIMITS
) -> Iterator[Child]:
    """Run Python code as a child, its stderr in `directory/log`."""
    command = [sys.executable, "-c", code, *arguments]
    with (
        (directory / "log").open("wb") as log,
        start_child(
            command, deadline=Deadline(seconds), stderr=log, env=os.environ, limits=limits
        ) as child,
    ):
        yield child


def test_stdin_stdout_and_stderr_are_the_callers(tmp_path: Path) -> None:
    code = "import sys; print(sys.stdin.read().upper()); print('noted', file=sys.stderr)"
    with run_python(code, directory=tmp_path) as child:
        child.stdin.write(b"word")
        child.stdin.close()
        assert child.stdout.read() == b"WORD\n"
        assert child.process.wait() == 0
    assert not child.is_timed_out
    assert (tmp_path / "log").read_bytes() == b"noted\n"


def test_environment_is_only_what_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "ours")
    code = "import os; print('SECRET' in os.environ, os.environ['GIVEN'])"
    with (
        (tmp_path / "log").open("wb") as log,
        start_child(
            [sys.executable, "-c", code],
            deadline=Deadline(30),
            stderr=log,
            env={"GIVEN": "yes"},
            limits=LIMITS,
        ) as child,
    ):
        assert child.stdout.read() == b"False yes\n"


def test_leaving_ends_the_child_and_what_it_started(fifo: Path, tmp_path: Path) -> None:
    with run_python(CHILD, str(fifo), directory=tmp_path) as child:
        reader = fifo.open("rb", buffering=0)
        assert reader.read(7) == b"started"
    with reader:
        assert reader.read() == b""
    assert child.process.returncode == -signal.SIGKILL
    assert not child.is_timed_out


def test_an_error_in_the_block_ends_the_group_too(fifo: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="ours"),
        run_python(CHILD, str(fifo), directory=tmp_path),
    ):
        reader = fifo.open("rb", buffering=0)
        assert reader.read(7) == b"started"
        raise ValueError("ours")
    with reader:
        assert reader.read() == b""


def test_the_deadline_ends_the_group_and_the_read(tmp_path: Path) -> None:
    # The grandchild holds the child's stdout: the read ends only when both are gone.
    with run_python(CHILD, "/dev/stdout", directory=tmp_path, seconds=1) as child:
        assert b"alive" not in child.stdout.read()
        assert child.is_timed_out


def test_a_deadline_that_has_passed_leaves_nothing(tmp_path: Path) -> None:
    assert Deadline(-1).left_s == 0
    with run_python("import time; time.sleep(20)", directory=tmp_path, seconds=0) as child:
        assert child.stdout.read() == b""
        assert child.is_timed_out


def test_a_child_that_reads_nothing_is_no_fault(tmp_path: Path) -> None:
    with run_python("", directory=tmp_path) as child:
        child.process.wait()
        child.stdin.write(b"unread")
    assert child.process.returncode == 0


def test_paused_deadline_stands_still() -> None:
    deadline = Deadline(60)
    with deadline.paused():
        before_s = deadline.left_s
        time.sleep(0.1)
        assert deadline.left_s == before_s
    time.sleep(0.1)
    assert deadline.left_s < before_s


def test_stopped_deadline_has_no_time_left() -> None:
    stopped = threading.Event()
    deadline = Deadline(60, stopped)
    assert deadline.left_s > 50
    stopped.set()
    assert deadline.left_s == 0


def test_more_memory_than_the_group_may_have_ends_it(tmp_path: Path) -> None:
    # The grandchild holds it: the group is measured, not the child.
    greedy = (
        "import time; held = bytearray(120_000_000); print(len(held), flush=True); time.sleep(20)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {greedy!r}])"
    limits = replace(LIMITS, memory_bytes=100_000_000)
    with run_python(code, directory=tmp_path, limits=limits) as child:
        child.stdout.read()
        assert child.is_over_memory
        assert not child.is_timed_out
    assert group_memory_bytes(child.process.pid) == 0


@pytest.mark.parametrize("is_listed", [True, False])
def test_memory_is_the_childs_and_its_childrens(
    is_listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_listed:
        if not children._has_children_files():
            pytest.skip("this kernel does not list a process's children")
        # Machines run thousands of processes; each look at all of them is one of many a second.
        monkeypatch.setattr(psutil, "pids", lambda: pytest.fail("looked at every process"))
    else:
        monkeypatch.setattr(children, "_has_children_files", lambda: False)
    hold = "held = bytearray(60_000_000); print(1, flush=True); sys.stdin.read()"
    # A thread's child is the process's, too.
    start = f"subprocess.run([sys.executable, '-c', {f'import sys; {hold}'!r}])"
    code = f"import subprocess, sys, threading; threading.Thread(target=lambda: {start}).start()"
    with run_python(code, directory=tmp_path) as child:
        assert child.stdout.readline() == b"1\n"
        assert group_memory_bytes(child.process.pid) > 60_000_000


def test_memory_within_bounds_is_left_alone(tmp_path: Path) -> None:
    code = "import time; held = bytearray(50_000_000); time.sleep(0.6)"
    limits = replace(LIMITS, memory_bytes=400_000_000)
    with run_python(code, directory=tmp_path, limits=limits) as child:
        assert child.process.wait() == 0
    assert not child.is_over_memory


def test_nothing_stays_open(tmp_path: Path) -> None:
    def open_files() -> int:
        return psutil.Process().num_fds()

    before, others = open_files(), psutil.Process().children()
    children = []
    for _ in range(3):
        with run_python("", directory=tmp_path) as child:
            children.append(child)
        with pytest.raises(ValueError), run_python("", directory=tmp_path):
            raise ValueError
    assert open_files() == before
    assert psutil.Process().children() == others

from __future__ import annotations

import os
import pty
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from trailergenre.base.terminal import open_console, typed_command

SUBMIT = ["org.apache.spark.deploy.SparkSubmit", "--master", "local[2]"]
JOB = ["jobs/featurize.py", "runs/mine"]


@pytest.fixture
def terminal() -> Iterator[int]:
    """The file descriptor of a terminal."""
    ours, theirs = pty.openpty()
    yield theirs
    os.close(ours)
    os.close(theirs)


@contextmanager
def parent(
    words: list[str], monkeypatch: pytest.MonkeyPatch, stderr: int = subprocess.DEVNULL
) -> Iterator[None]:
    """Let a process with these words look like the one that started us."""
    # Its words are to be read only once it has begun.
    code = "import sys; print('ready', flush=True); sys.stdin.read()"
    command, pipe = [sys.executable, "-c", code, *words], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=stderr) as process:
        assert process.stdout is not None and process.stdout.readline()
        monkeypatch.setattr(os, "getppid", lambda: process.pid)
        yield
        process.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells another process's stderr")
def test_under_spark_submit_its_terminal_is_taken(
    terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with parent([*SUBMIT, *JOB], monkeypatch, terminal):
        console = open_console()
    assert console.file.name == os.ttyname(terminal)
    console.file.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells another process's stderr")
def test_a_terminal_that_was_closed_still_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with parent([*SUBMIT, *JOB], monkeypatch, theirs):
        console = open_console()
    os.close(ours)
    assert console.width == 80
    console.file.close()
    os.close(theirs)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells another process's stderr")
def test_under_spark_submit_its_terminal_is_as_wide_as_it_is_now(
    terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with parent([*SUBMIT, *JOB], monkeypatch, terminal):
        console = open_console()
    for columns, width in ((132, 132), (90, 90), (0, 80)):
        termios.tcsetwinsize(terminal, (40, columns))
        assert console.width == width
    console.file.close()


def test_spark_submit_without_a_terminal_leaves_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    with parent([*SUBMIT, *JOB], monkeypatch):
        assert open_console().file is sys.stderr


def test_what_a_user_sent_elsewhere_stays_there(
    terminal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `trailergenre verify RUN 2>log`, typed in a shell on a terminal.
    with parent([], monkeypatch, terminal):
        assert open_console().file is sys.stderr


def test_where_no_parent_can_be_seen_stderr_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getppid", lambda: -1)
    assert open_console().file is sys.stderr


def test_a_job_is_run_again_by_the_words_of_spark_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    # What the job itself sees.
    monkeypatch.setattr(sys, "argv", JOB)
    with parent([*SUBMIT, *JOB], monkeypatch):
        assert typed_command() == ("spark-submit --master 'local[2]' jobs/featurize.py runs/mine")


@pytest.mark.parametrize(
    ("interpreter_words", "argv", "typed"),
    [
        (["/opt/bin/trailergenre", "demo"], ["/opt/bin/trailergenre", "demo"], "trailergenre demo"),
        (["jobs/train_model.py", "a b"], ["jobs/train_model.py", "a b"],
         "python jobs/train_model.py 'a b'"),
        (["-m", "trailergenre", "demo"], ["/opt/trailergenre/__main__.py", "demo"],
         "python -m trailergenre demo"),
    ],
)  # fmt: skip
def test_a_command_is_told_as_it_was_typed(
    interpreter_words: list[str], argv: list[str], typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["/usr/bin/python3", *interpreter_words])
    monkeypatch.setattr(sys, "argv", argv)
    assert typed_command() == typed


def test_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    conf = ["--conf", "spark.hadoop.fs.s3a.secret.key=canary-1", "--conf", "spark.task.cpus=2"]
    job = ["jobs/featurize.py", "s3://bucket/run?region=x", "--set", "frames.per_second=2"]
    with parent([*SUBMIT, *conf, *job], monkeypatch):
        typed = typed_command()
    assert "canary" not in typed
    assert "--conf spark.hadoop.fs.s3a.secret.key=... --conf spark.task.cpus=2" in typed
    assert typed.endswith("jobs/featurize.py 's3://bucket/run?region=x' --set frames.per_second=2")


def test_a_web_link_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    link = "https://a.org/watch?v=x"
    monkeypatch.setattr(sys, "argv", ["trailergenre", "score", link])
    assert typed_command() == f"trailergenre score '{link}'"

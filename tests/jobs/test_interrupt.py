"""Ctrl-C, typed on a terminal, at spark-submit itself: all processes get it, the JVM too."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from killed import assert_nothing_is_left, clip_server, content_hash, make_case
from submits import REPOSITORY, command, environment
from terminals import CTRL_C, Terminal, terminal

pytestmark = pytest.mark.slow

# A job that is stopped before it has a session, while Spark starts, or while its own thread waits
# for a task.
WAITING_JOB = """
import time
from pathlib import Path
import typer
from pyspark import SparkContext
from pyspark.sql import SparkSession
from trailergenre.cli.entry import RunArgument, resumable_entry
from trailergenre.spark.session import spark_session
from trailergenre.base.storage import Store

def hang(run):
    Path(run, "hangs").touch()
    time.sleep(300)

def hang_in_jvm(run):
    Path(run, "hangs").touch()
    SparkContext._jvm.java.lang.Thread.sleep(300000)

app = typer.Typer()

@app.command()
@resumable_entry
def wait(run: RunArgument, place: str) -> None:
    if place == "planning":
        hang(run)
    if place == "start":
        SparkSession.Builder.getOrCreate = lambda _: hang_in_jvm(run)
    with spark_session("wait", Store(run)) as spark:
        spark.sparkContext.parallelize([run], 1).foreach(hang)

app()
"""


def wait_until(is_true: Callable[[], object], shown: Terminal) -> None:
    deadline = time.monotonic() + 300
    while not is_true():
        assert shown.process.poll() is None, shown.screen()
        assert time.monotonic() < deadline, shown.screen()
        time.sleep(0.02)


def named_command(screen: str) -> list[str]:
    """The words that the job says to type again."""
    (line,) = re.findall(r"^stopped\. Finished work is kept\. .*$", screen, re.MULTILINE)
    return shlex.split(line.partition("To resume, run: ")[2])


@pytest.mark.parametrize("place", ["planning", "start", "task"])
def test_ctrl_c_says_how_to_go_on_and_leaves_nobody(place: str, tmp_path: Path) -> None:
    job, run = tmp_path / "wait.py", tmp_path / "my run"
    job.write_text(WAITING_JOB)
    run.mkdir()
    typed = [*command("featurize")[:-1], str(job), str(run), place]
    with terminal(typed, env=environment(), cwd=REPOSITORY) as shown:
        wait_until((run / "hangs").exists, shown)
        shown.press(CTRL_C)
        assert shown.wait(60) == 130
    assert "stopping ..." in shown.screen()
    assert named_command(shown.screen()) == ["spark-submit", *typed[1:]]
    assert "Traceback" not in shown.screen()
    assert "Exception" not in shown.screen()


def test_a_stopped_run_is_finished_by_the_command_that_it_names(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    env = environment() | {"TMPDIR": str(scratch)}
    with clip_server(tmp_path, n_clips=5) as server:
        case = make_case(server, tiny_backbone, tmp_path / "run")
        typed = command("featurize", *case.arguments)
        with case.last_one_held(), terminal(typed, env=env, cwd=REPOSITORY) as shown:
            wait_until(case.committed, shown)
            shown.press(CTRL_C)
            assert shown.wait(60) == 130
        finished = case.committed()
        server.requests.clear()
        program, *words = named_command(shown.screen())
        again = str(Path(sys.executable).with_name(program))
        done = subprocess.run(
            [again, *words], env=env, cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert {link for link, times in case.requests().items() if times} & finished == set()
    with patch.object(tempfile, "tempdir", str(scratch)):
        assert content_hash(case)
        assert_nothing_is_left(scratch)

"""The command before it is loaded, and after its last word."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from runs import make_movies, make_run
from submits import REPOSITORY
from trailergenre.__main__ import main
from trailergenre.base.storage import Store


class Loading(ModuleType):
    """A module that Ctrl-C finds while it is being loaded."""

    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt


def test_ctrl_c_while_the_command_is_loaded_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(
        sys.modules, "trailergenre.cli.commands", Loading("trailergenre.cli.commands")
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "\nstopped.\n")


def test_the_command_is_what_the_package_is_when_it_is_run() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"trailergenre": "trailergenre.__main__:main"}


@pytest.mark.parametrize("words", [("report", "RUN", "--json"), ("status", "RUN"), ("--help",)])
def test_an_answer_that_nobody_reads_ends_quietly_and_not_as_verify_that_found_something(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    make_run(Store(str(tmp_path)), make_movies(1))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "trailergenre"]
    command += [str(tmp_path) if word == "RUN" else word for word in words]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")

"""The command before it is loaded, and after its last word."""

from __future__ import annotations

import sys
import tomllib
from types import ModuleType

import pytest

from submits import REPOSITORY
from trailergenre.__main__ import main


class Loading(ModuleType):
    """A module that Ctrl-C finds while it is being loaded."""

    def __getattr__(self, name: str) -> object:
        raise KeyboardInterrupt


def test_ctrl_c_while_the_command_is_loaded_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trailergenre.cli", Loading("trailergenre.cli"))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "\nstopped.\n")


def test_the_command_is_what_the_package_is_when_it_is_run() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"trailergenre": "trailergenre.__main__:main"}

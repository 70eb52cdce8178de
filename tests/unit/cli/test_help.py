"""What --help and TAB say, of every command and job."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from typer.testing import CliRunner

from submits import REPOSITORY, load_job
from trailergenre import __version__
from trailergenre.cli.commands import app

JOBS = sorted(path.stem for path in (REPOSITORY / "jobs").glob("*.py"))
PROGRAM = Path(sys.executable).with_name("trailergenre")
STAGES = ("prepare", "featurize", "train", "evaluate", "predict", "publish")
FOR_PROGRAMS = ["score", "status", "verify", "report", "doctor", "bundle inspect"]
"""Commands whose answer a program may want."""


def commands_of(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """A command, and all that stand below it where it is a group, by the words that call them."""
    yield name, command
    for word, found in getattr(command, "commands", {}).items():
        yield from commands_of(found, f"{name} {word}".strip())


ALL = dict(commands_of(typer.main.get_command(app), ""))
COMMANDS = {name: command for name, command in ALL.items() if not hasattr(command, "commands")}


def command_of(name: str) -> click.Command:
    return ALL.get(name) or typer.main.get_command(load_job(name).app)


def test_all_commands_and_jobs_are_found() -> None:
    promised = {"demo", "score", "status", "report", "verify", "doctor"}
    groups = {"bundle": ("inspect", "pack"), "backbone": ("export", "import", "check")}
    grouped = {f"{group} {name}" for group, names in groups.items() for name in names}
    assert set(COMMANDS) == {*promised, *grouped, "run", "export", *STAGES}
    assert len(JOBS) == len(STAGES)


def help_of(name: str) -> str:
    words = name.split() if name in ALL else []
    shown = CliRunner().invoke(app if name in ALL else load_job(name).app, [*words, "--help"])
    assert shown.exit_code == 0
    return shown.stdout


@pytest.mark.parametrize("name", [*ALL, *JOBS])
def test_help_shows_how_it_is_called(name: str) -> None:
    _, is_there, examples = help_of(name).partition("Example")
    assert is_there
    if name in ALL:
        assert f"trailergenre {name}" in examples
    else:
        assert any(f"trailergenre {stage} " in examples for stage in STAGES)


@pytest.mark.parametrize("name", [*ALL, *JOBS])
def test_every_option_says_what_it_does(name: str) -> None:
    parameters = command_of(name).params
    assert [parameter.name for parameter in parameters if not getattr(parameter, "help", "")] == []


@pytest.mark.parametrize("name", [*COMMANDS, *JOBS])
def test_no_option_takes_what_only_python_knows(name: str) -> None:
    assert re.findall(r"--\S+ <(?:str|path|int|float|list).*>", help_of(name)) == []


@pytest.mark.parametrize("name", FOR_PROGRAMS)
def test_what_a_program_may_ask_has_json(name: str) -> None:
    options = [option for parameter in command_of(name).params for option in parameter.opts]
    assert "--json" in options


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, env=os.environ | variables, capture_output=True, text=True, check=False
    )


def test_the_version_is_printed() -> None:
    shown = CliRunner().invoke(app, ["--version"])
    assert (shown.exit_code, shown.stdout) == (0, f"trailergenre {__version__}\n")


def test_the_help_of_all_names_completion_and_doctor() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert "--install-completion" in shown
    assert "trailergenre doctor" in shown


def test_bash_gets_its_completion_without_asking_for_it_by_name() -> None:
    # The shell is found among the processes above; what stands behind keeps bash there.
    shown = run("bash", "-c", f"{PROGRAM} --show-completion; exit $?")
    assert shown.returncode == 0, shown.stderr
    assert "complete_bash" in shown.stdout
    checked = subprocess.run(["bash", "-n"], input=shown.stdout, text=True, check=False)
    assert checked.returncode == 0


def test_help_and_tab_load_nothing_that_only_commands_need() -> None:
    code = "import sys, trailergenre.cli.commands; print(*sys.modules)"
    loaded = set(run(sys.executable, "-c", code).stdout.split())
    assert "trailergenre.cli.entry" in loaded
    assert loaded & {"numpy", "pyarrow", "pydantic", "trailergenre.base.config"} == set()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_has_a_script(shell: str) -> None:
    shown = run(str(PROGRAM), _TRAILERGENRE_COMPLETE=f"source_{shell}")
    assert f"complete_{shell}" in shown.stdout


def test_tab_completes_commands_and_options() -> None:
    variables = {"_TRAILERGENRE_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    assert run(str(PROGRAM), **variables, COMP_WORDS="trailergenre do").stdout == "doctor\n"
    variables["COMP_CWORD"] = "2"
    shown = run(str(PROGRAM), **variables, COMP_WORDS="trailergenre doctor --j").stdout
    assert shown == "--json\n"


@pytest.mark.parametrize("name", ["", *JOBS])
def test_a_fault_of_ours_is_shown_without_variables_that_may_be_secrets(name: str) -> None:
    program = load_job(name).app if name else app
    assert not program.pretty_exceptions_show_locals


@pytest.mark.parametrize("name", JOBS)
def test_a_job_is_the_command_of_its_stage(name: str) -> None:
    stage = next(stage for stage in STAGES if stage in name)
    ours, theirs = command_of(name).params, COMMANDS[stage].params
    assert [parameter.opts for parameter in ours] == [parameter.opts for parameter in theirs]

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from rich.console import Console

from trailergenre.base import errors
from trailergenre.base.errors import ExitCode, LockedError, RunError
from trailergenre.cli.entry import entry

# A job that waits; a handler for Exception on the way must not swallow the signal.
WAITING_JOB = """
import sys, time
import typer
from trailergenre.cli.entry import resumable_entry

app = typer.Typer()

@app.command()
@resumable_entry
def wait() -> None:
    print("ready", flush=True)
    try:
        time.sleep(30)
    except Exception:
        pass

app()
"""


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    """`entry` takes SIGTERM over; pytest gets it back."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def exit_code(function: object, *, resumable: bool = False) -> int:
    assert callable(function)
    with pytest.raises(typer.Exit) as ended:
        entry(function, resumable=resumable)()
    return ended.value.exit_code


def raising(error: BaseException) -> object:
    def run() -> None:
        raise error

    return run


def test_nothing_returned_is_success() -> None:
    assert exit_code(lambda: None) == 0


@pytest.mark.parametrize("code", [ExitCode.FINISHED, ExitCode.INCOMPLETE, ExitCode.VERIFY_FAILED])
def test_the_returned_code_is_the_exit_code(code: ExitCode) -> None:
    assert exit_code(lambda: code) == code


def test_exit_codes_are_those_that_are_promised() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "FINISHED": 0,
        "VERIFY_FAILED": 1,
        "USAGE": 2,
        "LOCKED": 3,
        "INCOMPLETE": 4,
        "INTERRUPTED": 130,
        "PIPE_CLOSED": 141,
        "TERMINATED": 143,
    }


@pytest.mark.parametrize("kind", [RunError, *RunError.__subclasses__()])
def test_a_bad_run_is_one_line_and_its_exit_code(
    kind: type[RunError], capsys: pytest.CaptureFixture[str]
) -> None:
    code = 3 if kind is LockedError else 2
    assert exit_code(raising(kind("Weights are missing. Do this."))) == code
    assert capsys.readouterr() == ("", "error: Weights are missing. Do this.\n")


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        entry(lambda: 1 // 0)()
    with pytest.raises(errors.TrailergenreError):
        entry(raising(errors.TrailergenreError("no run error")))()  # type: ignore[arg-type]


def test_ctrl_c_at_what_keeps_nothing_promises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "\nstopped.\n")


def test_ctrl_c_leaves_a_run_that_can_go_on_and_says_how(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/opt/bin/trailergenre", "demo", "--out", "my demo"])
    assert exit_code(raising(KeyboardInterrupt()), resumable=True) == 130
    lines = capsys.readouterr().err.splitlines()
    # The terminal has just written ^C.
    assert lines == [
        "",
        "stopped. Finished work is kept. To resume, run: trailergenre demo --out 'my demo'",
    ]


def test_the_way_to_go_on_is_told_on_the_terminal_that_was_there_at_the_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # That of spark-submit, which the same Ctrl-C ends: it is not to be found any more.
    terminal = io.StringIO()
    monkeypatch.setattr("trailergenre.cli.entry.open_console", lambda: Console(file=terminal))

    def be_stopped() -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    assert exit_code(be_stopped, resumable=True) == 130
    assert "To resume, run: " in terminal.getvalue()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_process_with_its_code(number: signal.Signals, code: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING_JOB],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
        job.send_signal(number)
        out, err = job.communicate(timeout=30)
    assert (job.returncode, out) == (code, "")
    assert "Finished work is kept" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("module", "extra"), [("sklearn.metrics", "spark"), ("tensorflow", "tensorflow")]
)
def test_a_package_of_an_extra_that_is_not_installed_is_named_with_the_extra(
    module: str, extra: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def command() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    with pytest.raises(typer.Exit) as ended:
        entry(command)()
    assert ended.value.exit_code == ExitCode.USAGE
    assert f"pip install 'trailergenre[{extra}]'" in capsys.readouterr().err


def test_any_other_missing_module_is_a_bug() -> None:
    def command() -> None:
        raise ModuleNotFoundError("No module named 'trailergenre.typo'", name="trailergenre.typo")

    with pytest.raises(ModuleNotFoundError):
        entry(command)()

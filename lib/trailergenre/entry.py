"""What every command and job shares: its options, how errors end it, its one summary line."""

from __future__ import annotations

import functools
import json
import logging
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn, ParamSpec

import typer

from trailergenre.errors import ExitCode, RunError
from trailergenre.floors import check_floors
from trailergenre.terminal import open_console, typed_command

if TYPE_CHECKING:
    # --help and TAB go through here, and should not wait for pyarrow.
    from trailergenre.storage import Store

RunArgument = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Address of the run: a directory, s3://, gs:// or hdfs://."),
]
ConfigOption = Annotated[
    list[Path] | None,
    typer.Option("--config", metavar="FILE", help="TOML; may be repeated, later files win."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable."),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option("--features", metavar="FP", help="Fingerprint, where a run holds several."),
]
MongoOption = Annotated[
    bool,
    typer.Option(
        "--mongo", help="Compare with MongoDB, too: where mongo.* of the configuration says."
    ),
]
BundleOption = Annotated[
    str, typer.Option("--bundle", metavar="DIR", help="Address of the model bundle.")
]

P = ParamSpec("P")


class _TerminatedError(BaseException):
    """SIGTERM came; not an Exception, so that no handler on the way takes it for a fault."""


def entry(function: Callable[P, ExitCode | None], *, resumes: bool = False) -> Callable[P, None]:
    """Make a function end the process as the exit codes say.

    A `RunError` becomes one message on stderr and its exit code; so do Ctrl-C and SIGTERM. Anything
    else is a bug and keeps its traceback.

    Args:
        function: what is done.
        resumes: what was finished when it was stopped is kept, and the command goes on there.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        logging.basicConfig(
            level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        signal.signal(signal.SIGTERM, _raise_terminated)
        # Asked now: the same Ctrl-C may end spark-submit, by which the terminal is found.
        console, again = open_console(), typed_command()
        try:
            check_floors("pyarrow")
            code = function(*args, **kwargs)
        except RunError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
        except _TerminatedError:
            code = ExitCode.TERMINATED
        if code in {ExitCode.INTERRUPTED, ExitCode.TERMINATED}:
            kept = f"; what was finished is kept. To go on, run again: {again}" if resumes else "."
            console.print(f"\nstopped{kept}", markup=False, highlight=False)
        raise typer.Exit(code or ExitCode.FINISHED)

    return wrapped


def resumable_entry(function: Callable[P, ExitCode | None]) -> Callable[P, None]:
    """`entry` of a job that goes on where it was when its command is run again."""
    return entry(function, resumes=True)


def _raise_terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise _TerminatedError


def begin(store: Store, stage: str, settings: dict[str, object]) -> None:
    """Keep beside the run what a stage may do, before it does anything; `verify` holds it to that.

    Args:
        store: the run.
        stage: the job's name.
        settings: what JSON can hold; nothing secret.
    """
    begun_at = datetime.now(UTC)
    record = {"stage": stage, "begun_at": begun_at.isoformat(timespec="seconds"), **settings}
    content = json.dumps(record, indent=2) + "\n"
    store.write_bytes(f"runs/{begun_at:%Y%m%dT%H%M%S%f}-{stage}-begun.json", content.encode())


def read_begun(store: Store, stage: str) -> list[bytes]:
    """What `begin` kept of each time that a stage was begun, the oldest first."""
    return _read_records(store, f"-{stage}-begun.json")


def read_finished(store: Store, stage: str) -> list[bytes]:
    """The summaries that `finish` kept of a stage, the oldest first."""
    return _read_records(store, f"-{stage}.json")


def _read_records(store: Store, ending: str) -> list[bytes]:
    return [
        store.read_bytes(file.path)
        for file in store.list_files("runs")
        if file.path.endswith(ending)
    ]


def finish(store: Store, stage: str, summary: dict[str, object]) -> None:
    """Keep a stage's summary beside the run and print it as the last line of stdout.

    Args:
        store: the run.
        stage: the job's name.
        summary: figures that JSON can hold.
    """
    finished_at = datetime.now(UTC)
    record = {"stage": stage, "finished_at": finished_at.isoformat(timespec="seconds"), **summary}
    line = json.dumps(record, sort_keys=False)
    store.write_bytes(f"runs/{finished_at:%Y%m%dT%H%M%S%f}-{stage}.json", f"{line}\n".encode())
    typer.echo(line)

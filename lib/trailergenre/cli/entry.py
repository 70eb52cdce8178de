"""What every command and job shares: its options, how errors end it, its one summary line."""

from __future__ import annotations

import functools
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn, ParamSpec

import typer

from trailergenre.base.errors import ExitCode, RunError
from trailergenre.base.terminal import open_console, typed_command
from trailergenre.base.versions import check_minimum_versions

if TYPE_CHECKING:
    # --help and TAB go through here, and should not wait for pyarrow.
    pass

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
            check_minimum_versions("pyarrow")
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

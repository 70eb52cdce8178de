"""What all commands and jobs share: common options, and how errors end the process."""

from __future__ import annotations

import functools
import logging
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, ParamSpec

import typer
from typer import Argument, Option

from trailergenre.base.errors import ConfigError, ExitCode, RunError
from trailergenre.base.terminal import escape_streams, open_console, print_line, typed_command
from trailergenre.base.versions import check_minimum_versions

RunArgument = Annotated[
    str,
    Argument(
        metavar="RUN", help="Address of the run: a directory, s3://, gs://, abfss:// or hdfs://."
    ),
]
ConfigOption = Annotated[
    list[Path] | None,
    Option("--config", metavar="FILE", help="TOML file; repeatable, later files win."),
]
SetOption = Annotated[
    list[str] | None,
    Option("--set", metavar="SECTION.KEY=VALUE", help="Override one setting; repeatable."),
]
FeaturesOption = Annotated[
    str | None, Option("--features", metavar="FP", help="Fingerprint, if the run has several.")
]
BundleOption = Annotated[
    str, Option("--bundle", metavar="DIR", help="Address of the model bundle.")
]
MasterOption = Annotated[
    str | None,
    Option("--master", metavar="URL", help="Spark's master; default: all cores of this machine."),
]
PropertiesOption = Annotated[
    Path | None,
    Option("--properties-file", metavar="FILE", help="Spark's properties, as for spark-submit."),
]
UrlColumnOption = Annotated[
    str | None,
    Option(
        "--url-column", metavar="NAME", help="The list's column of links, if not found by name."
    ),
]
GenresColumnOption = Annotated[
    str | None,
    Option("--genres-column", metavar="NAME", help="Likewise, its column of genres."),
]
JsonOption = Annotated[bool, Option("--json", help="Print JSON on stdout.")]

_EXTRAS = {
    **dict.fromkeys(("pyspark", "py4j", "sklearn", "pandas", "iterstrat", "arff"), "spark"),
    **dict.fromkeys(("keras", "tensorflow", "onnx", "tf2onnx"), "tensorflow"),
    **dict.fromkeys(("pymongo", "bson"), "mongo"),
}
"""Packages of the extras, by their modules' names."""

P = ParamSpec("P")


class CommandLine(typer.Typer):
    """A command line; nothing that it shows, tracebacks and errors of options too, is unescaped."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - those of typer
        super().__init__(rich_markup_mode=None, pretty_exceptions_enable=False, **options)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as typer
        """Run it, and end the process."""
        escape_streams()
        return super().__call__(*args, **kwargs)


def as_job(command: Callable[..., object]) -> CommandLine:
    """The command line of a job, which spark-submit starts: a command alone."""
    app = CommandLine(add_completion=False)
    app.command()(command)
    return app


def say_next(command: str) -> None:
    """Print what to type next, as the last line."""
    print_line(f"next: {command}", err=True)


class _TerminatedError(BaseException):
    """SIGTERM arrived. Not an `Exception`, so that no handler on the way swallows it."""


def entry(function: Callable[P, ExitCode | None], *, resumable: bool = False) -> Callable[P, None]:
    """Wrap a command so that it ends the process with a documented exit code.

    A `RunError`, Ctrl-C or SIGTERM becomes one message on stderr and its exit code. Any other
    exception is a bug and keeps its traceback. A `resumable` command, run again, resumes.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        logging.basicConfig(
            level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        signal.signal(signal.SIGTERM, _raise_terminated)
        interrupted = signal.signal(signal.SIGINT, _raise_interrupted)
        # Looked up now: Ctrl-C may also end spark-submit, through which the terminal is found.
        console, command = open_console(), typed_command()
        try:
            check_minimum_versions("pyarrow")
            _refuse_addresses(kwargs)
            code = function(*args, **kwargs)
        except RunError as error:
            print_line(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from error
        except ModuleNotFoundError as error:
            package = (error.name or "").partition(".")[0]
            if package not in _EXTRAS:
                raise
            advice = f"pip install 'trailergenre[{_EXTRAS[package]}]'"
            print_line(f"error: This needs the package {package}: {advice}", err=True)
            raise typer.Exit(ExitCode.USAGE) from error
        except KeyboardInterrupt:
            code = ExitCode.INTERRUPTED
        except _TerminatedError:
            code = ExitCode.TERMINATED
        finally:
            signal.signal(signal.SIGINT, interrupted)
        if code in {ExitCode.INTERRUPTED, ExitCode.TERMINATED}:
            hint = f" Finished work is kept. To resume, run: {command}" if resumable else ""
            console.print(f"\nstopped.{hint}")
        raise typer.Exit(code or ExitCode.FINISHED)

    return wrapped


def resumable_entry(function: Callable[P, ExitCode | None]) -> Callable[P, None]:
    """`entry` for a job that resumes when its command is run again."""
    return entry(function, resumable=True)


def _refuse_addresses(arguments: Mapping[str, object]) -> None:
    """Refuse an address in place of a local path, without its text: it may hold keys."""
    for name, value in arguments.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Path) and re.match("[a-z0-9]+:/", str(each), re.IGNORECASE):
                option = f"--{name.replace('_', '-')}"
                raise ConfigError(f"{option} takes a local path, not an address.")


def _raise_interrupted(signum: int, frame: FrameType | None) -> NoReturn:
    # Children and Spark's jobs need a moment to end.
    print_line("stopping ...", err=True)
    raise KeyboardInterrupt


def _raise_terminated(signum: int, frame: FrameType | None) -> NoReturn:
    raise _TerminatedError

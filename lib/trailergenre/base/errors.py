"""Every exception of the package, and the exit codes that jobs and commands end with.

TrailergenreError
├── ItemError            one link is bad: becomes a row with an outcome and a reason
└── RunError             the run is bad: becomes a non-zero exit
    ├── ConfigError      a setting, an option or an input table cannot be used
    ├── ToolMissingError a program that the run needs is not there
    ├── WeightsError     network weights cannot be had or do not fit
    ├── SchemaError      a table has not the columns it must have
    ├── AlignmentError   labels disagree with the metadata
    ├── LeakError        a movie or link is in training and in test
    ├── BundleError      a model bundle is broken or made for something else
    ├── FingerprintError going on would request finished links again
    ├── StorageError     an address cannot be read, written or seen by every worker
    ├── LockedError      another run writes to the same output
    └── ClusterError     a worker could not do its part
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trailergenre.base.outcomes import Outcome

DETAIL_MAX_CHARS = 300
"""Longest `detail` of an outcome row."""


class ExitCode(IntEnum):
    """What a job or command tells its caller."""

    FINISHED = 0
    """The run finished; bad links are rows, not failures."""
    VERIFY_FAILED = 1
    """`verify` found something wrong."""
    USAGE = 2
    """Usage, configuration or environment; or the one link of `score` is bad."""
    LOCKED = 3
    """Another run holds the output."""
    INCOMPLETE = 4
    """Deferred links are left, run again; or MongoDB refused documents, which are named."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; a job that can go on says so."""
    PIPE_CLOSED = 141
    """Whoever read the answer went away, as `head` does; what SIGPIPE makes of other programs."""
    TERMINATED = 143
    """Stopped by SIGTERM; a job that can go on says so."""


class TrailergenreError(Exception):
    """Root of the package's exceptions."""


class ItemError(TrailergenreError):
    """One link is bad. Caught at the edge of a chunk and turned into an outcomes row."""

    def __init__(
        self, outcome: Outcome, detail: str, *, retry_after_s: float | None = None
    ) -> None:
        """Keep the class and a one-line reason.

        Args:
            outcome: the class that the row gets.
            detail: what was wrong, for a person; cut to one line of 300 characters.
            retry_after_s: seconds that the server asked to wait, where it did.
        """
        self.outcome = outcome
        self.text = detail  # whole, for whoever must find something in it
        self.detail = one_line(detail)
        self.retry_after_s = retry_after_s
        self.attempts = 1
        self.connections: tuple[str, ...] = ()
        self.asked_at_s: float | None = None
        super().__init__(f"{outcome}: {self.detail}")

    def __reduce__(self) -> tuple[type[ItemError], tuple[Outcome, str]]:
        """Survive the way from a child process or a Spark worker."""
        return (type(self), (self.outcome, self.detail))


class RunError(TrailergenreError):
    """The run cannot go on. Printed as one message; the process ends with `exit_code`."""

    exit_code = ExitCode.USAGE

    def __init__(self, problem: str, remedy: str = "") -> None:
        """Keep what a message consists of.

        Args:
            problem: what was wrong, and what was received.
            remedy: what to do, where `doctor` tells it by itself; else it stands in `problem`.
        """
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem} {remedy}".rstrip())


class ConfigError(RunError):
    """A setting, an option or an input table cannot be used."""


class ToolMissingError(RunError):
    """A program that the run needs is missing or is another version than the driver's."""


class WeightsError(RunError):
    """Network weights cannot be had or do not fit the network."""


class SchemaError(RunError):
    """A table has not the columns and types it must have."""


class AlignmentError(RunError):
    """Labels disagree with the metadata they should come from."""


class LeakError(RunError):
    """A movie or a link stands in the training and in the test part."""


class BundleError(RunError):
    """A model bundle is broken, or was made for another backbone or sampling."""


class FingerprintError(RunError):
    """The settings changed and going on would request finished links again."""


class StorageError(RunError):
    """An address cannot be read or written, or not every worker sees it."""


class LockedError(RunError):
    """Another run writes to the same output."""

    exit_code = ExitCode.LOCKED


class ClusterError(RunError):
    """A worker could not do its part; carries the worker's own message."""


def one_line(text: str, limit: int = DETAIL_MAX_CHARS) -> str:
    r"""Fold text to one printable line.

    >>> one_line("a\n  b\x1b[31m")
    'a b [31m'
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    folded = " ".join(printable.split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"

"""Every exception of the package, and the exit codes of jobs and commands."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trailergenre.base.outcomes import Outcome

DETAIL_MAX_CHARS = 300
"""Longest `detail` of an outcomes row."""


class ExitCode(IntEnum):
    """Exit code of a job or command."""

    FINISHED = 0
    """The run finished; failed links are rows, not failures."""
    VERIFY_FAILED = 1
    """`verify` found damage, or `backbone check` other features."""
    USAGE = 2
    """Usage, configuration or environment is wrong; or the one link of `score` failed."""
    LOCKED = 3
    """Another run writes to the output."""
    INCOMPLETE = 4
    """Links are deferred: run again. Or MongoDB refused documents, which are named."""
    INTERRUPTED = 130
    """Stopped by Ctrl-C; a job that can be resumed says so."""
    PIPE_CLOSED = 141
    """The output pipe was closed, as by `head`; as SIGPIPE ends other programs."""
    TERMINATED = 143
    """Stopped by SIGTERM; a job that can be resumed says so."""


class TrailergenreError(Exception):
    """Base class of the package's exceptions."""


class ItemError(TrailergenreError):
    """One link failed: `outcome` is its class, `detail` the reason in one line."""

    def __init__(
        self,
        outcome: Outcome,
        detail: str,
        *,
        retry_after_s: float | None = None,
        leads_to: str | None = None,
    ) -> None:
        """Shorten `detail` to one line.

        Args:
            outcome: of the link.
            detail: the reason.
            retry_after_s: what the server asked to wait.
            leads_to: a host with a pace, whose turn the link must wait for; it was not asked.
        """
        self.outcome = outcome
        self.text = detail  # in full, to be searched
        self.detail = one_line(detail)
        self.retry_after_s = retry_after_s
        self.leads_to = leads_to
        self.attempts = 1
        self.connections: tuple[str, ...] = ()
        self.asked_at_s: float | None = None
        super().__init__(f"{outcome}: {self.detail}")

    def __reduce__(self) -> tuple[type[ItemError], tuple[Outcome, str]]:
        """Pickle it, for child processes and Spark workers."""
        return (type(self), (self.outcome, self.detail))


class RunError(TrailergenreError):
    """The run cannot continue, and ends with `exit_code`. `doctor` shows the remedy apart."""

    exit_code = ExitCode.USAGE

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem} {remedy}".rstrip())


class ConfigError(RunError):
    """A setting, an option or an input table cannot be used."""


class ForeignFileError(ConfigError):
    """A file that this package did not write lies where an output belongs.

    The rule of all outputs: such a file is neither replaced nor deleted.
    """

    def __init__(self, file: object, instead: str) -> None:
        """Name the file, and what to do if it must stay: `give another --out`."""
        super().__init__(
            f"{file} was not written by trailergenre, and would be replaced or deleted.",
            f"Move it, or {instead}.",
        )


class ToolMissingError(RunError):
    """A required program is missing, or its version differs from the driver's."""


class WeightsError(RunError):
    """Network weights are unavailable or do not fit the network."""


class SchemaError(RunError):
    """A table lacks required columns or types."""


class AlignmentError(RunError):
    """Labels disagree with the metadata they come from."""


class LeakError(RunError):
    """A movie or link is in both the training and the test part."""


class BundleError(RunError):
    """A model bundle is damaged, or was made for another backbone or sampling."""


class FingerprintError(RunError):
    """Settings changed, so that the run would request finished links again."""


class StorageError(RunError):
    """An address cannot be read or written, or some workers cannot reach it."""


class LockedError(RunError):
    """Another run writes to the same output."""

    exit_code = ExitCode.LOCKED


class ClusterError(RunError):
    """A worker failed; carries its message."""


def one_line(text: str, limit: int = DETAIL_MAX_CHARS) -> str:
    r"""Fold text to one printable line.

    >>> one_line("a\n  b\x1b[31m")
    'a b [31m'
    """
    printable = "".join(c if c.isprintable() else " " for c in text)
    folded = " ".join(printable.split())
    return folded if len(folded) <= limit else folded[: limit - 1] + "…"

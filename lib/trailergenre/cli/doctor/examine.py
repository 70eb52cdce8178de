"""Run checks of this machine side by side; `trailergenre doctor` prints what they find."""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from multiprocessing.pool import ThreadPool
from pathlib import Path
from subprocess import SubprocessError

from trailergenre.base.config import Config
from trailergenre.base.errors import RunError, one_line

_DEADLINE_S = 60.0
"""For all checks together; on a sound machine they take a few seconds."""


class Verdict(StrEnum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warning"
    """It works, but not as well as it could."""
    FAILED = "failed"
    """Whatever needs it will fail."""
    NOT_USED = "not used"
    """It is missing, and the configuration does not need it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: what was found (never a secret), and what to do about it."""

    verdict: Verdict
    found: str
    advice: str = ""


Check = Callable[[Config], Finding]


def examine(
    config: Config, checks: Mapping[str, Check], *, deadline_s: float = _DEADLINE_S
) -> Iterator[tuple[str, Finding]]:
    """Run the checks side by side; one that breaks or hangs does not affect the others.

    Args:
        config: what the checks test the machine for.
        checks: by name.
        deadline_s: for all checks together; a check still running then has failed.

    Yields:
        Name and finding of each check, in order, as soon as they are known.
    """
    ends_at = time.monotonic() + deadline_s
    errors: dict[str, BaseException] = {}
    # A ThreadPool's threads are daemons: a check that hangs does not keep the process alive.
    with ThreadPool(len(checks)) as pool:
        running = {
            name: pool.apply_async(
                check, (config,), error_callback=functools.partial(errors.__setitem__, name)
            )
            for name, check in checks.items()
        }
        for name, result in running.items():
            result.wait(max(0.0, ends_at - time.monotonic()))
            if not result.ready():
                yield name, Finding(Verdict.FAILED, f"no answer within {deadline_s:g} s")
            elif name in errors:
                yield name, _explain(errors[name])
            else:
                yield name, result.get()


def _explain(error: BaseException) -> Finding:
    """Describe an error; the text of an unexpected one is left out, as it may hold a secret."""
    if isinstance(error, RunError):
        return Finding(Verdict.FAILED, error.problem, error.remedy)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    is_plain = isinstance(error, OSError | ImportError | SubprocessError)
    text = f": {one_line(str(error))}" if is_plain else ""
    return Finding(
        Verdict.FAILED,
        f"{type(error).__name__}{text} ({Path(frame.filename).name}, line {frame.lineno})",
        "The check itself failed. If nothing is wrong with the machine, report it as a bug.",
    )


def has_failed(findings: Mapping[str, Finding]) -> bool:
    """Whether any check failed."""
    return any(finding.verdict is Verdict.FAILED for finding in findings.values())


def format_finding(name: str, finding: Finding) -> str:
    """Format a finding for the terminal.

    >>> format_finding("disk", Finding(Verdict.OK, "80 GB free"))
    'ok        disk        80 GB free'
    """
    line = f"{finding.verdict:<10}{name:<12}{finding.found}"
    return f"{line}\n{'':<22}-> {finding.advice}" if finding.advice else line

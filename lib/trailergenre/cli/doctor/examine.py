"""Run checks of this machine side by side; `trailergenre doctor` prints what they find."""

from __future__ import annotations

import multiprocessing
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
    WARNING = "warning"  # it works, but not as well as it could
    FAILED = "failed"  # whatever needs it will fail
    NOT_USED = "not used"  # the configuration does not need it


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
    """Run the checks side by side and yield their findings in order, as soon as they are known.

    One that breaks or hangs does not affect the others; one that still runs after `deadline_s` has
    failed.
    """
    ends_at = time.monotonic() + deadline_s
    # A ThreadPool's threads are daemons: a check that hangs does not keep the process alive.
    with ThreadPool(len(checks)) as pool:
        running = {name: pool.apply_async(_run, (check, config)) for name, check in checks.items()}
        for name, result in running.items():
            try:
                yield name, result.get(max(0.0, ends_at - time.monotonic()))
            except multiprocessing.TimeoutError:
                yield name, Finding(Verdict.FAILED, f"no answer within {deadline_s:g} s")


def _run(check: Check, config: Config) -> Finding:
    """Run a check; the text of an unexpected error is left out, as it may hold a secret."""
    try:
        return check(config)
    except RunError as error:
        return Finding(Verdict.FAILED, error.problem, error.remedy)
    except Exception as error:  # noqa: BLE001 - whatever breaks a check is its finding
        frame = traceback.extract_tb(error.__traceback__)[-1]
        is_plain = isinstance(error, OSError | ImportError | SubprocessError)
        text = f": {one_line(str(error))}" if is_plain else ""
        return Finding(
            Verdict.FAILED,
            f"{type(error).__name__}{text} ({Path(frame.filename).name}, line {frame.lineno})",
            "The check itself failed. If nothing is wrong with the machine, report it as a bug.",
        )


def format_finding(name: str, finding: Finding) -> list[str]:
    """Format a finding as lines for the terminal.

    >>> format_finding("disk", Finding(Verdict.OK, "80 GB free"))
    ['ok        disk        80 GB free']
    """
    line = f"{finding.verdict:<10}{name:<12}{finding.found}"
    return [line, f"{'':<22}-> {finding.advice}"] if finding.advice else [line]

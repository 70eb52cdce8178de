"""What this machine has and lacks, found out by trying it: `trailergenre doctor`.

Each check tries one thing as the work itself would do it. Knows nothing of runs.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.pool import ThreadPool
from pathlib import Path
from subprocess import SubprocessError

from trailergenre.base.config import Config
from trailergenre.base.errors import RunError, one_line
from trailergenre.cli.doctor.children import check_ffmpeg, check_javascript, check_sandbox
from trailergenre.cli.doctor.finding import Finding, Verdict
from trailergenre.cli.doctor.network import check_engine, check_gpu, check_weights
from trailergenre.cli.doctor.packages import (
    check_java,
    check_packages,
    check_spark,
    check_tensorflow,
)
from trailergenre.cli.doctor.places import check_disk, check_mongodb

__all__ = ["CHECKS", "Finding", "Verdict", "examine", "has_failed", "to_lines"]

CHECKS: Mapping[str, Callable[[Config], Finding]] = {
    "packages": check_packages,
    "java": check_java,
    "spark": check_spark,
    "tensorflow": check_tensorflow,
    "ffmpeg": check_ffmpeg,
    "javascript": check_javascript,
    "sandbox": check_sandbox,
    "weights": check_weights,
    "engine": check_engine,
    "gpu": check_gpu,
    "mongodb": check_mongodb,
    "disk": check_disk,
}

_DEADLINE_S = 60.0
"""Of all checks together; a sound machine needs some seconds."""


def examine(
    config: Config,
    checks: Mapping[str, Callable[[Config], Finding]] = CHECKS,
    *,
    deadline_s: float = _DEADLINE_S,
) -> Iterator[tuple[str, Finding]]:
    """Run the checks side by side; none that breaks or hangs keeps the others' findings back.

    Args:
        config: what is to be used.
        checks: by name.
        deadline_s: for all of them; which has not ended by then has failed.

    Yields:
        Name and finding, in order, as soon as they are known.
    """
    ends_at = time.monotonic() + deadline_s
    errors: dict[str, BaseException] = {}
    # Nobody waits for its threads at the end, however long a dead file server lets them hang.
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
    """What broke a check; the text of an error that nobody foresaw may hold anything."""
    if isinstance(error, RunError):
        return Finding(Verdict.FAILED, error.problem, error.remedy)
    place = traceback.extract_tb(error.__traceback__)[-1]
    is_plain = isinstance(error, OSError | ImportError | SubprocessError)
    told = f": {one_line(str(error))}" if is_plain else ""
    return Finding(
        Verdict.FAILED,
        f"{type(error).__name__}{told} ({Path(place.filename).name}, line {place.lineno})",
        "This is no finding but a check that broke. If it is not the machine, report it.",
    )


def has_failed(findings: Mapping[str, Finding]) -> bool:
    """Whether something cannot work."""
    return any(finding.verdict is Verdict.FAILED for finding in findings.values())


def to_lines(name: str, finding: Finding) -> list[str]:
    """A finding for people.

    >>> to_lines("disk", Finding(Verdict.OK, "80 GB free"))
    ['ok        disk        80 GB free']
    """
    lines = [f"{finding.verdict:<10}{name:<12}{finding.found}"]
    return [*lines, f"{'':<22}-> {finding.advice}"] if finding.advice else lines

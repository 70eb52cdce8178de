"""The machine: what it is, and whether anybody else uses it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil

CORES = len(os.sched_getaffinity(0))
BUSY_CORES = 0.15
"""An idle machine's own services stay below."""
_LOOK_S = 3.0


def others_cores() -> float:
    """Cores that others use while this program and its children rest."""
    return float(psutil.cpu_percent(interval=_LOOK_S)) / 100 * (psutil.cpu_count() or 1)


def describe() -> str:
    """Cores, processor, Python."""
    return f"{CORES} cores, {_processor()}, Python {platform.python_version()}"


def stamp(*, others: float) -> dict[str, Any]:
    """Where and when a figure was measured.

    Args:
        others: cores that others used just before.
    """
    return {
        "machine": describe(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "others_cores": round(others, 2),
        "is_alone": others <= BUSY_CORES,
    }


def _processor() -> str:
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


@cache
def _commit() -> str:
    # Once: what a long run writes must not make its own commit look changed.
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"

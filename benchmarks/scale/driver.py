"""What the driver of `featurize` holds and how long it takes over it, at some number of links.

Each step runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import gc
import json
import pickle
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from scale.made import SETTINGS, make_links, make_outcomes
from trailergenre.base.storage import Store
from trailergenre.features.chunks import split_links
from trailergenre.runs.outcomes_table import OutcomesReader
from trailergenre.runs.plan import plan_links, read_ready_rows
from trailergenre.runs.status import STATUS_COLUMNS, read_status
from trailergenre.videos.pacing import assign_lanes

BENCHMARKS = Path(__file__).resolve().parents[1]
SLOTS = 64
"""Of the cluster that links are dealt to; only the size of parts depends on it."""


def measure_driver(n_links: int) -> dict[str, dict[str, float]]:
    """Make a run of so many links and take every step over it once.

    Returns:
        Step -> its figures; see `_measured`. `files`: what lies on the storage.
    """
    with tempfile.TemporaryDirectory(prefix="trailergenre-scale-") as name:
        store = Store(name)
        make_links(store, n_links)
        found = {step: _run(step, name) for step in ("plan a new run", "deal the links")}
        make_outcomes(store, n_links)
        found |= {step: _run(step, name) for step in STEPS if step not in found}
        outcomes = store.list_files(f"outcomes/{SETTINGS.fingerprint}")
        sizes = [file.size_bytes for file in outcomes]
        links = store.list_files("links")[0].size_bytes
        found["files"] = {"outcomes": len(sizes), "bytes": sum(sizes), "links_bytes": links}
    return found


def _run(step: str, run: str) -> dict[str, float]:
    command = [sys.executable, "-m", "scale.driver", step, run]
    done = subprocess.run(command, cwd=BENCHMARKS, stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _plan(store: Store) -> object:
    return plan_links(store, SETTINGS, frozenset(), recompute=False)


def _deal(store: Store) -> object:
    links = plan_links(store, SETTINGS, frozenset(), recompute=False).todo
    _, rest = assign_lanes(links, {}, n_slots=SLOTS)
    return [pickle.dumps(part) for part in split_links(rest, SLOTS)]


def _list(store: Store) -> object:
    return store.list_files(f"outcomes/{SETTINGS.fingerprint}")


def _look(store: Store) -> object:
    ready = read_ready_rows(store, ["link_id", "row_outcome"])["link_id"].combine_chunks()
    outcomes = OutcomesReader(store, SETTINGS.fingerprint, STATUS_COLUMNS)
    return ready, read_status(outcomes, ready), outcomes


def _look_again(store: Store) -> Callable[[], object]:
    ready, _, outcomes = _look(store)  # type: ignore[misc]
    return lambda: (ready, read_status(outcomes, ready), outcomes)


STEPS: dict[str, Callable[[Store], Any]] = {
    "plan a new run": _plan,
    "deal the links": _deal,
    "plan a finished run": _plan,
    "list the outcomes": _list,
    "look at progress first": _look,
    "look at progress again": _look_again,
}


def _measured(work: Callable[[], object]) -> dict[str, float]:
    """Wall and CPU seconds; bytes that it took at its most, and that it still holds at its end."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    started, cpu = time.monotonic(), time.process_time()
    held = work()
    seconds, cpu_s = time.monotonic() - started, time.process_time() - cpu
    gc.collect()
    after = psutil.Process().memory_info().rss
    # Not getrusage's maximum, which begins with that of whoever started this process.
    peak = 1024 * int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])
    del held
    return {
        "wall_s": seconds,
        "cpu_s": cpu_s,
        "peak_bytes": peak - before,
        "held_bytes": after - before,
    }


def main() -> None:
    """Take one step over one run."""
    step, store = sys.argv[1], Store(sys.argv[2])
    prepared = STEPS[step](store) if step == "look at progress again" else None
    figures = _measured(prepared if prepared else lambda: STEPS[step](store))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()

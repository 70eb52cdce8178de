"""Memory and time of the import of external features as large as Trailers15k.

    python benchmarks/external_memory.py                   15,000 arrays of (150, 2048): 18 GB
    python benchmarks/external_memory.py --movies 500

The set has Trailers15k's layout. The frames of an array are its first one times a factor, so that
set and run take little of the disk; each is unpacked, sent and committed like any other. Prints one
line of JSON: the peak of the importing process, and that of the child that reads the arrays.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from reproduce.made import GENRES, MadeMovies, write_trailers15k

from trailergenre.base.config import Config
from trailergenre.base.storage import Store
from trailergenre.links.prepare import Sources, prepare_dataset

FRAMES, WIDTH = 150, 2048


def main(
    movies: Annotated[int, typer.Option(help="Arrays.")] = 15_000,
    run: Annotated[Path | None, typer.Option(help="Import into this run; for the child.")] = None,
) -> None:
    """Make the set, import it in a process of its own, and remove both."""
    if run is not None:
        print(json.dumps(import_set(run)))
        return
    with tempfile.TemporaryDirectory(prefix="trailergenre-bench-") as name:
        started = time.monotonic()
        write_trailers15k(Path(name) / "set", make_set(movies))
        made_s = time.monotonic() - started
        words = [sys.executable, __file__, "--run", str(Path(name) / "run")]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    where = {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}",
        "load average": round(os.getloadavg()[1], 1),
    }
    print(json.dumps(where | {"arrays": movies, "made_s": round(made_s)} | found))


class _Arrays(tuple[np.ndarray, ...]):
    """Arrays that are made when they are read."""

    __slots__ = ()

    def __getitem__(self, row: int) -> np.ndarray:  # type: ignore[override]
        first = np.random.default_rng(row).random(WIDTH, np.float32)
        return (1 + np.arange(FRAMES, dtype=np.float32)[:, None] // 50) * first


def make_set(n_movies: int) -> MadeMovies:
    """Movies of random labels and parts."""
    random = np.random.default_rng(7)
    truth = (random.random((n_movies, len(GENRES))) < 0.3).astype(np.int8)
    truth[:, 0] |= ~truth.any(axis=1)
    parts = random.integers(0, 3, (n_movies, 3)).astype(np.int8)
    names = tuple(f"tt{number:07d}" for number in range(1, n_movies + 1))
    return MadeMovies(names, _Arrays(), truth, parts)


def import_set(run: Path) -> dict[str, object]:
    """Import the set beside the run, and say what it took."""
    started = time.monotonic()
    sources = Sources(external=("trailers15k", run.parent / "set"))
    prepared = prepare_dataset(Store(str(run)), sources, Config())
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    peaks = [resource.getrusage(who).ru_maxrss for who in whose]
    return {
        "by_outcome": prepared.summary["by_outcome"],
        "seconds": round(time.monotonic() - started),
        "peak_gb": round(peaks[0] * 1024 / 1e9, 3),
        "peak_of_child_gb": round(peaks[1] * 1024 / 1e9, 3),
    }


if __name__ == "__main__":
    typer.run(main)

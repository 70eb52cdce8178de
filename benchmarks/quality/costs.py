"""What training costs in time and memory: pooled rows, frame rows, one epoch of the temporal head.

The rows are random numbers, the genres random too: no forest ends early on them. Memory is that of
the whole family of processes, looked at twice a second; the driver is everything but the executors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from quality.commands import REPOSITORY, run_job
from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import LabelledLink
from trailergenre.runs import schemas, tables
from trailergenre.runs.fingerprint import FeatureSettings, write_settings

sys.path.insert(0, str(REPOSITORY / "tests"))
from runs import link_id, outcome_row, write_features, write_labels

N_GENRES = 20
SHARE = 0.15
LINKS_A_FILE = 400
# The driver is a JVM of its own, as on a cluster.
CLUSTER = ("--master", "local-cluster[2,1,3072]", "--conf", "spark.executor.memory=3g")
SMALL_DRIVER = ("--conf", "spark.driver.memory=512m")
"""A heap that may grow fills with garbage before it is swept, and hides what is held."""

POOLED = {
    "sklearn": {
        "forest, scikit-learn": ("--trainer", "sklearn"),
        "logistic, scikit-learn": ("--model", "logistic", "--trainer", "sklearn"),
    },
    "mllib": {"forest, MLlib": ("--trainer", "mllib")},
}
"""The regression by MLlib is left out: its coefficients are scikit-learn's."""
POOLED_LINKS = 4000
FRAME_ROWS = (5_000, 10_000, 20_000)
FRAMES_A_LINK = 25
FEW_TREES = 10
ON_FRAMES = ("--trainer", "mllib", "--rows", "frames", "--set", "forest.parallelism=1")
EPOCH_FRAMES = 600_000


def measure_pooled(trainer: str) -> Callable[[Path], dict[str, Any]]:
    """Train on pooled rows, all genres, by one trainer."""

    def measure(work: Path) -> dict[str, Any]:
        run = Store(str(work / "pooled"))
        # So many that the training part of one fold has POOLED_LINKS; links of no genre are none.
        n_links = round(POOLED_LINKS / (0.8 * 0.9 * (1 - (1 - SHARE) ** N_GENRES)))
        _write_run(run, n_links=n_links, frames=2, n_genres=N_GENRES)
        models = POOLED[trainer].items()
        runs = [_train(name, run, work, own, n_genres=N_GENRES) for name, own in models]
        return {"runs": runs, "notes": []}

    return measure


def measure_frames(work: Path) -> dict[str, Any]:
    """Train forests of a genre and its complement, one by one, on more and more frame rows."""
    runs = []
    for rows in FRAME_ROWS:
        run = _write_frames(work, rows)
        runs.append(_train("forest on frame rows, MLlib", run, work, ON_FRAMES, n_genres=2))
    return {"runs": runs, "notes": _notes(runs)}


def measure_driver(work: Path) -> dict[str, Any]:
    """Train small forests on the two larger numbers of rows: what grows is not the forest."""
    runs = []
    for rows in FRAME_ROWS[1:]:
        run = _write_frames(work, rows)
        options = (*ON_FRAMES, "--set", f"forest.trees={FEW_TREES}")
        name = f"forest of {FEW_TREES} trees on frame rows, MLlib"
        runs.append(_train(name, run, work, options, n_genres=2, spark=SMALL_DRIVER))
    note = (
        "This measures only the driver's peak memory, with a heap of 512 MB to force garbage "
        "collection, and few trees, because the driver writes the forest, which grows with the "
        "rows. The seconds are not a cost."
    )
    return {"runs": runs, "notes": [note]}


def measure_epoch(work: Path) -> dict[str, Any]:
    """Stream one epoch of the temporal head from a table on disk."""
    script = REPOSITORY / "benchmarks" / "temporal_memory.py"
    command = [sys.executable, str(script), "--frames", str(EPOCH_FRAMES)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "TMPDIR": str(work)},
    )
    epoch = json.loads(done.stdout.splitlines()[-1])
    run = {
        "trainer": "temporal head, one epoch, streamed",
        "rows": epoch["frames"],
        "columns": INCEPTION_V3_WIDTH,
        "genres": N_GENRES,
        "seconds": epoch["epoch_s"],
        "memory": f"one process {epoch['peak_resident_bytes'] / 1e9:.2f} GB",
        "peak_bytes": epoch["peak_resident_bytes"],
    }
    note = (
        f"In addition to the epoch: {epoch['scale_s']} s per training for the columns' mean and "
        f"deviation, and {epoch['validation_s']} s per evaluation of the validation links. The "
        f"table has {epoch['table_bytes'] / 1e9:.1f} GB."
    )
    return {"runs": [run], "notes": [note]}


def _train(
    name: str,
    run: Store,
    work: Path,
    options: tuple[str, ...],
    *,
    n_genres: int,
    spark: tuple[str, ...] = (),
) -> dict[str, Any]:
    is_pooled = "frames" not in options
    with _watch_memory() as peak:
        summary = run_job(
            "train_model",
            *(str(run), "--bundle", work / "bundle", *options),
            *("--set", "dataset.min_movies_per_genre=20"),
            spark=(*CLUSTER, *spark) if "mllib" in options else (),
        )
    if len(summary["genres"]) != n_genres:
        raise ConfigError(f"{n_genres} genres were to be trained. Received: {summary['genres']}.")
    n_rows = summary["links"]["train"] * (1 if is_pooled else FRAMES_A_LINK)
    return {
        "trainer": name,
        "rows": n_rows,
        "columns": 3 * INCEPTION_V3_WIDTH if is_pooled else INCEPTION_V3_WIDTH,
        "genres": n_genres,
        "seconds": summary["seconds"],
        "memory": ", ".join(f"{who} {size / 1e9:.1f} GB" for who, size in peak.items() if size),
        "peak_bytes": peak,
    }


def _write_frames(work: Path, rows: int) -> Store:
    run = Store(str(work / f"frames-{rows}"))
    n_links = round(rows / FRAMES_A_LINK / (0.8 * 0.9))
    _write_run(run, n_links=n_links, frames=FRAMES_A_LINK, n_genres=2)
    return run


def _write_run(store: Store, *, n_links: int, frames: int, n_genres: int) -> None:
    rng = np.random.default_rng(7)
    settings = FeatureSettings("made", 1.0, 299, 7, "0" * 64, "fp32")
    write_settings(store, settings)
    names = [f"movie-{number}" for number in range(n_links)]
    rows: list[dict[str, object]] = []
    for start in range(0, n_links, LINKS_A_FILE):
        features = {
            link_id(name): rng.random((frames, INCEPTION_V3_WIDTH), np.float32)
            for name in names[start : start + LINKS_A_FILE]
        }
        named = write_features(store, settings.fingerprint, features)
        rows += [{**outcome_row(link, Outcome.OK, frames=frames), **named} for link in features]
    content = tables.to_parquet(pa.Table.from_pylist(rows, schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{settings.fingerprint}", content, ".parquet")
    genres = [f"Genre {number:02}" for number in range(n_genres)]
    marks = rng.random((n_links, n_genres)) < SHARE
    if n_genres == 2:
        # One and its complement: a link of neither would be left out.
        marks[:, 1] = ~marks[:, 0]
    labels = [
        LabelledLink(
            link_id(name),
            f"tt-{name}",
            frozenset(genre for genre, mark in zip(genres, row, strict=True) if mark),
        )
        for name, row in zip(names, marks, strict=True)
    ]
    write_labels(store, [label for label in labels if label.genres])


@contextmanager
def _watch_memory() -> Iterator[dict[str, int]]:
    """The most resident memory that this process's children had, the driver's and the rest's."""
    peak = {"driver": 0, "executors": 0}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.5):
            sizes = {"driver": 0, "executors": 0}
            for process in psutil.Process().children(recursive=True):
                try:
                    lineage = [process, *process.parents()]
                    is_executor = any("ExecutorBackend" in " ".join(p.cmdline()) for p in lineage)
                    sizes["executors" if is_executor else "driver"] += process.memory_info().rss
                except psutil.Error:
                    continue  # gone since it was listed
            for who, size in sizes.items():
                peak[who] = max(peak[who], size)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _notes(runs: list[dict[str, Any]]) -> list[str]:
    """What follows from the frame rows: how time grows, and how the driver's memory does not."""
    rows = np.array([run["rows"] for run in runs], np.float64)
    seconds = np.array([run["seconds"] for run in runs], np.float64)
    power = float(np.polyfit(np.log(rows), np.log(seconds), 1)[0])
    slope, start = np.polyfit(rows, seconds, 1)
    wanted = 3742 * FRAMES_A_LINK
    drivers = [run["peak_bytes"]["driver"] / 1e9 for run in runs]
    return [
        "Two forests in sequence, for a genre and its complement, including start-up. The seconds "
        f"grow with the rows to the power {power:.2f}; a straight line through the three is "
        f"{start:.0f} s + {slope * 1000:.2f} s per thousand rows, half of the slope for one "
        f"genre. **Extrapolated, not measured**: {wanted:,} rows ({FRAMES_A_LINK} of each of 3,742 "
        f"videos), {start + slope * wanted / 2:.0f} s for one genre.",
        "Peak memory of the driver: " + ", ".join(f"{size:.2f} GB" for size in drivers) + ".",
    ]

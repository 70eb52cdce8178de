"""Memory and time of one epoch of the temporal head, streamed from a features table on disk.

    python benchmarks/temporal_memory.py                   600,000 frames, 5.4 GB on disk
    python benchmarks/temporal_memory.py --frames 20000

The table is random, 2,048 wide; its videos have 60 to 240 frames. A tenth more of them are for
validation. A process of its own trains. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from runs import link_id, outcome_row, write_features
from trailergenre.base.config import TemporalConfig
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.models.temporal.source import FeatureSource, LabelledFrames
from trailergenre.models.temporal.training import fit_temporal
from trailergenre.runs import outcomes_table, schemas, tables

N_GENRES = 20
LENGTHS = (60, 241)
FILE_BYTES = 64_000_000
"""As `chunks.max_bytes`."""
FINGERPRINT = "benchmark"


def main(
    frames: Annotated[int, typer.Option(help="Training frames.")] = 600_000,
    run: Annotated[Path | None, typer.Option(help="Train on this table; for the child.")] = None,
) -> None:
    """Make the table, train for one epoch in a child, and remove the table."""
    if run is not None:
        print(json.dumps(train(run, frames)))
        return
    needed = int(frames * 1.1 * INCEPTION_V3_WIDTH * 4)
    with tempfile.TemporaryDirectory(prefix="trailergenre-bench-") as name:
        if shutil.disk_usage(name).free < 2 * needed:
            raise typer.BadParameter(f"{2 * needed:,} bytes must be free below {name}")
        started = time.monotonic()
        size = write_table(Store(name), int(frames * 1.1))
        print(f"table written in {time.monotonic() - started:.0f} s", file=sys.stderr)
        command = [sys.executable, __file__, "--frames", str(frames), "--run", name]
        child = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    result = json.loads(child.stdout.splitlines()[-1])
    result["table_bytes"] = size
    result["machine"] = f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"
    result["finished_at"] = datetime.now(UTC).isoformat(timespec="seconds")
    print(json.dumps(result))


def write_table(store: Store, frames: int) -> int:
    """Write random features file by file; give their size in bytes."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, object]] = []
    size, written = 0, 0
    while written < frames:
        links: dict[str, np.ndarray] = {}
        while written < frames and sum(part.nbytes for part in links.values()) < FILE_BYTES:
            length = min(int(rng.integers(*LENGTHS)), frames - written)
            links[link_id(str(written))] = rng.standard_normal(
                (length, INCEPTION_V3_WIDTH), np.float32
            )
            written += length
        named = write_features(store, FINGERPRINT, links)
        size += int(str(named["features_bytes"]))
        rows += [
            {**outcome_row(link, Outcome.OK, frames=len(part)), **named}
            for link, part in links.items()
        ]
    content = tables.to_parquet(pa.Table.from_pylist(rows, schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{FINGERPRINT}", content, ".parquet")
    return size


@dataclass
class Watched:
    """A source that remembers when it was asked, and how many frames it gave the last time."""

    source: FeatureSource
    asked_at: list[float] = field(default_factory=list)
    frames: int = 0

    def stream(self, seed: int) -> Iterator[LabelledFrames]:
        """Give what the source gives."""
        self.asked_at.append(time.monotonic())
        self.frames = 0
        for labelled in self.source.stream(seed):
            self.frames += len(labelled[0].features)
            yield labelled


def train(run: Path, frames: int) -> dict[str, object]:
    """Train for one epoch; give seconds and the peak of the resident memory."""
    store = Store(str(run))
    outcomes = outcomes_table.read_outcomes(store, FINGERPRINT)
    lengths = np.array(outcomes["frames"].to_pylist())
    is_training = np.cumsum(lengths) <= frames
    ids = np.array(outcomes["link_id"].to_pylist(), dtype=object)
    truth = (np.random.default_rng(7).random((len(ids), N_GENRES)) < 0.15).astype(np.int8)
    training, validation = (
        Watched(FeatureSource(store, outcomes, ids[rows].tolist(), truth[rows]))
        for rows in (is_training, ~is_training)
    )
    ended_at: list[float] = []
    started = time.monotonic()
    fit_temporal(
        training,
        validation,
        TemporalConfig(max_epochs=1),
        lambda done, total, label="": ended_at.append(time.monotonic()),
    )
    return {
        "frames": training.frames,
        "links": int(is_training.sum()),
        "scale_s": round(training.asked_at[1] - started, 1),
        "epoch_s": round(validation.asked_at[0] - training.asked_at[1], 1),
        "validation_s": round(ended_at[0] - validation.asked_at[0], 1),
        "peak_resident_bytes": peak_resident_bytes(),
    }


def peak_resident_bytes() -> int:
    """Of this process; `getrusage` would count the parent's at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


if __name__ == "__main__":
    typer.run(main)

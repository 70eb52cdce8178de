"""Speed as ratios within one run: ours against the machine's bound and the original's way.

    make bench              all goals, about 10 minutes on 2 cores
    make bench GOAL=B1      one goal

Prints a table and writes benchmarks/out/latest.json. Start-up (Java, loading the network) is in no
figure. Everything is taken in turns, bound, ours, original, bound, ours, ...; medians are quoted.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from fixtures import CLIP_S, export_backbone_once, make_clips, write_run
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from trailergenre.backbone import read_manifest
from trailergenre.chunks import ChunkSettings
from trailergenre.config import BackboneConfig, Config, LinksConfig
from trailergenre.decode import ffmpeg_major
from trailergenre.spark.featurize import TaskSettings, featurize_links
from trailergenre.storage import Store
from trailergenre.stream import stream_settings

RUNS = 3
HERE = Path(__file__).resolve().parent
CORES = len(os.sched_getaffinity(0))

GOALS = {
    "B1": ("nothing kept, fp32, local files: frames/s over the bound", 0.95, 0.85),
    "B2": ("the same over the original's way", 2.7, 2.3),
}

console = Console(stderr=True, soft_wrap=True)


@dataclass(frozen=True)
class Turn:
    """One turn of everything that is compared, in frames per second.

    Attributes:
        bound: cores / (decode + inference CPU seconds a frame).
        ours: the stage on Spark.
        original: PNG files and one `predict` a frame; None where it is not asked for.
    """

    bound: float
    ours: float
    original: float | None


def main(
    goal: Annotated[str | None, typer.Argument(help=f"One of {', '.join(GOALS)}.")] = None,
) -> None:
    """Measure and print."""
    if goal is not None and goal not in GOALS:
        raise typer.BadParameter(f"no goal {goal!r}; there are {', '.join(GOALS)}")
    wanted = [goal] if goal else list(GOALS)
    with tempfile.TemporaryDirectory(prefix="trailergenre-bench-") as name:
        work = Path(name)
        console.print("making six clips of 150 s and the network ...")
        clips = make_clips(work / "clips")
        backbone = export_backbone_once(work / "backbone")
        turns = _take_turns(work, clips, backbone, with_original="B2" in wanted)
    _report(wanted, turns)


def _take_turns(
    work: Path, clips: Sequence[Path], backbone: Path, *, with_original: bool
) -> list[Turn]:
    turns = []
    with _session(work) as spark:
        # The first job starts the Python workers and loads the network in each.
        _featurize(spark, work / "warm", clips[:CORES], backbone)
        for number in range(RUNS):
            bound = _bound(clips[0], backbone)
            ours = _featurize(spark, work / f"run-{number}", clips, backbone)
            original = _original(clips[0], backbone) if with_original else None
            turns.append(Turn(bound, ours, original))
            console.print(f"turn {number + 1} of {RUNS}: {turns[-1]}", markup=False)
    return turns


def _session(work: Path) -> SparkSession:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    spark = (
        SparkSession.builder.master(f"local[{CORES}]")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.warehouse.dir", str(work / "warehouse"))
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _featurize(spark: SparkSession, run: Path, clips: Sequence[Path], backbone: Path) -> float:
    """The stage as jobs/featurize.py runs it; frames per second of wall time."""
    store = Store(str(run))
    links = write_run(store, clips)
    config = Config(links=LinksConfig(allowed_roots=(str(clips[0].parent),)))
    settings = TaskSettings(
        chunk=ChunkSettings(store, "bench", stream_settings(config), config.chunks),
        backbone=BackboneConfig(path=str(backbone)),
        backbone_id=read_manifest(backbone).backbone_id,
        ffmpeg_major=ffmpeg_major(),
        hosts={},
        fault=None,
    )
    started = time.monotonic()
    featurize_links(spark, links, settings)
    return len(clips) * CLIP_S / (time.monotonic() - started)


def _bound(clip: Path, backbone: Path) -> float:
    """Decode and inference alone, a process a core side by side, in CPU seconds a frame."""
    cpu_s = _run_side_by_side("bare.py", str(clip), str(backbone))
    return CORES / statistics.mean(cpu_s)


def _original(clip: Path, backbone: Path) -> float:
    """The original's way has the machine to itself, as it had."""
    return _run_alone("original_way.py", str(clip), str(backbone))


def _run_alone(script: str, *arguments: str) -> float:
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments], stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout.split()[-1])


def _run_side_by_side(script: str, *arguments: str) -> list[float]:
    command = [sys.executable, str(HERE / script), *arguments]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(CORES)]
    outputs = [process.communicate()[0] for process in processes]
    return [float(output.split()[-1]) for output in outputs]


def _report(wanted: Sequence[str], turns: Sequence[Turn]) -> None:
    ratios = {
        "B1": [turn.ours / turn.bound for turn in turns],
        "B2": [turn.ours / turn.original for turn in turns if turn.original],
    }
    result: dict[str, object] = {
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{CORES} cores, {_cpu()}, Python {platform.python_version()}",
        "frames_per_s": {
            "bound": statistics.median(turn.bound for turn in turns),
            "ours": statistics.median(turn.ours for turn in turns),
            "original": statistics.median(t.original for t in turns if t.original)
            if "B2" in wanted
            else None,
        },
    }
    table = Table("goal", "what", "median", "min", "max", "goal", "floor", "reached")
    for name in wanted:
        what, goal, floor = GOALS[name]
        values = ratios[name]
        value = statistics.median(values)
        reached = "goal" if value >= goal else "floor" if value >= floor else "NO"
        figures = [f"{figure:.2f}" for figure in (value, min(values), max(values), goal, floor)]
        table.add_row(name, what, *figures, reached)
        result[name] = {"value": value, "goal": goal, "floor": floor, "runs": values}
    Console().print(table)
    out = HERE / "out"
    out.mkdir(exist_ok=True)
    (out / "latest.json").write_text(json.dumps(result, indent=2) + "\n")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


if __name__ == "__main__":
    typer.run(main)

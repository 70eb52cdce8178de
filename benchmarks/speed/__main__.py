"""How fast the project is, as ratios measured within one run.

    make bench               every goal, about 53 minutes on 2 cores, on a machine at rest
    make bench GOAL=B5       one goal; B11, on a GPU, only so
    make bench GOAL=quick    a look in under 3 minutes; its figures are none for the README
    make bench GOAL=B4 WEIGHTS=PATH    with these weights of Inception-V3 in place of random ones

Prints a table and writes benchmarks/out/latest.json, one key a goal; running one goal replaces its
own keys alone. `quick` writes benchmarks/out/quick.json. What is compared works in turns, A B A B;
medians are quoted, and start-up (Java, loading networks) is in no figure but the scorer's. Exit
code 1: a floor was missed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from speed.children import BENCHMARKS
from speed.findings import render_findings, write_findings
from speed.inputs import Inputs
from speed.machine import BUSY_CORES, others_cores, stamp
from speed.parts import ASKED_FOR, PARTS, QUICK, Part

OUT = BENCHMARKS / "out"
REPOSITORY = BENCHMARKS.parent
GOALS = [goal for part in (*PARTS, *ASKED_FOR) for goal in part.goals]

console = Console(stderr=True, soft_wrap=True)


def main(
    goal: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(GOALS)}, or quick.")
    ] = None,
    weights: Annotated[str, typer.Option(help="random, or a file of Inception-V3's.")] = "random",
) -> None:
    """Measure, write and print."""
    _prepare_environment()
    is_quick = goal == "quick"
    if goal is not None and not is_quick and goal not in GOALS:
        raise typer.BadParameter(f"no goal {goal!r}; there are {', '.join(GOALS)}, and quick")
    wanted = _choose(goal)
    minutes = sum(part.minutes for part, _ in wanted)
    console.print(f"This takes about {minutes:g} minutes on 2 cores that nobody else uses.")
    out = OUT / ("quick.json" if is_quick else "latest.json")
    if is_quick:
        out.unlink(missing_ok=True)
    keys = _measure(wanted, out, weights)
    record = json.loads(out.read_text())
    print(render_findings(record, keys))
    if is_quick:
        console.print("[bold]NOT FOR THE README[/bold]: short clips, few turns.")
    elif any(record[key]["reached"] == "NO" for key in keys):
        raise typer.Exit(1)


def _prepare_environment() -> None:
    """Sessions of this process are the jobs': local, silent, on loopback."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    properties = REPOSITORY / "conf" / "spark-local.conf"
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", f"--properties-file {properties} pyspark-shell")
    os.chdir(REPOSITORY)


def _choose(goal: str | None) -> list[tuple[Part, list[str]]]:
    """The parts to measure, and which of their goals."""
    if goal in (None, "quick"):
        return [(part, list(part.goals)) for part in (PARTS if goal is None else QUICK)]
    return [(part, [goal]) for part in (*PARTS, *ASKED_FOR) if goal in part.goals]


def _measure(wanted: list[tuple[Part, list[str]]], out: Path, weights: str) -> list[str]:
    """Measure part by part; what is found is written at once. Gives the keys."""
    keys = []
    before = _look_for_others()
    with tempfile.TemporaryDirectory(prefix="trailergenre-bench-") as name:
        inputs = Inputs(Path(name), weights)
        for part, goals in wanted:
            started = time.monotonic()
            console.print(f"{', '.join(goals)} ...")
            found = part.measure(inputs, goals)
            seconds = round(time.monotonic() - started)
            after = _look_for_others()
            where = stamp(others=max(before, after)) | {
                "seconds": seconds,
                "weights": Path(weights).name,
            }
            before = after
            keys += list(found)
            write_findings(out, goals, found, where)
    return keys


def _look_for_others() -> float:
    """Cores that others use now, while nothing of ours runs; a loud line where it is much."""
    others = others_cores()
    if others > BUSY_CORES:
        line = f"OTHERS USE {others:.1f} CORES: figures beside other work are no figures."
        console.print(f"[bold red]{line}[/bold red]")
    return others


if __name__ == "__main__":
    typer.run(main)

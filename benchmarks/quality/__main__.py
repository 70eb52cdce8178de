"""How good the models are, and what they cost: measured by the project's own commands.

    make quality                 the goals G0 to G3, about 25 minutes on 2 cores
    make quality PART=trailers   one part
    make quality PART=costs      time and memory of the trainers, about an hour

Writes benchmarks/out/quality.json (one key a goal: value, goal, holds; and every part's figures)
and docs/quality.md, which shows what the last run of each part found.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from quality.commands import REPOSITORY
from quality.costs import measure_driver, measure_epoch, measure_frames, measure_pooled
from quality.curve import measure_curve
from quality.exported import measure_exported
from quality.goals import check_goals
from quality.labels import measure_labels
from quality.page import render_page
from quality.scene import measure_scene
from quality.trailers import measure_imdb_trailers, measure_trailers

OUT = REPOSITORY / "benchmarks" / "out" / "quality.json"
PAGE = REPOSITORY / "docs" / "quality.md"

PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "labels": measure_labels,
    "scene": measure_scene,
    "trailers": measure_trailers,
    "imdb": measure_imdb_trailers,
    "curve": measure_curve,
    "exported": measure_exported,
    "costs-sklearn": measure_pooled("sklearn"),
    "costs-mllib": measure_pooled("mllib"),
    "costs-frames": measure_frames,
    "costs-driver": measure_driver,
    "costs-epoch": measure_epoch,
}

console = Console(stderr=True, soft_wrap=True)


def main(
    part: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(PARTS)}, or costs.")
    ] = None,
) -> None:
    """Measure, write and print."""
    # A session of this process is the jobs': local, silent, on loopback.
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    properties = REPOSITORY / "conf" / "spark-local.conf"
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", f"--properties-file {properties} pyspark-shell")
    os.chdir(REPOSITORY)
    if not (names := _chosen(part)):
        raise typer.BadParameter(f"no part {part!r}; there are {', '.join(PARTS)}")
    record = json.loads(OUT.read_text()) if OUT.exists() else {"parts": {}}
    with tempfile.TemporaryDirectory(prefix="trailergenre-quality-") as name:
        for number, wanted in enumerate(names, start=1):
            console.print(f"{number}/{len(names)} {wanted} ...")
            found = PARTS[wanted](Path(name))
            record["parts"][wanted] = _where_and_when() | found
            record["goals"] = check_goals(record["parts"])
            OUT.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
            PAGE.write_text(render_page(record))
    _show(record["goals"])
    now = check_goals({wanted: record["parts"][wanted] for wanted in names})
    if not all(goal["holds"] for goal in now.values()):
        raise typer.Exit(1)


def _chosen(part: str | None) -> list[str]:
    """The parts that a word means: costs are all of theirs; no word is all but costs."""
    if part is None:
        return [name for name in PARTS if not name.startswith("costs")]
    return [name for name in PARTS if part in (name, name.partition("-")[0])]


def _where_and_when() -> dict[str, str]:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": commit.stdout.strip() or "unknown",
        "machine": f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, "
        f"{platform.system()}, load average over 15 minutes {os.getloadavg()[2]:.1f}",
    }


def _show(goals: dict[str, dict[str, Any]]) -> None:
    table = Table(title="goals")
    for heading in ("", "what", "value", "goal", "holds"):
        table.add_column(heading)
    for key, goal in goals.items():
        cells = (f"{goal['value']:.4g}", f"{goal['sign']} {goal['goal']:g}")
        table.add_row(key, goal["what"], *cells, "yes" if goal["holds"] else "NO")
    console.print(table)


if __name__ == "__main__":
    typer.run(main)

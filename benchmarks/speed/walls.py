"""S4: what each command's driver takes over made links; LINKS in the environment says how many."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Collection
from pathlib import Path

from speed.children import run_alone
from speed.findings import Finding, Findings
from speed.inputs import Inputs
from speed.machine import CORES
from speed.made_run import LINKS_A_FILE, WIDTH, make_outcomes
from trailergenre.base.storage import Store
from trailergenre.runs.compaction import compact_outcomes

LINKS = int(os.environ.get("LINKS", "20000"))
GENRES = ("Action", "Comedy", "Drama", "Horror")


def measure_walls(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Take every command over a run once.

    Args:
        inputs: where runs are made.
        wanted: S4.
    """
    work = inputs.directory("walls")
    run, bundle = str(work / "run"), str(work / "bundle")
    listed = _write_list(work / "links.csv")
    spark = ("--master", f"local[{CORES}]")
    model = ("--bundle", bundle)
    small = ("forest.trees=3", "forest.max_depth=4", 'rows.statistics=["mean"]')
    settings = [word for setting in small for word in ("--set", setting)]
    commands = {
        "prepare": ("prepare", run, "--links", str(listed)),
        "status": ("status", run),
        "report": ("report", run),
        "verify, 100 files": ("verify", run, "--sample", "100"),
        "train, scikit-learn": ("train", run, *model, "--trainer", "sklearn", *settings),
        "predict": ("predict", run, *model, *spark),
        "evaluate": ("evaluate", run, *model, *spark),
        "verify, all files": ("verify", run, *spark),
    }
    for table in ("links", "outcomes", "scores"):
        out = str(work / f"exported-{table}.csv")
        commands[f"export {table}"] = ("export", run, table, "--out", out)
    figures: dict[str, object] = {"links": LINKS, "links_a_file": LINKS_A_FILE, "width": WIDTH}
    peaks, status_s = [], 0.0
    for name, words in commands.items():
        found = run_alone("speed.command", *words)
        if found["code"]:
            raise RuntimeError(f"{name} ended with {found['code']}")
        figures[name] = found
        print(name, found, flush=True)
        peaks.append(found["peak_gb"])
        if name == "prepare":
            files = make_outcomes(Store(run))
            figures["status, not merged"] = run_alone("speed.command", *commands["status"])
            started = time.process_time()
            compact_outcomes(Store(run), files.fingerprint)
            figures["merge"] = {"cpu_s": round(time.process_time() - started, 1)}
        if name == "status":
            status_s = found["cpu_s"]
    at = f"{LINKS:,} links"
    return {
        "S4": Finding(f"highest peak of a driver, GB, {at}", [max(peaks)], 2, 4, False, figures),
        "S4 status": Finding(f"CPU seconds of status, {at}", [status_s], 20, 40, False),
    }


def _write_list(path: Path) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("url", "title", "genres"))
        for number in range(LINKS):
            genre = GENRES[number % len(GENRES)]
            url = f"https://media.example.org/trailers/{number:08}.mp4"
            writer.writerow((url, f"The Title of Movie {number}", genre))
    return path

"""B6: `trailergenre score` on a local clip, as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

import psutil

from speed.children import BENCHMARKS, run_alone
from speed.findings import Finding, Findings, medians, take_turns
from speed.inputs import Inputs
from trailergenre.base.storage import Store

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))
from bundles import make_bundle, manifest_for

START_UP_S = 2.0
"""What starting may take beside the work."""
HEAVY = ("pyspark", "py4j", "tensorflow", "keras")


def measure_score(
    inputs: Inputs, wanted: Collection[str], *, turns: int = 3, clip_s: int = 30
) -> Findings:
    """Score a clip and do its decoding and inference alone in turns.

    Args:
        inputs: where clips and networks come from.
        wanted: B6.
        turns: of each.
        clip_s: seconds of the clip.
    """
    (clip,) = inputs.clips(1, clip_s)
    bundle = inputs.directory("bundle")
    make_bundle(Store(str(bundle)), manifest=manifest_for(inputs.fp32))
    command = [sys.executable, "-m", "trailergenre", "score", str(clip), "--bundle", str(bundle)]
    command += ["--set", f"backbone.path={inputs.fp32}"]

    def score() -> float:
        started = time.monotonic()
        subprocess.run(command, capture_output=True, check=True)
        return time.monotonic() - started

    def bare() -> float:
        # One link has the machine to itself: all cores work on it.
        found = run_alone("speed.bare", clip, inputs.fp32, os.cpu_count())
        return float(found["decode_wall_s"] + found["embed_wall_s"])

    values = take_turns({"bare": bare, "score": score}, turns)
    pairs = zip(values["score"], values["bare"], strict=True)
    over = [(whole - START_UP_S) / alone for whole, alone in pairs]
    loaded = sorted(_modules(command) & set(HEAVY)) + _java(command)
    return {
        "B6": Finding(
            f"score a {clip_s} s clip: (wall - 2 s) over decode and inference alone", over,
            1.25, 1.25, is_least=False, figures={"seconds": medians(values)},
        ),
        "B6 light": Finding(
            "Spark, Java, TensorFlow or Keras in that process or below", [float(len(loaded))],
            0, 0, is_least=False, figures={"loaded": loaded},
        ),
    }  # fmt: skip


def _modules(command: list[str]) -> set[str]:
    """Top-level packages that Python imported, by its own account."""
    told = [command[0], "-X", "importtime", *command[1:]]
    done = subprocess.run(told, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def _java(command: list[str]) -> list[str]:
    """A JVM in the process or anything it starts maps libjvm; the kernel lists what is mapped."""
    found: set[str] = set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            for pid in _family(process.pid):
                try:
                    maps = Path(f"/proc/{pid}/maps").read_text()
                except OSError:
                    continue  # gone since it was listed
                found |= {name for name in ("libjvm", "libtensorflow") if name in maps}
            time.sleep(0.02)
        process.communicate()
    return sorted(found)


def _family(pid: int) -> list[int]:
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [pid, *(child.pid for child in below)]

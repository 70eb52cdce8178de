"""scale: a standalone cluster of two workers of one core, one of them used, or both."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Collection
from functools import partial

import psutil

from speed.children import BENCHMARKS, run_alone, run_side_by_side
from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.stage import Stage, open_session

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))
from submits import standalone_cluster

_WORKER = "org.apache.spark.deploy.worker.Worker"


def measure_scale(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 3,
    n_clips: int = 36,
    clip_s: int = 10,
) -> Findings:
    """Featurize a list by one worker and by two in turns.

    What two processes can do here at all, without Spark, is told beside it: cores share caches,
    memory and heat.

    Args:
        inputs: where clips and networks come from.
        wanted: scale.
        turns: of each.
        n_clips: of the list.
        clip_s: seconds of a clip.
    """
    clips = inputs.clips(n_clips, clip_s)
    with standalone_cluster(inputs.directory("cluster"), workers=2) as master:
        _pin_workers()

        def run(n_workers: int) -> float:
            cores = {"spark_cores_max": str(n_workers), "spark_executor_cores": "1"}
            with open_session(master, **cores, spark_executor_memory="2g") as spark:
                stage = Stage(spark, inputs, inputs.fp32)
                stage.warm()
                return stage.run(clips)

        values = take_turns({"one": partial(run, 1), "two": partial(run, 2)}, turns)
    figures = {"frames_per_s": medians(values), "two_bare_processes_over_one": _bare(inputs)}
    what = "two workers over one, each bound to one core of its own, fp32"
    return {"scale": Finding(what, ratios(values, "two", "one"), 1.9, 1.9, figures=figures)}


def _pin_workers() -> None:
    """Give each worker, with all that it will start, a core of its own.

    One worker alone would else let its decoders and its JVM run on the core of the other.
    """
    workers = [child for child in psutil.Process().children() if _WORKER in child.cmdline()]
    cores = sorted(os.sched_getaffinity(0))
    for core, worker in zip(cores, workers, strict=False):
        # Threads and processes that come later have the core of whoever starts them.
        for thread in worker.threads():
            os.sched_setaffinity(thread.id, {core})


def _bare(inputs: Inputs) -> float:
    """Embedding alone: frames/s of a process a core over those of one process, times cores."""
    (clip,) = inputs.clips(1, 30)
    alone = run_alone("speed.bare", clip, inputs.fp32)["embed_wall_s"]
    together = run_side_by_side("speed.bare", clip, inputs.fp32)
    shared = statistics.mean(figures["embed_wall_s"] for figures in together)
    return float(len(together) * alone / shared)

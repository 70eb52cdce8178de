"""B1, B2, B3, B12: the stage against what the machine can, the original's way, and Ray Data."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from speed.children import measure_bare, run_alone
from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.peers import run_ray_data
from speed.stage import Stage, local_session

ENGINE = "onnxruntime"
"""Runs fp32, and what a line says; int8 is by the fastest engine of this machine."""

_BARS = {
    "B1": ("nothing kept, fp32: frames/s over the bound", "fp32", "bound fp32", 0.95, 0.85),
    "B2": ("nothing kept, fp32, over the original's way", "fp32", "original", 2.7, 2.3),
    "B3": ("nothing kept, int8, over the original's way", "int8", "original", 7.0, 4.5),
    "B3 onnxruntime": ("the same by ONNX Runtime", "int8 onnxruntime", "original", 5.5, 4.5),
    "B12": ("nothing kept, fp32, over Ray Data, fp32", "fp32", "Ray fp32", 1.15, 1.0),
    "B12 int8": ("nothing kept, int8, over Ray Data, fp32", "int8", "Ray fp32", 2.4, 2.0),
    "B12 both int8": ("both int8, by ONNX Runtime", "int8 onnxruntime", "Ray int8", 1.15, 1.0),
}
"""What, who, over whom, goal, floor."""


def measure_throughput(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 3,
    n_clips: int = 6,
    clip_s: int = 150,
) -> Findings:
    """Let all that is compared decode and embed the same clips in turns.

    Args:
        inputs: where clips and networks come from.
        wanted: of B1, B2, B3, B12.
        turns: of each.
        n_clips: of the stage and Ray Data; the original's way and the bound take the first alone.
        clip_s: seconds of a clip.
    """
    clips = inputs.clips(n_clips, clip_s)
    keys = [key for key in _BARS if key.split()[0] in wanted]
    names = dict.fromkeys(name for key in keys for name in _BARS[key][1:3])
    # No goals, but what plans for other machines start from.
    names |= {f"bound {name}": None for name in names if name.startswith("int8")}
    engines = {name: _engine_of(name, inputs) for name in names}
    costs: dict[str, dict[str, float]] = {}
    spent: dict[str, list[dict[str, object]]] = {}

    def bound(name: str, backbone: Path) -> float:
        key = name.removeprefix("bound ")
        costs[key] = measure_bare(clips[0], backbone, engines[name])
        return costs[key]["frames_per_s"]

    def run(name: str, stage: Stage) -> float:
        stage.warm()
        frames_per_s = stage.run(clips)
        spent[name] = stage.spent
        return frames_per_s

    with local_session() as spark:
        contenders: dict[str, Callable[[], float]] = {}
        for name, engine in engines.items():
            backbone = inputs.int8 if "int8" in name else inputs.fp32
            if name == "original":
                contenders[name] = partial(run_alone, "speed.original_way", clips[0], backbone)
            elif name.startswith("Ray"):
                contenders[name] = partial(run_ray_data, clips, backbone)
            elif name.startswith("bound"):
                contenders[name] = partial(bound, name, backbone)
            else:
                contenders[name] = partial(run, name, Stage(spark, inputs, backbone, engine))
        values = take_turns(contenders, turns)
    figures = {
        "frames_per_s": medians(values),
        "cpu_s_a_frame": costs,
        "spent": spent,
        "engines": engines,
    }
    return {
        key: Finding(what, ratios(values, one, other), goal, floor, figures=figures)
        for key, (what, one, other, goal, floor) in _BARS.items()
        if key in keys
    }


def _engine_of(name: str, inputs: Inputs) -> str:
    """The engine that a contender runs the network by."""
    return inputs.int8_engine if name in {"int8", "bound int8"} else ENGINE

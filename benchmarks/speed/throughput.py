"""B1, B2, B3: the stage against what the machine can, and against the original's way."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path

from speed.children import measure_bare, run_alone
from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.stage import Stage, local_session


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
        wanted: of B1, B2, B3.
        turns: of each.
        n_clips: of the stage; the original's way and the bound take the first alone.
        clip_s: seconds of a clip.
    """
    clips = inputs.clips(n_clips, clip_s)
    costs: dict[str, dict[str, float]] = {}

    def bound(name: str, backbone: Path) -> float:
        costs[name] = measure_bare(clips[0], backbone)
        return costs[name]["frames_per_s"]

    def original() -> float:
        return float(run_alone("speed.original_way", clips[0], inputs.fp32))

    contenders: dict[str, Callable[[], float]] = {}
    with ExitStack() as stack:
        spark = stack.enter_context(local_session())
        for precision, backbone in _backbones(inputs, wanted).items():
            stage = Stage(spark, inputs, backbone)
            stage.warm()
            contenders[f"bound {precision}"] = lambda p=precision, b=backbone: bound(p, b)
            contenders[precision] = lambda stage=stage: stage.run(clips)
        if {"B2", "B3"} & set(wanted):
            contenders["original"] = original
        values = take_turns(contenders, turns)
    return {key: _find(key, values, costs) for key in sorted(wanted)}


def _backbones(inputs: Inputs, wanted: Collection[str]) -> dict[str, Path]:
    found = {}
    if {"B1", "B2"} & set(wanted):
        found["fp32"] = inputs.fp32
    if "B3" in wanted:
        found["int8"] = inputs.int8
    return found


def _find(key: str, values: dict[str, list[float]], costs: dict[str, dict[str, float]]) -> Finding:
    what, one, other, goal, floor = _BARS[key]
    figures = {"frames_per_s": medians(values), "cpu_s_a_frame": costs}
    return Finding(what, ratios(values, one, other), goal, floor, figures=figures)


_BARS = {
    "B1": ("nothing kept, fp32: frames/s over the bound", "fp32", "bound fp32", 0.95, 0.85),
    "B2": ("nothing kept, fp32, over the original's way", "fp32", "original", 2.7, 2.3),
    "B3": ("nothing kept, int8, over the original's way", "int8", "original", 6.0, 4.5),
}

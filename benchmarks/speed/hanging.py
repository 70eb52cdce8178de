"""deadline: a list of which one link in ten takes its whole deadline."""

from __future__ import annotations

import statistics
import sys
import threading
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from speed.children import BENCHMARKS, run_side_by_side
from speed.findings import Finding, Findings, ratios, take_turns
from speed.inputs import Inputs

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))
from servers import answer, content, drips


def measure_deadline(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 2,
    n_links: int = 40,
    clip_s: int = 15,
    deadline_s: float = 75,
) -> Findings:
    """Bring links of a loopback server to their ends with and without the ones that drip, in turns.

    A task a core, as its stream alone: Spark has no part in it. A deadline is to a link here what
    it is in a run: 600 s to trailers of 150 frames, which take a core 20 s. Shorter clips would
    make the 0.2 CPU seconds of a bad link's own child look like what it keeps from the others.

    Args:
        inputs: where clips and networks come from.
        wanted: deadline.
        turns: of each.
        n_links: of a task; every tenth drips, the last one too, which is the worst for its end.
        clip_s: seconds of a clip.
        deadline_s: of a link.
    """
    clips = inputs.clips(n_links, clip_s)
    bad = set(range(9, n_links, 10))
    released = threading.Event()
    answers = {
        f"/{number}.mp4": drips(released) if number in bad else content(clip.read_bytes())
        for number, clip in enumerate(clips)
    }
    found: dict[str, list[dict[str, float]]] = {}

    with answer(answers) as server:

        def run(name: str, numbers: Sequence[int]) -> float:
            listed = ",".join(map(str, numbers))
            tasks = run_side_by_side(
                "speed.dripping", inputs.fp32, server.address, listed, deadline_s
            )
            found.setdefault(name, []).append(_mean(tasks))
            return found[name][-1]["good_frames_per_s"]

        everything = range(n_links)
        contenders = {
            "good links": partial(run, "good links", [n for n in everything if n not in bad]),
            "with bad ones": partial(run, "with bad ones", everything),
        }
        try:
            values = take_turns(contenders, turns)
        finally:
            released.set()
    link_s = statistics.mean(one["good_s"] / one["n_good"] for one in found["good links"])
    figures = {"runs": found, "deadline_in_link_times": deadline_s / link_s}
    of = f"one link in ten drips for its {deadline_s:g} s, {deadline_s / link_s:.0f} link times"
    tails = [one["tail_s"] / deadline_s for one in found["with bad ones"]]
    over = ratios(values, "with bad ones", "good links")
    return {
        "deadline": Finding(
            f"{of}: frames/s until the last good one is done, with over without",
            over, 0.95, 0.95, figures=figures,
        ),
        "deadline tail": Finding(
            f"{of}: wait at the end of a task of {n_links}, in deadlines",
            tails, 1, 1, is_least=False, figures=figures,
        ),
    }  # fmt: skip


def _mean(tasks: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {name: statistics.mean(task[name] for task in tasks) for name in tasks[0]}

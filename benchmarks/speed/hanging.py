"""deadline: a list of which one link in ten takes its whole deadline."""

from __future__ import annotations

import sys
import threading
from collections.abc import Collection
from functools import partial

from speed.children import BENCHMARKS
from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.stage import Stage, local_session
from trailergenre.config import BackboneConfig, Config, LimitsConfig, NetworkConfig

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))
from servers import answer, content, hangs


def measure_deadline(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 3,
    n_links: int = 20,
    clip_s: int = 30,
    deadline_s: float = 10,
) -> Findings:
    """Featurize links of a loopback server with and without the ones that hang, in turns.

    Args:
        inputs: where clips and networks come from.
        wanted: deadline.
        turns: of each.
        n_links: of which every tenth hangs.
        clip_s: seconds of a clip.
        deadline_s: of a link.
    """
    clips = inputs.clips(n_links, clip_s)
    # In the middle of each ten: the run does not end with one that hangs.
    bad = [number for number in range(n_links) if number % 10 == 4]
    released = threading.Event()
    answers = {
        f"/{number}.mp4": hangs(released) if number in bad else content(clip.read_bytes())
        for number, clip in enumerate(clips)
    }
    with answer(answers) as server, local_session() as spark:
        config = Config(
            network=NetworkConfig(allow=(server.address,)),
            limits=LimitsConfig(deadline_s=deadline_s),
            backbone=BackboneConfig(path=str(inputs.fp32)),
        )
        urls = [f"http://{server.address}/{number}.mp4" for number in range(n_links)]
        good = [url for number, url in enumerate(urls) if number not in bad]
        stage = Stage(spark, inputs, inputs.fp32)
        stage.warm()
        contenders = {
            "good links": partial(stage.run_urls, good, config),
            "with bad ones": partial(stage.run_urls, urls, config, n_failed=len(bad)),
        }
        try:
            values = take_turns(contenders, turns)
        finally:
            released.set()
    what = (
        f"one link in ten hangs for its {deadline_s:g} s: frames/s of the rest, with over without"
    )
    over = ratios(values, "with bad ones", "good links")
    return {"deadline": Finding(what, over, 0.95, 0.95, figures={"frames_per_s": medians(values)})}

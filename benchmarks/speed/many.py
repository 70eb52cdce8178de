"""B5 and memory: does the stage slow down or grow on a long list of short clips?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.memory import Memory, watch_workers
from speed.stage import Stage, local_session


def measure_many(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 3,
    sizes: tuple[int, int] = (64, 512),
    clip_s: int = 10,
) -> Findings:
    """Featurize a short and a long list in turns, in the same workers, and watch their memory.

    Taken by int8, where all that is not inference weighs the most.

    Args:
        inputs: where clips and networks come from.
        wanted: of B5, memory.
        turns: of each list.
        sizes: clips of the short and of the long list.
        clip_s: seconds of a clip.
    """
    few, many = (inputs.clips(n, clip_s) for n in sizes)
    memories: dict[str, list[Memory]] = {"few": [], "many": []}
    with local_session() as spark:
        stage = Stage(spark, inputs, inputs.int8)
        stage.warm()

        def run(name: str, clips: Sequence[Path]) -> float:
            with watch_workers() as memory:
                frames_per_s = stage.run(clips)
            memories[name].append(memory)
            return frames_per_s

        values = take_turns(
            {"few": lambda: run("few", few), "many": lambda: run("many", many)}, turns
        )
    peaks = {name: [memory.peak for memory in found] for name, found in memories.items()}
    # The first turn's short list finds caches empty that its long list finds full.
    grown = [many / few for few, many in zip(peaks["few"], peaks["many"], strict=True)]
    flat = [memory.growth() for memory in memories["many"]]
    names = f"{sizes[1]} ten-second clips over {sizes[0]}, int8"
    found = {
        "B5": Finding(
            f"{names}: frames/s", ratios(values, "many", "few"), 0.97, 0.93,
            figures={"frames_per_s": medians(values)},
        ),
        "B5 memory": Finding(
            f"{names}: peak memory of a Python worker", grown, 1.1, 1.2, is_least=False,
            figures={"peak_bytes": peaks},
        ),
        "memory": Finding(
            f"a worker's memory over {sizes[1]} clips: last quarter over second", flat, 1.05, 1.1,
            is_least=False,
            figures={"samples": memories["many"][-1].samples[::20], "peak_bytes": peaks["many"]},
        ),
    }  # fmt: skip
    return {key: finding for key, finding in found.items() if key.split()[0] in wanted}

"""B8: the embedding stage over kept frames, against the bare engine on the same frames."""

from __future__ import annotations

from collections.abc import Collection

from speed.children import measure_bare
from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.stage import Stage, local_session


def measure_kept(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 3,
    n_clips: int = 4,
    clip_s: int = 150,
) -> Findings:
    """Embed kept frames and do the engine's work alone in turns.

    Args:
        inputs: where clips and networks come from.
        wanted: B8.
        turns: of each.
        n_clips: of the stage; the engine takes the frames of the first, a process a core.
        clip_s: seconds of a clip.
    """
    clips = inputs.clips(n_clips, clip_s)
    with local_session() as spark:
        stage = Stage(spark, inputs, inputs.fp32)

        def embed() -> float:
            stage.warm()
            return stage.embed_kept(clips)

        contenders = {
            "engine": lambda: measure_bare(clips[0], inputs.fp32)["embed_frames_per_s"],
            "stage": embed,
        }
        values = take_turns(contenders, turns)
    what = "kept frames, fp32: frames/s of the embedding stage over the bare engine"
    over = ratios(values, "stage", "engine")
    figures = {"frames_per_s": medians(values), "spent": {"fp32": stage.spent}}
    return {"B8": Finding(what, over, 0.95, 0.85, figures=figures)}

"""B4: how far int8 features are from fp32 ones, as the export found and wrote down."""

from __future__ import annotations

from collections.abc import Collection

from speed.findings import Finding, Findings
from speed.inputs import Inputs, published_clips
from trailergenre.features.backbone import read_manifest


def measure_precision(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Export the int8 network and read its manifest.

    Args:
        inputs: where the network comes from.
        wanted: B4.
    """
    manifest = read_manifest(inputs.int8)
    calibration = manifest.calibration
    assert calibration is not None  # an int8 manifest has one, or it is not read
    clips = "published clips" if published_clips() else "made clips"
    figures = {"calibration": calibration.model_dump(), "clips": clips}
    of = f"int8 against fp32, weights {manifest.source}, {clips}"
    return {
        "B4": Finding(
            f"{of}: 1st percentile of the cosine around the mean",
            [calibration.cosine_p1], 0.95, 0.95, figures=figures,
        ),
        "B4 rms": Finding(
            f"{of}: rms difference over the rms spread",
            [calibration.rms_share], 0.1, 0.1, is_least=False, figures=figures,
        ),
    }  # fmt: skip

"""An evaluation's record to its page: how well a model tells genres, beside what guessing gives."""

from __future__ import annotations

from collections.abc import Mapping

from trailergenre.measures import MEASURES
from trailergenre.report.pages import render_page


def render_evaluation(record: Mapping[str, object]) -> str:
    """Render an evaluation as HTML.

    Args:
        record: what `jobs/evaluate_model.py` writes as JSON.
    """
    return render_page(
        "evaluation.html",
        record,
        measures=MEASURES,
        names={key: name for key, name, _ in MEASURES},
        set_measures=("mean_ap", "micro_ap", "weighted_ap", "sample_ap", "precision_at_3"),
        calibration_measures=("brier", "ece", "mean_ap", "micro_ap", "sample_ap"),
    )

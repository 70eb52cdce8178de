"""The page of an evaluation: a model's figures beside those of the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from trailergenre.metrics.format import MEASURES, format_figure
from trailergenre.models.calibration import MIN_VALIDATION_MOVIES
from trailergenre.models.model_card import MIN_TEST_MOVIES
from trailergenre.reports.pages import render_page

_RECALLS = (0.1, 0.5, 0.9)
"""Recalls at which a curve is described in words."""


class _Curve(TypedDict):
    """A `curves.PrecisionRecall` as JSON holds it."""

    recall: Sequence[float]
    precision: Sequence[float]
    share: float


def render_evaluation(
    record: Mapping[str, object], *, neighbours: Mapping[str, str] | None = None
) -> str:
    """Render the HTML page of the record that `trailergenre evaluate` writes as JSON."""
    return render_page(
        "evaluation.html",
        record,
        neighbours=neighbours,
        measures=MEASURES,
        min_test_movies=MIN_TEST_MOVIES,
        min_validation_movies=MIN_VALIDATION_MOVIES,
        names={key: name for key, name, _ in MEASURES},
        set_measures=("mean_ap", "micro_ap", "weighted_ap", "sample_ap", "precision_at_3"),
        calibration_measures=("brier", "ece", "mean_ap", "micro_ap", "sample_ap"),
        curve_path=curve_path,
        describe=describe_curve,
    )


def curve_path(curve: _Curve, width: float, height: float) -> str:
    """An SVG path of a curve's steps, from recall 0 to the last; y grows downwards.

    >>> curve_path({"recall": [0.5, 1], "precision": [1, 0.25], "share": 0.2}, 100, 80)
    'M0 0.0H50.0V60.0H100.0'
    """
    if not curve["recall"]:
        return ""
    points = zip(curve["recall"], curve["precision"], strict=True)
    corners = [f"V{height * (1 - p):.1f}H{width * r:.1f}" for r, p in points]
    return f"M0 {corners[0].removeprefix('V')}{''.join(corners[1:])}"


def describe_curve(curve: _Curve) -> str:
    """Describe a curve in words, for screen readers.

    >>> describe_curve({"recall": [0.5, 1], "precision": [1, 0.25], "share": 0.2})
    'precision 1.000 at recall 0.1, 1.000 at 0.5, .250 at 0.9; chance level .200'
    """
    points = [f"{format_figure(_precision_at(curve, recall))} at {recall}" for recall in _RECALLS]
    words = ", ".join(points).replace(" at ", " at recall ", 1)
    return f"precision {words}; chance level {format_figure(curve['share'])}"


def _precision_at(curve: _Curve, wanted: float) -> float | None:
    """Precision at the first point with this recall; None for an empty curve."""
    points = zip(curve["recall"], curve["precision"], strict=True)
    return next((precision for recall, precision in points if recall >= wanted), None)

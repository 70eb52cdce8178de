"""Figures to one self-contained page: no script, no request to anywhere.

The template lies beside this file as package data. Knows nothing of Spark or of stored tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from trailergenre.floors import check_floors

MEASURES = (
    ("mean_ap", "mAP", "average precision, mean over genres"),
    ("micro_ap", "µAP", "average precision over all movie-genre pairs"),
    ("weighted_ap", "wAP", "average precision, genres weighted by their movies"),
    ("sample_ap", "sAP", "average precision of each movie's own ranking"),
    ("macro_auc", "AUC", "area under the ROC curve, mean over genres"),
    ("precision_at_3", "P@3", "true genres among the first three, over three"),
    ("recall_at_3", "R@3", "true genres among the first three, over the movie's genres"),
    ("macro_f1", "macro F1", "mean over genres, thresholds chosen on the validation part"),
    ("micro_f1", "micro F1", "over all pairs, the same thresholds"),
    ("brier", "Brier", "mean squared error of the probabilities; less is better"),
    ("ece", "ECE", "expected calibration error, ten bins; less is better"),
)
"""Key of `metrics.Figures`, its short name, what it is."""

COLUMNS = (
    ("model", "model"),
    ("prior", "label prior"),
    ("majority", "top 3 always"),
    ("control", "shuffled labels"),
)
"""Key of the models compared, and the heading of its column."""


def format_figure(value: float | None) -> str:
    """Show a figure as papers do.

    >>> format_figure(0.2834), format_figure(None)
    ('.283', '–')
    """
    if value is None:
        return "–"
    return f"{value:.3f}".removeprefix("0") if 0 <= value < 1 else f"{value:.3f}"


def render_evaluation(record: Mapping[str, object]) -> str:
    """Render an evaluation as HTML.

    Args:
        record: what `jobs/evaluate_model.py` writes as JSON.
    """
    check_floors("jinja2")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figure"] = format_figure
    template = files(__package__).joinpath("evaluation.html").read_text(encoding="utf-8")
    models = record["models"]
    assert isinstance(models, Mapping)
    return environment.from_string(template).render(
        record, measures=MEASURES, columns=[pair for pair in COLUMNS if pair[0] in models]
    )

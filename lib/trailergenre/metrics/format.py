"""The metrics' short names and how their values are formatted."""

from __future__ import annotations

MEASURES = (
    ("mean_ap", "mAP", "average precision, mean over genres"),
    ("micro_ap", "µAP", "average precision over all movie-genre pairs"),
    ("weighted_ap", "wAP", "average precision, genres weighted by their movies"),
    ("sample_ap", "sAP", "average precision of each movie's own ranking"),
    ("macro_auc", "AUC", "area under the ROC curve, mean over genres"),
    ("precision_at_3", "P@3", "true genres among the first three, over three"),
    ("recall_at_3", "R@3", "true genres among the first three, over the movie's genres"),
    ("macro_f1", "macro F1", "mean over genres, each at its threshold"),
    ("micro_f1", "micro F1", "over all pairs, the same thresholds"),
    ("brier", "Brier", "mean squared error of the probabilities; less is better"),
    ("ece", "ECE", "expected calibration error, ten bins; less is better"),
)
"""Field of `multilabel.Metrics`, short name, description."""


def format_figure(value: float | None) -> str:
    """Format a value as papers do.

    >>> format_figure(0.2834), format_figure(-0.05), format_figure(None)
    ('.283', '-.050', '–')
    """
    if value is None:
        return "–"
    return f"{value:.3f}".replace("0.", ".", 1) if -1 < value < 1 else f"{value:.3f}"


def format_spread(mean: float | None, std: float | None) -> str:
    """Format a mean and its standard deviation over folds.

    >>> format_spread(0.2834, 0.012), format_spread(0.2834, None)
    ('.283 ± .012', '.283')
    """
    return format_figure(mean) + (f" ± {format_figure(std)}" if std is not None else "")

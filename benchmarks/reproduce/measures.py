"""Average precision of both kinds: scikit-learn's sum over steps, and the area by trapezoids.

The papers' AP is `sklearn.metrics.auc` of recall and precision, which interpolates between points;
`average_precision_score` does not, and is lower as a rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trailergenre.metrics.multilabel import count_hits

Kind = Literal["steps", "trapezoid"]
MEASURES = ("micro", "mean", "weighted", "sample")
Truth = NDArray[np.int8]
Scores = NDArray[np.float64]


def step_sum(truth: Truth, scores: Scores) -> float:
    """The average precision of one ranking as `average_precision_score` defines it."""
    _, hits, ranks = count_hits(truth, scores)
    return float((np.diff(hits, prepend=0) * hits / ranks).sum() / hits[-1])


def trapezoid_area(truth: Truth, scores: Scores) -> float:
    """The area under precision over recall, by trapezoids, from recall 0 and precision 1."""
    _, hits, ranks = count_hits(truth, scores)
    precision = np.append(1.0, hits / ranks)
    recall = np.append(0.0, hits / hits[-1])
    return float((np.diff(recall) * (precision[1:] + precision[:-1]) / 2).sum())


KINDS: dict[Kind, Callable[[Truth, Scores], float]] = {
    "steps": step_sum,
    "trapezoid": trapezoid_area,
}


def average_precisions(truth: Truth, scores: Scores, kind: Kind) -> dict[str, float]:
    """µAP, mAP, wAP and sAP; a genre without a movie, or a movie without a genre, is left out."""
    precision = KINDS[kind]
    pairs = [(t, s) for t, s in zip(truth.T, scores.T, strict=True) if t.any()]
    genres = np.array([precision(t, s) for t, s in pairs])
    rows = [(t, s) for t, s in zip(truth, scores, strict=True) if t.any()]
    return {
        "micro": precision(truth.ravel(), scores.ravel()),
        "mean": float(genres.mean()),
        "weighted": float(np.average(genres, weights=[t.sum() for t, _ in pairs])),
        "sample": float(np.mean([precision(t, s) for t, s in rows])),
    }

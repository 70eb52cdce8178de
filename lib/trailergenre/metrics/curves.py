"""True genres and probabilities to the curves that a report draws, in a bounded number of points.

Knows nothing of bundles, of folds (their movies stand behind each other) or of how a curve is
drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.multilabel import N_ECE_BINS

MAX_POINTS = 40
"""Of one curve: more than a page can show of a genre, and 20 KB of JSON for 22 genres."""

_DIGITS = 4
"""A thousandth of a pixel of the largest picture."""


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """How many of the movies that are given a genre have it, against how many of them are found.

    The thresholds fall from left to right. The area below the steps (a point's precision, back to
    the recall of the point before) is the average precision, where no point was left out. Over
    folds it is that of all movies in one list, which is not the mean of the folds' own.

    Attributes:
        recall: 0..1, rising; at most `MAX_POINTS`, none where nothing is true.
        precision: at each recall.
        share: of true pairs: the precision of a ranking that knows nothing.
        ap: average precision, of all points; None where nothing is true.
    """

    recall: list[float]
    precision: list[float]
    share: float
    ap: float | None


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The pairs of movie and genre whose probability lies in one bin.

    Attributes:
        low: lower bound; the bins are of one width, and the last holds 1.
        n: pairs.
        probability: their mean; None of none.
        true_share: how many of them are true; None of none.
    """

    low: float
    n: int
    probability: float | None
    true_share: float | None


@dataclass(frozen=True, slots=True)
class Curves:
    """What a report draws of one model.

    Attributes:
        micro: over all pairs of movie and genre in one list.
        genres: one a genre, in the order of the columns.
        reliability: over all pairs, as the report's probabilities are.
        reliability_raw: the same before calibration.
    """

    micro: PrecisionRecall
    genres: list[PrecisionRecall]
    reliability: list[ReliabilityBin]
    reliability_raw: list[ReliabilityBin]


def draw_curves(
    truths: Sequence[TruthArray],
    probabilities: Sequence[ProbabilityArray],
    raw: Sequence[ProbabilityArray],
) -> Curves:
    """Draw a model's curves over the movies of all its folds together.

    Args:
        truths: of each fold, shape (n_movies, n_genres).
        probabilities: the same shapes; calibrated.
        raw: the same shapes; as the model gives them.
    """
    truth, bent = np.concatenate(truths), np.concatenate(probabilities)
    return Curves(
        micro=precision_recall(truth.ravel(), bent.ravel()),
        genres=[precision_recall(*pair) for pair in zip(truth.T, bent.T, strict=True)],
        reliability=reliability(truth, bent),
        reliability_raw=reliability(truth, np.concatenate(raw)),
    )


def precision_recall(truth: NDArray[np.int8], scores: NDArray[np.float64]) -> PrecisionRecall:
    """Lower the threshold from the highest score on; pairs of one score come together.

    Args:
        truth: shape (n,), 0 or 1; n >= 1.
        scores: shape (n,).
    """
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits = np.cumsum(truth[order], dtype=np.int64)[ends]
    gained = np.diff(hits, prepend=0)
    precision = hits / (ends + 1)
    # Where nothing true is added precision only falls, at the same recall.
    rises = np.flatnonzero(gained)
    chosen = rises
    if len(rises) > MAX_POINTS:
        chosen = rises[np.linspace(0, len(rises) - 1, MAX_POINTS).astype(np.int64)]
    return PrecisionRecall(
        recall=_rounded(hits[chosen] / max(1, hits[-1])),
        precision=_rounded(precision[chosen]),
        share=round(float(truth.mean()), _DIGITS),
        ap=round(float(gained @ precision / hits[-1]), _DIGITS) if hits[-1] else None,
    )


def reliability(truth: TruthArray, probabilities: ProbabilityArray) -> list[ReliabilityBin]:
    """Hold probabilities against what was true, in the bins of the expected calibration error.

    Args:
        truth: shape (n_movies, n_genres).
        probabilities: the same shape.
    """
    bins = np.minimum((probabilities * N_ECE_BINS).astype(np.int64), N_ECE_BINS - 1).ravel()
    counts = np.bincount(bins, minlength=N_ECE_BINS)
    sums = np.bincount(bins, weights=probabilities.ravel(), minlength=N_ECE_BINS)
    hits = np.bincount(bins, weights=truth.ravel(), minlength=N_ECE_BINS)
    return [
        ReliabilityBin(
            low=number / N_ECE_BINS,
            n=int(n),
            probability=round(float(total / n), _DIGITS) if n else None,
            true_share=round(float(true / n), _DIGITS) if n else None,
        )
        for number, (n, total, true) in enumerate(zip(counts, sums, hits, strict=True))
    ]


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return [round(float(value), _DIGITS) for value in values]

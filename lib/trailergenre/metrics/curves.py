"""The curves that an evaluation draws, in a bounded number of points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.multilabel import N_ECE_BINS, count_hits

MAX_POINTS = 40
"""Points of one curve; 22 genres make 20 KB of JSON."""

_DIGITS = 4


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision against recall, as the threshold falls.

    Over folds the movies of all folds are ranked in one list; the area is then not the mean of
    the folds' own average precisions.
    """

    recall: list[float]  # rising; at most `MAX_POINTS`, empty if nothing is true
    precision: list[float]  # at each recall
    share: float  # of true pairs: the precision of a random ranking
    ap: float | None  # average precision over all points; None if nothing is true


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The (movie, genre) pairs whose probability lies in one bin of a reliability diagram."""

    low: float  # the bins have equal widths; the last one includes 1
    n: int
    probability: float | None  # mean over the pairs
    true_share: float | None


@dataclass(frozen=True, slots=True)
class Curves:
    """The curves of one model: over all pairs, per genre in column order, and reliability."""

    micro: PrecisionRecall
    genres: list[PrecisionRecall]
    reliability: list[ReliabilityBin]
    reliability_raw: list[ReliabilityBin]  # before calibration


def make_curves(
    truths: Sequence[TruthArray],
    probabilities: Sequence[ProbabilityArray],
    raw: Sequence[ProbabilityArray],
) -> Curves:
    """Compute a model's curves over the movies of all folds; `raw` is before calibration."""
    truth, calibrated = np.concatenate(truths), np.concatenate(probabilities)
    return Curves(
        micro=precision_recall(truth.ravel(), calibrated.ravel()),
        genres=[precision_recall(*pair) for pair in zip(truth.T, calibrated.T, strict=True)],
        reliability=reliability(truth, calibrated),
        reliability_raw=reliability(truth, np.concatenate(raw)),
    )


def precision_recall(truth: NDArray[np.int8], scores: NDArray[np.float64]) -> PrecisionRecall:
    """Compute a precision-recall curve of one or more scores; equal scores share one point."""
    _, hits, ranks = count_hits(truth, scores)
    gained = np.diff(hits, prepend=0)
    precision = hits / ranks
    # Points that add no true pair only lower precision at the same recall.
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
    """Compare probabilities with the truth, in the bins of the expected calibration error."""
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

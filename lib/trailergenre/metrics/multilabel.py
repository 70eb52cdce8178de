"""True genres and probabilities to figures: how good a model is, genre by genre and on average.

Average precision is scikit-learn's `average_precision_score` (a sum over steps, no interpolation).
A row is a movie. Knows nothing of bundles, tables or reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from trailergenre.base.records import ProbabilityArray, TruthArray

N_ECE_BINS = 10
"""Equal-width bins of the expected calibration error (Guo et al. 2017 use 15; tests here are
smaller)."""

TOP = 3
"""Genres a movie is given: what `trailergenre score` prints."""


@dataclass(frozen=True, slots=True)
class GenreFigures:
    """One genre.

    Attributes:
        genre: its name.
        n: movies of the test part that have it.
        ap: average precision; None where n is 0.
        auc: area under the ROC curve; None where every movie has it, or none.
        f1: with the genre's threshold.
        threshold: a movie is given the genre where its probability >= threshold.
        brier: mean squared difference of probability and truth.
        ece: expected calibration error.
    """

    genre: str
    n: int
    ap: float | None
    auc: float | None
    f1: float
    threshold: float
    brier: float
    ece: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A model on the movies of one part.

    Attributes:
        movies: rows.
        mean_ap: mAP, unweighted over the genres that have a movie.
        micro_ap: µAP, all (movie, genre) pairs in one list.
        weighted_ap: wAP, genres weighted by their movies.
        sample_ap: sAP, mean over movies of the average precision of their own ranking.
        macro_auc: mean area under the ROC curve.
        precision_at_3: true genres among a movie's three most probable, over three.
        oracle_precision_at_3: the same for a perfect ranking: few movies have three genres.
        recall_at_3: true genres among the three most probable, over the movie's genres.
        macro_f1: mean of the genres' F1.
        micro_f1: F1 over all pairs.
        brier: mean over genres.
        ece: mean over genres.
        genres: one entry a genre, in the order of the columns.
    """

    movies: int
    mean_ap: float
    micro_ap: float
    weighted_ap: float
    sample_ap: float
    macro_auc: float | None
    precision_at_3: float
    oracle_precision_at_3: float
    recall_at_3: float
    macro_f1: float
    micro_f1: float
    brier: float
    ece: float
    genres: tuple[GenreFigures, ...]


def measure(
    truth: TruthArray,
    probabilities: ProbabilityArray,
    *,
    genres: Sequence[str],
    thresholds: NDArray[np.float64],
) -> Figures:
    """Measure a model.

    Args:
        truth: shape (n_movies, n_genres); every movie has a genre at least.
        probabilities: the same shape.
        genres: names of the columns.
        thresholds: shape (n_genres,).

    Raises:
        ValueError: there is no movie, or one without a genre.
    """
    if not len(truth) or not truth.any(axis=1).all():
        raise ValueError("Figures need at least one movie, and a genre for each movie.")
    given = (probabilities >= thresholds).astype(np.int8)
    each = tuple(
        _measure_genre(truth[:, k], probabilities[:, k], genre=genre, threshold=thresholds[k])
        for k, genre in enumerate(genres)
    )
    hits = hits_in_top(truth, probabilities)
    n_true = truth.sum(axis=1)
    aps = np.array([genre.ap for genre in each if genre.ap is not None])
    supports = np.array([genre.n for genre in each if genre.ap is not None])
    aucs = [genre.auc for genre in each if genre.auc is not None]
    return Figures(
        movies=len(truth),
        mean_ap=float(aps.mean()),
        micro_ap=float(average_precision_score(truth.ravel(), probabilities.ravel())),
        weighted_ap=float(np.average(aps, weights=supports)),
        sample_ap=float(sample_average_precisions(truth, probabilities).mean()),
        macro_auc=float(np.mean(aucs)) if aucs else None,
        precision_at_3=float((hits / TOP).mean()),
        oracle_precision_at_3=float((np.minimum(n_true, TOP) / TOP).mean()),
        recall_at_3=float((hits / n_true).mean()),
        macro_f1=float(np.mean([genre.f1 for genre in each])),
        micro_f1=float(f1_score(truth.ravel(), given.ravel(), zero_division=0.0)),
        brier=float(np.mean([genre.brier for genre in each])),
        ece=float(np.mean([genre.ece for genre in each])),
        genres=each,
    )


def _measure_genre(
    truth: NDArray[np.int8], probability: NDArray[np.float64], *, genre: str, threshold: float
) -> GenreFigures:
    n = int(truth.sum())
    has_both = 0 < n < len(truth)
    return GenreFigures(
        genre=genre,
        n=n,
        ap=float(average_precision_score(truth, probability)) if n else None,
        auc=float(roc_auc_score(truth, probability)) if has_both else None,
        f1=float(f1_score(truth, probability >= threshold, zero_division=0.0)),
        threshold=float(threshold),
        brier=float(np.mean((probability - truth) ** 2)),
        ece=calibration_error(truth, probability),
    )


def sample_average_precisions(
    truth: TruthArray, probabilities: ProbabilityArray
) -> NDArray[np.float64]:
    """Average precision of each movie's own ranking, shape (n_movies,)."""
    rows = zip(truth, probabilities, strict=True)
    return np.array([_fast_average_precision(t, p) for t, p in rows])


def mean_ap(truth: TruthArray, scores: NDArray[np.float64]) -> float:
    """Average the genres' average precision over the genres that have a movie."""
    pairs = zip(truth.T, scores.T, strict=True)
    return float(np.mean([_fast_average_precision(t, s) for t, s in pairs if t.any()]))


def _fast_average_precision(truth: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    """The same as scikit-learn's, without its checks: chance is measured thousands of times."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits = np.cumsum(truth[order], dtype=np.int64)[ends]
    return float((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / hits[-1])


def hits_in_top(truth: TruthArray, probabilities: ProbabilityArray) -> NDArray[np.int64]:
    """Count each movie's true genres among its three most probable; ties go to the first column.

    >>> hits_in_top(np.array([[1, 0, 0, 1]], np.int8), np.array([[0.9, 0.8, 0.7, 0.1]])).tolist()
    [1]
    """
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    hits: NDArray[np.int64] = np.take_along_axis(truth, top, axis=1).sum(axis=1, dtype=np.int64)
    return hits


def calibration_error(truth: NDArray[np.int8], probability: NDArray[np.float64]) -> float:
    """Weigh up, over ten equal bins, how far the mean probability is from the share of true ones.

    >>> calibration_error(np.array([1, 0], np.int8), np.array([0.5, 0.5]))
    0.0
    """
    bins = np.minimum((probability * N_ECE_BINS).astype(np.int64), N_ECE_BINS - 1)
    gaps = np.bincount(bins, weights=probability - truth, minlength=N_ECE_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def choose_thresholds(truth: TruthArray, probabilities: ProbabilityArray) -> NDArray[np.float64]:
    """Choose each genre's threshold by its F1 on these movies, which must not be the test part's.

    Returns:
        shape (n_genres,), float64; 0.5 where no movie has the genre.
    """
    pairs = zip(truth.T, probabilities.T, strict=True)
    return np.array([_best_threshold(t, p) for t, p in pairs])


def _best_threshold(truth: NDArray[np.int8], probability: NDArray[np.float64]) -> float:
    if not truth.any():
        return 0.5
    # Rows from the most probable on: given the genre if the threshold is the row's probability.
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    hits = np.cumsum(truth[order], dtype=np.int64)[ends]
    f1 = 2 * hits / (ends + 1 + hits[-1])
    # The highest threshold of the best F1: a tie is no reason to give more movies the genre.
    return float(ordered[ends][int(np.argmax(f1))])

"""Multi-label metrics, per genre and averaged; a row is a movie.

Average precision is scikit-learn's `average_precision_score`: a sum over steps, no interpolation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from trailergenre.base.records import ProbabilityArray, TruthArray

N_ECE_BINS = 10
"""Equal-width bins of the expected calibration error; Guo et al. 2017 use 15 on larger tests."""

DEFAULT_THRESHOLD = 0.5
"""Of a genre whose threshold cannot be chosen."""

TOP = 3
"""Genres a movie is given: what `trailergenre score` prints."""


@dataclass(frozen=True, slots=True)
class GenreMetrics:
    """Metrics of one genre; `n` is the number of test movies that have it."""

    genre: str
    n: int
    ap: float | None  # average precision; None if n is 0
    auc: float | None  # area under the ROC curve; None if all movies have the genre, or none
    f1: float  # at the threshold
    threshold: float  # the genre is predicted where the probability >= threshold
    brier: float  # mean squared error of the probabilities
    ece: float  # expected calibration error


@dataclass(frozen=True, slots=True)
class Metrics:
    """A model's metrics on the movies of one part."""

    movies: int
    mean_ap: float  # mAP, unweighted over the genres that have a movie
    micro_ap: float  # µAP, all (movie, genre) pairs in one list
    weighted_ap: float  # wAP, genres weighted by their movies
    sample_ap: float  # sAP, mean over movies of the average precision of their own ranking
    macro_auc: float | None
    precision_at_3: float  # true genres among a movie's three most probable, over three
    oracle_precision_at_3: float  # the same of a perfect ranking: few movies have three genres
    recall_at_3: float  # true genres among the three most probable, over the movie's genres
    macro_f1: float
    micro_f1: float
    brier: float  # mean over genres
    ece: float  # mean over genres
    genres: tuple[GenreMetrics, ...]  # in column order


def average_by_movie(
    movie_ids: Sequence[str], truth: TruthArray, probabilities: ProbabilityArray
) -> tuple[list[str], TruthArray, ProbabilityArray]:
    """Merge the links of each movie: every metric is of movies. Row i belongs to movie_ids[i].

    Returns:
        The movies, sorted, and one row each: the union of their links' genres and the mean of
        their links' probabilities.
    """
    movies, rows = np.unique(np.array(movie_ids, dtype=object), return_inverse=True)
    union = np.zeros((len(movies), truth.shape[1]), dtype=np.int8)
    np.maximum.at(union, rows, truth)
    total = np.zeros((len(movies), truth.shape[1]))
    np.add.at(total, rows, probabilities)
    return movies.tolist(), union, total / np.bincount(rows)[:, None]


def measure(
    truth: TruthArray,
    probabilities: ProbabilityArray,
    *,
    genres: Sequence[str],
    thresholds: NDArray[np.float64],
) -> Metrics:
    """Compute all metrics; `genres` names the columns, each with its threshold.

    Raises:
        ValueError: there is no movie, or one without a genre.
    """
    if not len(truth) or not truth.any(axis=1).all():
        raise ValueError("Metrics need at least one movie, and a genre for each movie.")
    predicted = (probabilities >= thresholds).astype(np.int8)
    each = tuple(
        _measure_genre(truth[:, k], probabilities[:, k], genre=genre, threshold=thresholds[k])
        for k, genre in enumerate(genres)
    )
    hits = hits_in_top(truth, probabilities)
    n_true = truth.sum(axis=1)
    aps = np.array([genre.ap for genre in each if genre.ap is not None])
    supports = np.array([genre.n for genre in each if genre.ap is not None])
    aucs = [genre.auc for genre in each if genre.auc is not None]
    return Metrics(
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
        micro_f1=float(f1_score(truth.ravel(), predicted.ravel(), zero_division=0.0)),
        brier=float(np.mean([genre.brier for genre in each])),
        ece=float(np.mean([genre.ece for genre in each])),
        genres=each,
    )


def _measure_genre(
    truth: NDArray[np.int8], probability: NDArray[np.float64], *, genre: str, threshold: float
) -> GenreMetrics:
    n = int(truth.sum())
    has_both = 0 < n < len(truth)
    return GenreMetrics(
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
    """Average precision, mean over the genres that have a movie."""
    pairs = zip(truth.T, scores.T, strict=True)
    return float(np.mean([_fast_average_precision(t, s) for t, s in pairs if t.any()]))


def _fast_average_precision(truth: NDArray[np.int8], scores: NDArray[np.float64]) -> float:
    """The same as scikit-learn's without its checks: baselines need it thousands of times."""
    _, hits, ranks = count_hits(truth, scores)
    return float((np.diff(hits, prepend=0) * hits / ranks).sum() / hits[-1])


def count_hits(
    truth: NDArray[np.int8], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct scores, falling; the true rows, and all rows, that score at least as high."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return ordered[ends], np.cumsum(truth[order], dtype=np.int64)[ends], ends + 1


def hits_in_top(truth: TruthArray, probabilities: ProbabilityArray) -> NDArray[np.int64]:
    """Each movie's true genres among its three most probable; ties go to the first column.

    >>> hits_in_top(np.array([[1, 0, 0, 1]], np.int8), np.array([[0.9, 0.8, 0.7, 0.1]])).tolist()
    [1]
    """
    top = np.argsort(-probabilities, axis=1, kind="stable")[:, :TOP]
    hits: NDArray[np.int64] = np.take_along_axis(truth, top, axis=1).sum(axis=1, dtype=np.int64)
    return hits


def calibration_error(truth: NDArray[np.int8], probability: NDArray[np.float64]) -> float:
    """Expected calibration error: the weighted gap of mean probability and true share per bin.

    >>> calibration_error(np.array([1, 0], np.int8), np.array([0.5, 0.5]))
    0.0
    """
    bins = np.minimum((probability * N_ECE_BINS).astype(np.int64), N_ECE_BINS - 1)
    gaps = np.bincount(bins, weights=probability - truth, minlength=N_ECE_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def choose_thresholds(truth: TruthArray, probabilities: ProbabilityArray) -> NDArray[np.float64]:
    """Choose each genre's threshold by its F1 on these movies; never on the test part.

    The shape is (n_genres,). A genre that no movie has gets `DEFAULT_THRESHOLD`.
    """
    pairs = zip(truth.T, probabilities.T, strict=True)
    return np.array([_best_threshold(t, p) for t, p in pairs])


def _best_threshold(truth: NDArray[np.int8], probability: NDArray[np.float64]) -> float:
    if not truth.any():
        return DEFAULT_THRESHOLD
    thresholds, hits, ranks = count_hits(truth, probability)
    f1 = 2 * hits / (ranks + hits[-1])
    # Of equal F1, the highest threshold: a tie is no reason to predict the genre more often.
    return float(thresholds[int(np.argmax(f1))])

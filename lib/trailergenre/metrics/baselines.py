"""Baselines that no model may fall behind: label prior, most frequent genres, random scores.

Over folds, a draw of random scores is the mean of one draw per fold, as a model's metrics are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.folds import join_folds, means
from trailergenre.metrics.multilabel import TOP, GenreMetrics, Metrics, mean_ap, measure

N_DRAWS = 200
"""Draws of random scores; a model must exceed the 95th percentile of their mAP."""

N_MEASURED = 5
"""Draws for which every metric is computed; much slower than mAP alone."""

_SEED = 7
"""The same test movies always give the same baseline."""


@dataclass(frozen=True, slots=True)
class BaselineMeanAP:
    """The mAP that random draws reach on the test movies: mean and 95th percentile."""

    mean_ap: float
    mean_ap_p95: float
    draws: int


def prior_metrics(truth: TruthArray, genres: Sequence[str], shares: Sequence[float]) -> Metrics:
    """Measure the label prior: each movie gets each genre's share in the training part.

    The thresholds are the shares, so every genre is predicted: the best F1 that a prior can have.
    """
    thresholds = np.array(shares)
    probabilities = np.tile(thresholds, (len(truth), 1))
    return measure(truth, probabilities, genres=genres, thresholds=thresholds)


def majority_metrics(truth: TruthArray, genres: Sequence[str], shares: Sequence[float]) -> Metrics:
    """Measure the constant prediction of the three most frequent genres."""
    scores = np.zeros_like(truth, dtype=np.float64)
    scores[:, np.argsort(-np.array(shares), kind="stable")[:TOP]] = 1.0
    return measure(truth, scores, genres=genres, thresholds=np.full(len(genres), 0.5))


def random_metrics(truth: TruthArray, genres: Sequence[str], *, fold: int = 0) -> Metrics:
    """Average every metric over `N_MEASURED` draws of uniform scores, with thresholds of 0.5.

    Args:
        truth: of one fold's test movies, shape (n_movies, n_genres).
        genres: names of the columns.
        fold: its number; other folds get other scores.
    """
    rng = np.random.default_rng([_SEED, fold])
    thresholds = np.full(len(genres), 0.5)
    draws = [
        measure(truth, rng.random(truth.shape), genres=genres, thresholds=thresholds)
        for _ in range(N_MEASURED)
    ]
    joined = join_folds(draws)
    # Any: some fields are never None, which the dictionaries do not say.
    values: dict[str, Any] = means(joined.values)
    by_genre: list[dict[str, Any]] = [means(genre.values) for genre in joined.genres]
    each = tuple(
        GenreMetrics(genre=drawn.genre, n=drawn.n, **genre)
        for genre, drawn in zip(by_genre, draws[0].genres, strict=True)
    )
    return Metrics(movies=len(truth), genres=each, **values)


def random_baseline(truths: Sequence[TruthArray]) -> BaselineMeanAP:
    """The mAP of uniform random scores.

    Args:
        truths: of each fold's test movies.
    """

    def draw(fold: int, rng: np.random.Generator) -> ProbabilityArray:
        return rng.random(truths[fold].shape)

    return _measure_draws(truths, draw)


def mixed_genres_baseline(
    truths: Sequence[TruthArray], probabilities: Sequence[ProbabilityArray]
) -> BaselineMeanAP:
    """The mAP of a model's scores when each genre gets a random mixture of all genres' scores.

    Movies that look alike to the model keep similar scores; which genre they point to is random. On
    clips of four clear kinds, 5 % of the models trained on shuffled labels exceed the 95th
    percentile of this baseline, but 25 % exceed that of random scores.

    Args:
        truths: of each fold's test movies.
        probabilities: the model's, of each fold.
    """
    standardised = [_standardise(fold) for fold in probabilities]

    def draw(fold: int, rng: np.random.Generator) -> NDArray[np.float64]:
        n_genres = truths[fold].shape[1]
        return standardised[fold] @ rng.normal(size=(n_genres, n_genres))

    return _measure_draws(truths, draw)


def _standardise(probabilities: ProbabilityArray) -> NDArray[np.float64]:
    std = probabilities.std(axis=0)
    columns: NDArray[np.float64] = probabilities - probabilities.mean(axis=0)
    return columns / np.where(std > 0, std, 1.0)


def _measure_draws(
    truths: Sequence[TruthArray],
    draw: Callable[[int, np.random.Generator], NDArray[np.float64]],
) -> BaselineMeanAP:
    rng = np.random.default_rng(_SEED)
    draws = [
        np.mean([mean_ap(truth, draw(fold, rng)) for fold, truth in enumerate(truths)])
        for _ in range(N_DRAWS)
    ]
    return BaselineMeanAP(float(np.mean(draws)), float(np.percentile(draws, 95)), len(draws))

"""Baselines that no model may fall behind: label prior, most frequent genres, random scores.

Over folds, a draw of random scores is the mean of one draw per fold, as a model's metrics are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.folds import mean_std
from trailergenre.metrics.multilabel import TOP, Metrics, mean_ap, measure

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

    Each fold gets other scores.
    """
    rng = np.random.default_rng([_SEED, fold])
    thresholds = np.full(len(genres), 0.5)
    draws = [
        measure(truth, rng.random(truth.shape), genres=genres, thresholds=thresholds)
        for _ in range(N_MEASURED)
    ]
    by_genre = zip(*(draw.genres for draw in draws), strict=True)
    genre_means = tuple(replace(each[0], **mean_std(each)[0]) for each in by_genre)
    return replace(draws[0], genres=genre_means, **mean_std(draws)[0])


def random_baseline(truths: Sequence[TruthArray]) -> BaselineMeanAP:
    """The mAP of uniform random scores on each fold's test movies."""
    return _measure_draws(truths, lambda fold, rng: rng.random(truths[fold].shape))


def mixed_genres_baseline(
    truths: Sequence[TruthArray], probabilities: Sequence[ProbabilityArray]
) -> BaselineMeanAP:
    """The mAP of a model's scores when each genre gets a random mixture of all genres' scores.

    Movies that look alike to the model keep similar scores; which genre they point to is random. On
    clips of four clear kinds, 5 % of the models trained on shuffled labels exceed the 95th
    percentile of this baseline, but 25 % exceed that of random scores.
    """
    stds = [fold.std(axis=0) for fold in probabilities]
    standardised = [
        (fold - fold.mean(axis=0)) / np.where(std > 0, std, 1.0)
        for fold, std in zip(probabilities, stds, strict=True)
    ]

    def draw(fold: int, rng: np.random.Generator) -> NDArray[np.float64]:
        n_genres = truths[fold].shape[1]
        scores: NDArray[np.float64] = standardised[fold] @ rng.normal(size=(n_genres, n_genres))
        return scores

    return _measure_draws(truths, draw)


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

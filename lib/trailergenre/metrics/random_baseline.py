"""What guessing reaches on some movies: random scores, and a model's own with genres mixed.

Over folds a draw is the mean of one draw a fold, as a model's figure is. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.folds import Spread, join_folds
from trailergenre.metrics.multilabel import Figures, GenreFigures, mean_ap, measure

N_DRAWS = 200
"""Random score sets whose 95th percentile a model must pass."""

N_MEASURED = 5
"""Random score sets that every figure is taken of: much slower than mAP alone."""

_SEED = 7
"""Of the draws: the same test movies give the same bar."""


@dataclass(frozen=True, slots=True)
class Chance:
    """What mAP a kind of guessing reaches on the test movies.

    Attributes:
        mean_ap: mean over the draws.
        mean_ap_p95: their 95th percentile.
        draws: how many.
    """

    mean_ap: float
    mean_ap_p95: float
    draws: int


def random_chance(truths: Sequence[TruthArray]) -> Chance:
    """What random scores reach.

    Args:
        truths: of each fold's test movies.
    """

    def guess(fold: int, rng: np.random.Generator) -> ProbabilityArray:
        return rng.random(truths[fold].shape)

    return _draw(truths, guess)


def random_figures(truth: TruthArray, genres: Sequence[str], *, fold: int = 0) -> Figures:
    """Take the mean of every figure over a few sets of random scores, evenly between 0 and 1.

    Each genre is given by the toss of a coin.

    Args:
        truth: of one fold's test movies.
        genres: names of the columns.
        fold: another fold, other scores.
    """
    rng = np.random.default_rng([_SEED, fold])
    thresholds = np.full(len(genres), 0.5)
    draws = [
        measure(truth, rng.random(truth.shape), genres=genres, thresholds=thresholds)
        for _ in range(N_MEASURED)
    ]
    joined = join_folds(draws)
    each = tuple(
        GenreFigures(genre=mean.genre, n=drawn.n, **_means(mean.figures))
        for mean, drawn in zip(joined.genres, draws[0].genres, strict=True)
    )
    return Figures(movies=len(truth), genres=each, **_means(joined.figures))


def _means(figures: Mapping[str, Spread | None]) -> dict[str, Any]:
    """`Any`: some figures are never None, which their names alone say."""
    return {name: found.mean if found else None for name, found in figures.items()}


def mixed_chance(truths: Sequence[TruthArray], probabilities: Sequence[ProbabilityArray]) -> Chance:
    """What a model's scores reach when each genre gets a random mixture of all genres' scores.

    Movies that look alike to the model keep like scores; which genre they point to is chance. On
    clips of four clear kinds, 5 % of the models trained on shuffled labels pass the 95th
    percentile of this, while 25 % pass that of random scores.

    Args:
        truths: of each fold's test movies.
        probabilities: the model's of each fold.
    """
    standardised = [_standardise(found) for found in probabilities]

    def guess(fold: int, rng: np.random.Generator) -> NDArray[np.float64]:
        n_genres = truths[fold].shape[1]
        return standardised[fold] @ rng.normal(size=(n_genres, n_genres))

    return _draw(truths, guess)


def _standardise(probabilities: ProbabilityArray) -> NDArray[np.float64]:
    spread = probabilities.std(axis=0)
    columns: NDArray[np.float64] = probabilities - probabilities.mean(axis=0)
    return columns / np.where(spread > 0, spread, 1.0)


def _draw(
    truths: Sequence[TruthArray],
    guess: Callable[[int, np.random.Generator], NDArray[np.float64]],
) -> Chance:
    rng = np.random.default_rng(_SEED)
    draws = [
        np.mean([mean_ap(truth, guess(fold, rng)) for fold, truth in enumerate(truths)])
        for _ in range(N_DRAWS)
    ]
    return Chance(float(np.mean(draws)), float(np.percentile(draws, 95)), len(draws))

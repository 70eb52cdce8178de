"""Where a model's predictions are wrong: the worst movies, and which genres it takes for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray

N_WORST = 10
"""Movies whose errors are listed."""
N_CONFUSED = 20
"""Genres of the confusion table: as many as a desk's window has room for."""

PredictionArray = NDArray[np.bool_]
"""Shape (n_movies, n_genres): whether the probability reaches the genre's threshold."""


@dataclass(frozen=True, slots=True)
class PredictedGenre:
    """A genre that a movie has, or is predicted to have, or both."""

    genre: str
    probability: float
    is_true: bool
    is_predicted: bool


@dataclass(frozen=True, slots=True)
class WrongMovie:
    """A movie with a missed or a wrongly predicted genre; `row` is its row in the arrays."""

    row: int
    brier: float  # mean squared error over the genres
    genres: list[PredictedGenre]


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which genres are predicted where others are missed; at most `N_CONFUSED`, in column order."""

    genres: list[str]
    missed: list[int]  # movies that have the genre without its being predicted
    counts: list[list[int]]  # [i][j]: of those that miss i, the movies that are wrongly given j


def find_worst(
    truth: TruthArray,
    probabilities: ProbabilityArray,
    predicted: PredictionArray,
    genres: Sequence[str],
) -> list[WrongMovie]:
    """Find the wrongly predicted movies with the highest Brier scores, the worst first."""
    scores = np.mean((probabilities - truth) ** 2, axis=1)
    is_wrong = (predicted != truth).any(axis=1)
    order = np.argsort(-scores, kind="stable")
    return [
        WrongMovie(
            row=int(row),
            brier=float(scores[row]),
            genres=[
                PredictedGenre(
                    genre,
                    float(probabilities[row, k]),
                    bool(truth[row, k]),
                    bool(predicted[row, k]),
                )
                for k, genre in enumerate(genres)
                if truth[row, k] or predicted[row, k]
            ],
        )
        for row in order[is_wrong[order]][:N_WORST]
    ]


def count_confusions(
    truth: TruthArray, predicted: PredictionArray, genres: Sequence[str]
) -> Confusion:
    """Count the movies for which one genre is missed and another wrongly predicted.

    A movie counts once for each such pair of genres.
    """
    is_missed, is_wrong = (truth == 1) & ~predicted, (truth == 0) & predicted
    counts = is_missed.T.astype(np.int64) @ is_wrong.astype(np.int64)
    most_confused = np.argsort(-(counts.sum(axis=0) + counts.sum(axis=1)), kind="stable")
    chosen = np.sort(most_confused[:N_CONFUSED])
    return Confusion(
        genres=[genres[k] for k in chosen],
        missed=is_missed.sum(axis=0)[chosen].tolist(),
        counts=counts[np.ix_(chosen, chosen)].tolist(),
    )

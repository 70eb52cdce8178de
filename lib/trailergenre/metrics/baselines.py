"""What a model must beat without looking at a video, and the unit that it is measured in.

Knows nothing of bundles, tables or Spark.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.multilabel import TOP, Figures, measure


def by_movie(
    movie_ids: Sequence[str], truth: TruthArray, values: ProbabilityArray
) -> tuple[list[str], TruthArray, ProbabilityArray]:
    """Merge the links of a movie: the unit of every figure is a movie.

    Args:
        movie_ids: of the scored links.
        truth: shape (n_links, n_genres); row i of movie_ids[i].
        values: the same shape; probabilities.

    Returns:
        The movies, sorted; the union of their links' genres and the mean of their probabilities,
        one row a movie.
    """
    movies, rows = np.unique(np.array(movie_ids, dtype=object), return_inverse=True)
    union = np.zeros((len(movies), truth.shape[1]), dtype=np.int8)
    np.maximum.at(union, rows, truth)
    total = np.zeros((len(movies), truth.shape[1]))
    np.add.at(total, rows, values)
    return movies.tolist(), union, total / np.bincount(rows)[:, None]


def prior_figures(truth: TruthArray, genres: Sequence[str], shares: Sequence[float]) -> Figures:
    """Measure the label prior: every movie gets each genre's share in training.

    Its thresholds are the shares themselves, so every genre is given: the best F1 it can have.
    """
    thresholds = np.array(shares)
    return measure(
        truth, np.tile(thresholds, (len(truth), 1)), genres=genres, thresholds=thresholds
    )


def majority_figures(truth: TruthArray, genres: Sequence[str], shares: Sequence[float]) -> Figures:
    """Measure "the three most frequent genres, always"."""
    scores = np.zeros_like(truth, dtype=np.float64)
    scores[:, np.argsort(-np.array(shares), kind="stable")[:TOP]] = 1.0
    return measure(truth, scores, genres=genres, thresholds=np.full(len(genres), 0.5))

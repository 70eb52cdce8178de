"""The genre sets of published papers, and a model's metrics on one of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.multilabel import Metrics, measure

_LMTD_9 = (
    "Action",
    "Adventure",
    "Comedy",
    "Crime",
    "Drama",
    "Horror",
    "Romance",
    "Sci-Fi",
    "Thriller",
)

GENRE_SETS: dict[str, tuple[str, ...]] = {
    # Montalvo-Lezama et al. 2022 (arXiv 2210.07983).
    "Trailers12k-10": tuple(sorted((*_LMTD_9, "Fantasy"))),
    # Wehrmann and Barros 2017, on the Labeled Movie Trailer Dataset.
    "LMTD-9": _LMTD_9,
    # Cascante-Bonilla et al. 2019 (arXiv 1908.03180).
    "Moviescope-13": tuple(
        sorted({*_LMTD_9, "Animation", "Biography", "Family", "Fantasy", "Mystery"} - {"Adventure"})
    ),
}
"""Name of the set -> its genres, in alphabetical order."""


def measure_subset(
    truth: TruthArray,
    probabilities: ProbabilityArray,
    *,
    genres: Sequence[str],
    thresholds: NDArray[np.float64],
    subset: Sequence[str],
) -> Metrics | None:
    """Measure a model on some of its genres, without the movies that have none of them.

    None if a genre of the subset is not modelled, or no movie has one.
    """
    if not set(subset) <= set(genres):
        return None
    columns = [k for k, genre in enumerate(genres) if genre in subset]
    rows = truth[:, columns].any(axis=1)
    if not rows.any():
        return None
    return measure(
        truth[rows][:, columns],
        probabilities[rows][:, columns],
        genres=[genres[k] for k in columns],
        thresholds=thresholds[columns],
    )

"""Figures of several folds to their mean and spread, and figures of a fixed set of genres.

Knows nothing of bundles, tables or reports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.metrics.multilabel import Figures, GenreFigures, measure


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over folds.

    Attributes:
        mean: over the folds that have it.
        std: standard deviation over them, of a sample (ddof 1); None of one fold alone.
        folds: how many have it.
    """

    mean: float
    std: float | None
    folds: int


@dataclass(frozen=True, slots=True)
class GenreSpread:
    """One genre over folds.

    Attributes:
        genre: its name.
        n: movies of all folds' test parts that have it.
        figures: name (of `metrics.GenreFigures`) -> spread; None where no fold has the figure.
    """

    genre: str
    n: int
    figures: dict[str, Spread | None]


@dataclass(frozen=True, slots=True)
class FoldFigures:
    """A model's figures over folds.

    Attributes:
        movies: of all folds' test parts; each is tested once.
        figures: name (of `metrics.Figures`) -> spread; None where no fold has the figure.
        genres: in the order of the columns.
        folds: each fold's own figures.
    """

    movies: int
    figures: dict[str, Spread | None]
    genres: tuple[GenreSpread, ...]
    folds: tuple[Figures, ...]

    def to_json(self) -> dict[str, object]:
        """Means under the figures' own names, their spread beside them under `std`."""
        return {
            "movies": self.movies,
            **_means(self.figures),
            "std": _stds(self.figures),
            "genres": [
                {
                    "genre": genre.genre,
                    "n": genre.n,
                    **_means(genre.figures),
                    "std": _stds(genre.figures),
                }
                for genre in self.genres
            ],
            "folds": [
                {key: value for key, value in asdict(fold).items() if key != "genres"}
                for fold in self.folds
            ],
        }


def _means(figures: Mapping[str, Spread | None]) -> dict[str, float | None]:
    return {name: found.mean if found else None for name, found in figures.items()}


def _stds(figures: Mapping[str, Spread | None]) -> dict[str, float | None]:
    return {name: found.std if found else None for name, found in figures.items()}


def spread(values: Sequence[float | None]) -> Spread | None:
    """Take mean and standard deviation of what is known.

    >>> spread([1.0, None, 3.0])
    Spread(mean=2.0, std=1.4142135623730951, folds=2)
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return Spread(float(np.mean(known)), std, len(known))


def join_folds(folds: Sequence[Figures]) -> FoldFigures:
    """Take mean and spread of every figure; all folds must have the same genres.

    Args:
        folds: one a fold, at least one.
    """
    names = [field.name for field in fields(Figures) if field.name not in {"movies", "genres"}]
    return FoldFigures(
        movies=sum(figures.movies for figures in folds),
        figures={name: spread([getattr(figures, name) for figures in folds]) for name in names},
        genres=tuple(
            _join_genre(each) for each in zip(*(figures.genres for figures in folds), strict=True)
        ),
        folds=tuple(folds),
    )


def _join_genre(folds: Sequence[GenreFigures]) -> GenreSpread:
    names = [field.name for field in fields(GenreFigures) if field.name not in {"genre", "n"}]
    return GenreSpread(
        genre=folds[0].genre,
        n=sum(figures.n for figures in folds),
        figures={name: spread([getattr(figures, name) for figures in folds]) for name in names},
    )


def measure_subset(
    truth: TruthArray,
    probabilities: ProbabilityArray,
    *,
    genres: Sequence[str],
    thresholds: NDArray[np.float64],
    subset: Sequence[str],
) -> Figures | None:
    """Measure a model on some of its genres alone, as papers with fewer genres do.

    Args:
        truth: shape (n_movies, n_genres).
        probabilities: the same shape.
        genres: names of the columns.
        thresholds: shape (n_genres,).
        subset: the genres wanted; movies with none of them are left out.

    Returns:
        None where a genre of the subset is not modelled, or no movie has one.
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

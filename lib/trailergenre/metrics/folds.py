"""Metrics of several folds to their means and standard deviations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from trailergenre.metrics.multilabel import GenreMetrics, Metrics


@dataclass(frozen=True, slots=True)
class MeanStd:
    """One metric over the folds that have it; `std` is the sample's, None for one fold."""

    mean: float
    std: float | None
    folds: int


@dataclass(frozen=True, slots=True)
class GenreFoldMetrics:
    """One genre over folds.

    Attributes:
        genre: its name.
        n: test movies of all folds that have it.
        values: field of `GenreMetrics` -> mean; None where no fold has the metric.
    """

    genre: str
    n: int
    values: dict[str, MeanStd | None]


@dataclass(frozen=True, slots=True)
class FoldMetrics:
    """A model's metrics over folds.

    Attributes:
        movies: test movies of all folds; each movie is tested once.
        values: field of `Metrics` -> mean; None where no fold has the metric.
        genres: in column order.
        folds: each fold's own metrics.
    """

    movies: int
    values: dict[str, MeanStd | None]
    genres: tuple[GenreFoldMetrics, ...]
    folds: tuple[Metrics, ...]

    @property
    def mean_ap(self) -> float:
        """Mean average precision; 0 where no fold has one."""
        value = self.values["mean_ap"]
        return value.mean if value else 0.0

    def to_json(self) -> dict[str, object]:
        """Means under the metrics' names, standard deviations under `std`."""
        return {
            "movies": self.movies,
            **means(self.values),
            "std": stds(self.values),
            "genres": [
                {
                    "genre": genre.genre,
                    "n": genre.n,
                    **means(genre.values),
                    "std": stds(genre.values),
                }
                for genre in self.genres
            ],
            "folds": [
                {key: value for key, value in asdict(fold).items() if key != "genres"}
                for fold in self.folds
            ],
        }


def means(values: Mapping[str, MeanStd | None]) -> dict[str, float | None]:
    """The mean of each metric."""
    return {name: value.mean if value else None for name, value in values.items()}


def stds(values: Mapping[str, MeanStd | None]) -> dict[str, float | None]:
    """The standard deviation of each metric."""
    return {name: value.std if value else None for name, value in values.items()}


def mean_std(values: Sequence[float | None]) -> MeanStd | None:
    """Mean and standard deviation of the values that are not None.

    >>> mean_std([1.0, None, 3.0])
    MeanStd(mean=2.0, std=1.4142135623730951, folds=2)
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    std = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return MeanStd(float(np.mean(known)), std, len(known))


def join_folds(folds: Sequence[Metrics]) -> FoldMetrics:
    """Average every metric over one or more folds that have the same genres."""
    by_genre = zip(*(fold.genres for fold in folds), strict=True)
    return FoldMetrics(
        movies=sum(fold.movies for fold in folds),
        values=_join(folds, skip={"movies", "genres"}),
        genres=tuple(
            GenreFoldMetrics(
                genre=genres[0].genre,
                n=sum(genre.n for genre in genres),
                values=_join(genres, skip={"genre", "n"}),
            )
            for genres in by_genre
        ),
        folds=tuple(folds),
    )


def _join(
    folds: Sequence[Metrics] | Sequence[GenreMetrics], *, skip: set[str]
) -> dict[str, MeanStd | None]:
    names = [field.name for field in fields(folds[0]) if field.name not in skip]
    return {name: mean_std([getattr(fold, name) for fold in folds]) for name in names}

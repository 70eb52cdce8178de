"""Metrics of several folds to their means and standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from trailergenre.metrics.multilabel import GenreMetrics, Metrics

_NOT_AVERAGED = {"movies", "genres", "genre", "n"}


def join_folds(folds: Sequence[Metrics]) -> dict[str, Any]:
    """Average every metric over one or more folds that have the same genres.

    Returns:
        The fields of `Metrics` as plain values: means over the folds that have the metric, None if
        none has it. `std` holds the sample's standard deviations, None for one fold. The movies,
        and each genre's `n`, are those of all folds. `folds` holds each fold's own metrics.
    """
    return {
        "movies": sum(fold.movies for fold in folds),
        **_with_std(folds),
        "genres": [
            {"genre": genres[0].genre, "n": sum(genre.n for genre in genres), **_with_std(genres)}
            for genres in zip(*(fold.genres for fold in folds), strict=True)
        ],
        "folds": [
            {key: value for key, value in asdict(fold).items() if key != "genres"} for fold in folds
        ],
    }


def _with_std(folds: Sequence[Metrics] | Sequence[GenreMetrics]) -> dict[str, Any]:
    means, stds = mean_std(folds)
    return {**means, "std": stds}


def mean_std(
    folds: Sequence[Metrics] | Sequence[GenreMetrics],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Mean and standard deviation of each metric, over the folds that have it."""
    means: dict[str, float | None] = {}
    stds: dict[str, float | None] = {}
    for field in fields(folds[0]):
        if field.name not in _NOT_AVERAGED:
            values = [getattr(fold, field.name) for fold in folds]
            known = [value for value in values if value is not None]
            means[field.name] = float(np.mean(known)) if known else None
            stds[field.name] = float(np.std(known, ddof=1)) if len(known) > 1 else None
    return means, stds

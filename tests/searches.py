"""Rows made for searches: movies of two rows each, in three folds."""

from __future__ import annotations

import numpy as np

from trailergenre.models.search import SearchRows


def make_rows(*, movies: int = 60, seed: int = 7) -> SearchRows:
    """Genre k shifts column k; the last two columns are noise."""
    rng = np.random.default_rng(seed)
    of_movie = np.eye(3, dtype=np.int8)[np.arange(movies) % 3]
    truth = np.repeat(of_movie, 2, axis=0)
    X = rng.normal(size=(2 * movies, 5)).astype(np.float32)
    X[:, :3] += 1.5 * truth
    numbers = np.repeat(np.arange(movies), 2)
    return SearchRows(X, truth, tuple(f"tt{number:03}" for number in numbers), numbers // 3 % 3)

from __future__ import annotations

import numpy as np

from trailergenre.metrics.baselines import by_movie


def test_the_links_of_a_movie_are_merged() -> None:
    truth = np.array([[1, 0], [0, 1], [0, 0]], np.int8)
    values = np.array([[0.2, 0.4], [0.6, 0.0], [1.0, 0.5]])
    movies, union, means = by_movie(["tt2", "tt2", "tt1"], truth, values)
    assert movies == ["tt1", "tt2"]
    assert union.tolist() == [[0, 0], [1, 1]]
    np.testing.assert_allclose(means, [[1.0, 0.5], [0.4, 0.2]])

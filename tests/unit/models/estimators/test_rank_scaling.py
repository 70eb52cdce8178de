from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from trailergenre.models.estimators.rank_scaling import (
    MAX_SCALING_ROWS,
    N_LEVELS,
    Scaling,
    evenly_spaced,
    fit_scaling,
)


def column(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)[:, None]


def test_a_value_becomes_the_normal_value_of_its_rank() -> None:
    # 0..100: the value is its percentile.
    scaling = fit_scaling(column(*range(101)))
    scaled = scaling.scale(column(16, 50, 84, 97.5))[:, 0]
    expected = [NormalDist().inv_cdf(share) for share in (0.16, 0.5, 0.84)]
    np.testing.assert_allclose(scaled[:3], expected, atol=1e-6)
    assert NormalDist().inv_cdf(0.97) < scaled[3] < NormalDist().inv_cdf(0.98)


def test_values_outside_the_training_rows_stay_within_three() -> None:
    scaling = fit_scaling(column(*range(101)))
    assert scaling.scale(column(0, 100, -7, 1e30, -3e38))[:, 0].tolist() == [-3, 3, -3, 3, -3]


def test_a_column_with_huge_cells_is_scaled_like_one_without() -> None:
    plain = column(*range(101))
    huge = plain.copy()
    huge[95:] = [[1e12], [3e15], [3e15], [1e20], [1e30], [3e38]]
    np.testing.assert_array_equal(
        fit_scaling(huge).scale(huge[:95]), fit_scaling(plain).scale(plain[:95])
    )


def test_equal_values_stand_in_the_middle_of_their_ranks() -> None:
    # Half of the rows are zero, the middle of their ranks is the first quartile.
    scaled = fit_scaling(column(*[0] * 500, *range(1, 501))).scale(column(0, 500))
    np.testing.assert_allclose(scaled[0, 0], NormalDist().inv_cdf(0.25), atol=0.02)
    assert scaled[1, 0] == 3


def test_a_constant_column_says_nothing_about_its_own_value() -> None:
    scaling = fit_scaling(column(*[5] * 40))
    assert scaling.scale(column(5, 4, 6))[:, 0].tolist() == [0, -3, 3]


def test_columns_are_scaled_each_by_its_own_rows_whatever_the_block() -> None:
    rng = np.random.default_rng(7)
    X = (rng.normal(size=(3000, 3)) * [1, 1000, 1e-6]).astype(np.float32)
    scaling = fit_scaling(X)
    scaled = scaling.scale(X)
    assert scaled.shape == (3000, 3)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=0.02)
    np.testing.assert_array_equal(scaled, np.concatenate([scaling.scale(row[None]) for row in X]))
    assert scaling.scale(X[:0]).shape == (0, 3)


def test_of_many_rows_the_evenly_spaced_are_taken() -> None:
    X = np.random.default_rng(7).normal(size=(3 * MAX_SCALING_ROWS, 2)).astype(np.float32)
    chosen = X[evenly_spaced(len(X), MAX_SCALING_ROWS)]
    assert len(chosen) == MAX_SCALING_ROWS
    np.testing.assert_array_equal(fit_scaling(X).quantiles, fit_scaling(chosen).quantiles)
    assert not np.array_equal(fit_scaling(X).quantiles, fit_scaling(X[:MAX_SCALING_ROWS]).quantiles)


def test_one_training_row_is_enough() -> None:
    scaling: Scaling = fit_scaling(column(2))
    assert scaling.quantiles.shape == (1, N_LEVELS)
    assert scaling.scale(column(2)).tolist() == [[0]]

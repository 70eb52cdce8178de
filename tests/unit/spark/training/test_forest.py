"""The bins of MLlib's forests; `tests/spark/training/test_forest.py` fits them."""

from __future__ import annotations

import numpy as np
import pytest

from trailergenre.spark.training.forest import find_edges


def test_of_few_values_each_is_a_bin() -> None:
    X = np.array([[0, 5], [1, 5], [4, 5], [1, 5]], np.float32)
    edges = find_edges(X, 8)
    assert edges.shape == (7, 2)
    assert edges[:, 0].tolist() == [0.5, 2.5] + [np.inf] * 5
    assert edges[:, 1].tolist() == [np.inf] * 7


@pytest.mark.parametrize("max_bins", [2, 8, 32])
def test_of_many_values_bins_have_about_as_many_rows(max_bins: int) -> None:
    X = np.random.default_rng(7).normal(size=(800, 2)).astype(np.float32)
    edges = find_edges(X, max_bins)
    for column in range(2):
        codes = np.searchsorted(edges[:, column], X[:, column])
        counts = np.bincount(codes, minlength=max_bins)
        assert len(counts) == max_bins
        np.testing.assert_allclose(counts, 800 / max_bins, atol=1)


def test_a_frequent_value_is_a_bin_of_its_own() -> None:
    """As zeros of rectified features are; the others still get bins."""
    X = np.concatenate([np.zeros(900), np.linspace(1, 2, 100)])[:, None].astype(np.float32)
    edges = find_edges(X, 32)[:, 0]
    assert 0 < edges[0] < 1
    assert (np.diff(edges[np.isfinite(edges)]) > 0).all()
    assert np.isfinite(edges).sum() >= 3


def test_left_of_an_edge_are_the_bins_up_to_it() -> None:
    rng = np.random.default_rng(7)
    X = rng.integers(0, 60, size=(500, 1)).astype(np.float32)
    unseen = rng.uniform(-5, 65, size=200)
    edges = find_edges(X, 16)[:, 0]
    codes = np.searchsorted(edges, unseen)
    for number, edge in enumerate(edges):
        np.testing.assert_array_equal(unseen <= edge, codes <= number)

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save
from sklearn.linear_model import LogisticRegression

from trailergenre.base.config import LogisticConfig
from trailergenre.base.errors import BundleError
from trailergenre.models.estimators.logistic import (
    Logistic,
    check_logistic,
    constant_intercept,
    fit_logistic,
    from_bytes,
    to_bytes,
)
from trailergenre.models.estimators.rank_scaling import N_LEVELS, Scaling

CONFIG = LogisticConfig()


def rows(n: int, *, seed: int = 7) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Thirty columns of which one is constant and one holds cells of 3e15."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 30)).astype(np.float32)
    y = (X[:, :3] + rng.normal(size=(n, 3)) > 0.5).astype(np.int8)
    X[:, 3] = 4
    X[::9, 4] = 3e15
    return X, y


def small() -> Logistic:
    quantiles = np.tile(np.linspace(0, 1, N_LEVELS, dtype=np.float32), (2, 1))
    return Logistic(Scaling(quantiles), np.array([[1.0, 0.0], [0.0, -1.0]]), np.array([0.0, 0.5]))


def test_probabilities_are_the_trainers_own_on_every_row() -> None:
    X, y = rows(400)
    unseen, _ = rows(5000, seed=8)
    model = fit_logistic(X, y, CONFIG)
    ours = model.predict_proba(unseen)
    assert np.ptp(ours) > 0.5
    scaled, scaled_unseen = model.scaling.scale(X), model.scaling.scale(unseen)
    for genre in range(3):
        theirs = LogisticRegression(C=CONFIG.c, tol=1e-6, max_iter=500).fit(scaled, y[:, genre])
        expected = theirs.predict_proba(scaled_unseen)[:, 1]
        np.testing.assert_allclose(ours[:, genre], expected, rtol=0, atol=1e-6)


def test_it_learns_beside_huge_cells() -> None:
    X, y = rows(2000)
    unseen, truth = rows(500, seed=8)
    probabilities = fit_logistic(X, y, CONFIG).predict_proba(unseen)
    for genre in range(3):
        true = truth[:, genre] == 1
        assert probabilities[true, genre].mean() > probabilities[~true, genre].mean() + 0.2


def test_a_smaller_c_pulls_probabilities_to_the_share() -> None:
    X, y = rows(400)
    model = fit_logistic(X, y, LogisticConfig(c=1e-9))
    shares = np.tile(y.mean(axis=0), (400, 1))
    np.testing.assert_allclose(model.predict_proba(X), shares, atol=1e-4)


def test_a_genre_that_all_or_no_training_row_has_is_nearly_sure_for_every_row() -> None:
    X, y = rows(98)
    y[:, 0], y[:, 2] = 0, 1
    model = fit_logistic(X, y, CONFIG)
    check_logistic(model)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 0], 0.01)
    np.testing.assert_allclose(probabilities[:, 2], 0.99)
    assert not model.coefficients[[0, 2]].any()
    assert np.ptp(probabilities[:, 1]) > 0.3


def test_sums_beyond_what_exp_can_hold_are_certain() -> None:
    model = replace(small(), intercepts=np.array([1e6, -1e6]))
    assert model.predict_proba(np.zeros((1, 2), np.float32)).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "X",
    [np.zeros((1, 3), np.float32), np.zeros((1, 2)), np.array([[0, np.inf]], np.float32)],
    ids=["width", "float64", "infinite"],
)
def test_other_rows_are_refused(X: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match=r"Received|finite"):
        small().predict_proba(X)


def test_no_row_gives_no_probability() -> None:
    assert small().predict_proba(np.empty((0, 2), np.float32)).shape == (0, 2)


def test_bytes_give_the_same_model_back() -> None:
    X, y = rows(50)
    model = fit_logistic(X, y, CONFIG)
    content = to_bytes(model)
    again = from_bytes(content)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert to_bytes(again) == content
    assert (again.n_features, again.n_genres) == (30, 3)


def test_arrays_in_another_memory_order_are_written_alike() -> None:
    model = small()
    fortran = replace(model, coefficients=np.asfortranarray(model.coefficients))
    assert to_bytes(fortran) == to_bytes(model)


GRID = np.tile(np.linspace(0, 1, N_LEVELS, dtype=np.float32), (2, 1))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quantiles": GRID[:, ::-1]}, "do not ascend"),
        ({"quantiles": GRID[:, :-1]}, "100 quantiles"),
        ({"quantiles": GRID[:1]}, "2 genres and 1 columns"),
        ({"quantiles": GRID[:0]}, "quantiles is empty"),
        ({"quantiles": GRID.astype(np.float64)}, "quantiles is float64"),
        ({"quantiles": np.float32(1)}, "0 dimensions"),
        ({"quantiles": np.full_like(GRID, np.nan)}, "not finite"),
        ({"coefficients": np.zeros((2, 3))}, r"\(2, 3\)"),
        ({"coefficients": np.full((2, 2), np.inf)}, "not finite"),
        ({"coefficients": np.zeros((2, 2), np.int64)}, "int64"),
        ({"intercepts": np.zeros(3)}, "3 genres"),
        ({"intercepts": np.array([np.nan, 0])}, "not finite"),
        ({"more": np.zeros(2)}, "more"),
    ],
)
def test_arrays_that_are_no_regression_are_refused(change: dict[str, Any], reason: str) -> None:
    arrays = {"quantiles": GRID, "coefficients": np.zeros((2, 2)), "intercepts": np.zeros(2)}
    assert from_bytes(save(arrays)).n_genres == 2
    changed = {name: np.asarray(array, order="C") for name, array in (arrays | change).items()}
    with pytest.raises(BundleError, match=reason):
        from_bytes(save(changed))


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", save({"intercepts": np.zeros(2)}), save({"quantiles": GRID})]
)
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="not a logistic regression"):
        from_bytes(content)


def test_what_would_be_refused_is_not_written() -> None:
    with pytest.raises(BundleError, match="not finite"):
        to_bytes(replace(small(), intercepts=np.array([np.nan, 0])))


def test_a_constant_genre_is_the_surer_the_more_rows_say_so() -> None:
    assert constant_intercept(1.0, 10) < constant_intercept(1.0, 1000)


def test_scoring_imports_neither_scikit_learn_nor_scipy() -> None:
    code = (
        "import sys, numpy as np; from trailergenre.models.estimators.logistic import *;"
        "from trailergenre.models.estimators.rank_scaling import *;"
        "X = np.zeros((2, 3), np.float32);"
        "Logistic(fit_scaling(X), np.zeros((1, 3)), np.zeros(1)).predict_proba(X);"
        "print([m for m in ('pyspark', 'sklearn', 'scipy', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

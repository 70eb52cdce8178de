from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from trailergenre.metrics.multilabel import calibration_error
from trailergenre.models.calibration import (
    MIN_MOVIES,
    Calibration,
    Isotonic,
    Platt,
    fit_calibration,
    log_odds,
    no_calibration,
)

Drawn = tuple[NDArray[np.int8], NDArray[np.float64]]


def draw(n: int, *, seed: int, sharper: float = 1.0, n_genres: int = 4) -> Drawn:
    """Truth drawn from probabilities, and what a model says: their log-odds `sharper` times."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-1.0, 1.0, size=(n, n_genres))
    truth = rng.random((n, n_genres)) < 1 / (1 + np.exp(-odds))
    return truth.astype(np.int8), 1 / (1 + np.exp(-sharper * odds))


def brier(truth: NDArray[np.int8], probabilities: NDArray[np.float64]) -> float:
    return float(((probabilities - truth) ** 2).mean())


def ece(truth: NDArray[np.int8], probabilities: NDArray[np.float64]) -> float:
    pairs = zip(truth.T, probabilities.T, strict=True)
    return float(np.mean([calibration_error(t, p) for t, p in pairs]))


def test_a_model_that_is_too_sure_is_bent_back() -> None:
    found = fit_calibration(*draw(300, seed=1, sharper=3.0), seed=7)
    assert found.method == "platt"
    truth, raw = draw(2000, seed=2, sharper=3.0)
    assert brier(truth, found.apply(raw)) < brier(truth, raw) - 0.02
    assert ece(truth, found.apply(raw)) < ece(truth, raw) / 3
    assert all(0.2 < c.slope < 0.5 for c in found.curves if isinstance(c, Platt))


def test_what_no_logistic_curve_bends_is_bent_by_lines() -> None:
    # A step: below it three in ten have the genre, whatever the model says, above it nine.
    rng = np.random.default_rng(3)
    raw = rng.random((1500, 3))
    truth = (rng.random(raw.shape) < np.where(raw > 0.85, 0.9, 0.3)).astype(np.int8)
    found = fit_calibration(truth, raw, seed=7)
    assert found.method == "isotonic"
    assert found.brier["isotonic"] < found.brier["platt"] < found.brier["none"]


def test_few_rows_are_not_bent_by_steps() -> None:
    rng = np.random.default_rng(7)
    raw = rng.random((400, 3))
    truth = (rng.random(raw.shape) < np.where(raw > 0.85, 0.9, 0.3)).astype(np.int8)
    found = fit_calibration(truth, raw, seed=7)
    assert set(found.brier) == {"none", "platt"}


@pytest.mark.parametrize("seed", range(8))
def test_calibrated_probabilities_are_left_alone(seed: int) -> None:
    truth, raw = draw(200, seed=100 + seed)
    found = fit_calibration(truth, raw, seed=7)
    assert found.method == "none"
    np.testing.assert_array_equal(found.apply(raw), raw)


def test_a_rare_genre_is_left_alone() -> None:
    truth, raw = draw(300, seed=1, sharper=3.0)
    truth[:, 2] = 0
    truth[: MIN_MOVIES - 1, 2] = 1
    found = fit_calibration(truth, raw, seed=7)
    assert [curve.method for curve in found.curves] == ["platt", "platt", "none", "platt"]
    np.testing.assert_array_equal(found.apply(raw)[:, 2], raw[:, 2])


def test_too_few_movies_leave_all_alone() -> None:
    found = fit_calibration(*draw(8, seed=1, sharper=5.0), seed=7)
    assert found == no_calibration(4)


def test_a_genre_ranked_the_wrong_way_round_is_not_turned_about() -> None:
    truth, raw = draw(400, seed=1, sharper=3.0)
    raw[:, 0] = 1 - raw[:, 0]
    bent = fit_calibration(truth, raw, seed=7).apply(raw)[:, 0]
    assert (np.diff(bent[np.argsort(raw[:, 0])]) >= 0).all()


def test_curves_say_what_scikit_learn_says() -> None:
    truth, raw = draw(300, seed=1, sharper=3.0)
    _, new = draw(500, seed=9, sharper=4.0)
    platt = fit_calibration(truth, raw, seed=7)
    for k in range(4):
        model = LogisticRegression(C=1e3, solver="newton-cholesky", tol=1e-8)
        model.fit(log_odds(raw[:, k])[:, None], truth[:, k])
        expected = model.predict_proba(log_odds(new[:, k])[:, None])[:, 1]
        np.testing.assert_allclose(platt.apply(new)[:, k], expected, atol=1e-9)
    lines = IsotonicRegression(out_of_bounds="clip").fit(raw[:, 0], truth[:, 0])
    curve = Isotonic(x=tuple(lines.X_thresholds_), y=tuple(lines.y_thresholds_))
    np.testing.assert_allclose(curve.apply(new[:, 0]), lines.predict(new[:, 0]), atol=1e-9)


def test_a_seed_means_one_calibration() -> None:
    drawn = draw(100, seed=4, sharper=2.0)
    assert fit_calibration(*drawn, seed=3) == fit_calibration(*drawn, seed=3)
    assert fit_calibration(*drawn, seed=3).brier != fit_calibration(*drawn, seed=4).brier


def test_it_survives_the_manifest() -> None:
    found = fit_calibration(*draw(300, seed=1, sharper=3.0), seed=7)
    assert Calibration.model_validate(json.loads(found.model_dump_json())) == found


@pytest.mark.parametrize(
    "curve",
    [
        {"method": "isotonic", "x": [0.1, 0.1], "y": [0.1, 0.2]},
        {"method": "isotonic", "x": [0.1, 0.2], "y": [0.3, 0.2]},
        {"method": "isotonic", "x": [0.1, 0.2], "y": [0.3]},
        {"method": "isotonic", "x": [0.1], "y": [1.1]},
        {"method": "isotonic", "x": [], "y": []},
        {"method": "platt", "slope": -1.0, "offset": 0.0},
        {"method": "platt", "slope": float("nan"), "offset": 0.0},
        {"method": "platt", "slope": 1.0, "offset": float("inf")},
        {"method": "platt", "slope": 1.0},
        {"method": "cubic"},
        {"method": "none", "slope": 1.0},
    ],
)
def test_a_broken_curve_is_refused(curve: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Calibration.model_validate({"method": "none", "curves": [curve], "brier": {}})


def test_zero_and_one_stay_finite() -> None:
    curve = Platt(slope=900.0, offset=0.0)
    np.testing.assert_allclose(curve.apply(np.array([0.0, 0.5, 1.0])), [0, 0.5, 1], atol=1e-9)

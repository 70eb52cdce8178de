from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from trailergenre.metrics.curves import MAX_POINTS, make_curves, precision_recall, reliability
from trailergenre.metrics.multilabel import calibration_error


def area(recall: list[float], precision: list[float]) -> float:
    return float((np.diff(recall, prepend=0) * precision).sum())


@pytest.mark.parametrize("levels", [5, 1000], ids=["many ties", "hardly a tie"])
def test_the_area_below_the_steps_is_the_average_precision(levels: int) -> None:
    rng = np.random.default_rng(7)
    truth = (rng.random(200) < 0.15).astype(np.int8)
    assert 0 < truth.sum() <= MAX_POINTS
    scores = np.floor((rng.random(200) + 0.3 * truth) * levels)
    found = precision_recall(truth, scores)
    assert found.share == pytest.approx(truth.mean(), abs=1e-4)
    expected = average_precision_score(truth, scores)
    assert area(found.recall, found.precision) == pytest.approx(expected, abs=1e-3)
    assert found.ap == pytest.approx(expected, abs=1e-4)


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_average_precision() -> None:
    rng = np.random.default_rng(7)
    truth = (rng.random(5000) < 0.3).astype(np.int8)
    scores = rng.random(5000) + 0.5 * truth
    found = precision_recall(truth, scores)
    assert len(found.recall) == len(found.precision) == MAX_POINTS
    assert found.recall[0] < 0.001
    assert found.recall[-1] == 1
    expected = average_precision_score(truth, scores)
    assert area(found.recall, found.precision) == pytest.approx(expected, abs=0.02)
    assert found.ap == pytest.approx(expected, abs=1e-4)


def test_of_nothing_true_there_is_no_curve() -> None:
    found = precision_recall(np.zeros(5, np.int8), np.linspace(0, 1, 5))
    assert (found.recall, found.precision, found.share, found.ap) == ([], [], 0, None)


def test_bins_hold_every_pair_and_give_the_calibration_error() -> None:
    rng = np.random.default_rng(7)
    truth = (rng.random((300, 1)) < 0.4).astype(np.int8)
    probabilities = rng.random((300, 1)) ** 2
    probabilities[:2] = [[0.0], [1.0]]
    bins = reliability(truth, probabilities)
    assert [found.low for found in bins] == pytest.approx(np.arange(10) / 10)
    assert sum(found.n for found in bins) == 300
    gaps = [f.n * abs((f.probability or 0) - (f.true_share or 0)) for f in bins]
    assert sum(gaps) / 300 == pytest.approx(
        calibration_error(truth[:, 0], probabilities[:, 0]), abs=1e-3
    )


def test_an_empty_bin_says_nothing() -> None:
    first, *others = reliability(np.array([[1]], np.int8), np.array([[0.05]]))
    assert (first.n, first.probability, first.true_share) == (1, 0.05, 1)
    assert {(found.n, found.probability, found.true_share) for found in others} == {(0, None, None)}


def test_folds_stand_behind_each_other() -> None:
    truths = [np.array([[1, 0]], np.int8), np.array([[0, 1], [1, 1]], np.int8)]
    known = [truth.astype(np.float64) for truth in truths]
    curves = make_curves(truths, known, [1 - scores for scores in known])
    assert [genre.recall for genre in curves.genres] == [[1], [1]]
    assert curves.micro.share == pytest.approx(4 / 6, abs=1e-4)
    assert [(found.n, found.true_share) for found in curves.reliability if found.n] == [
        (2, 0),
        (4, 1),
    ]
    assert [found.true_share for found in curves.reliability_raw if found.n] == [1, 0]

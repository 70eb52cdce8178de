from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from trailergenre.metrics.bootstrap import (
    Comparison,
    MetricName,
    compare_models,
    mean_ap_interval,
)
from trailergenre.metrics.multilabel import mean_ap
from trailergenre.metrics.multilabel import measure as measure_model

MEASURES: tuple[MetricName, ...] = get_args(MetricName)


def make_truth(n: int, *, seed: int, n_genres: int = 4) -> NDArray[np.int8]:
    """One genre a movie at least."""
    rng = np.random.default_rng(seed)
    truth = np.eye(n_genres, dtype=np.int8)[np.arange(n) % n_genres]
    return truth | (rng.random((n, n_genres)) < 0.2).astype(np.int8)


def guess(truth: NDArray[np.int8], *, seed: int, knows: float) -> NDArray[np.float64]:
    """Scores of a model that knows a share of the truth; rounded, so that there are ties."""
    noise = np.random.default_rng(seed).random(truth.shape)
    return np.round(knows * truth + (1 - knows) * noise, 2)


def compare(*models: NDArray[Any], **given: Any) -> Comparison:
    """Of movies that have the figure."""
    found = compare_models(*models, **given)
    assert found is not None
    return found


def test_a_better_model_is_found_better() -> None:
    truth = make_truth(200, seed=1)
    good, bad = guess(truth, seed=2, knows=0.4), guess(truth, seed=3, knows=0.2)
    found = compare(truth, good, bad, draws=300, seed=7)
    assert 0 < found.low < found.difference < found.high
    assert found.share_a_better == 1
    assert (found.movies, found.draws) == (200, 300)
    turned = compare(truth, bad, good, draws=300, seed=7)
    assert turned.share_a_better == 0
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize("measure", MEASURES)
def test_two_that_are_as_good_are_not_told_apart(measure: MetricName) -> None:
    truth = make_truth(200, seed=1)
    a, b = guess(truth, seed=2, knows=0.3), guess(truth, seed=3, knows=0.3)
    found = compare(truth, a, b, measure=measure, draws=300, seed=7)
    assert found.low < 0 < found.high
    assert 0.02 < found.share_a_better < 0.98


def test_a_model_is_no_better_than_itself() -> None:
    truth = make_truth(50, seed=1)
    model = guess(truth, seed=2, knows=0.3)
    found = compare(truth, model, model, draws=50, seed=7)
    assert (found.difference, found.low, found.high, found.share_a_better) == (0, 0, 0, 0.5)


def test_models_that_err_on_the_same_movies_are_told_apart_by_little() -> None:
    """Pairing: the movies are the same, so what both find hard does not blur the difference."""
    truth = make_truth(200, seed=1)
    a = guess(truth, seed=2, knows=0.25)
    b = 0.9 * a + 0.1 * np.random.default_rng(3).random(truth.shape)
    other = guess(truth, seed=4, knows=0.25)
    near = compare(truth, a, b, draws=300, seed=7)
    far = compare(truth, a, other, draws=300, seed=7)
    assert near.high - near.low < (far.high - far.low) / 2


@pytest.mark.parametrize("measure", MEASURES)
def test_figures_are_those_of_the_evaluation(measure: MetricName) -> None:
    truth = make_truth(60, seed=1)
    truth[:, 3] = 0
    truth[:, 2] |= ~truth.any(axis=1)
    a, b = guess(truth, seed=2, knows=0.3), guess(truth, seed=3, knows=0.1)
    found = compare(truth, a, b, measure=measure, draws=2, seed=7)
    half = np.full(4, 0.5)
    for scores, ours in ((a, found.a), (b, found.b)):
        figures = measure_model(truth, scores, genres="ABCD", thresholds=half)
        assert ours == pytest.approx(getattr(figures, measure), abs=1e-12)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_draw_is_measured_as_if_its_movies_stood_there_so_often(measure: MetricName) -> None:
    truth = make_truth(12, seed=5)
    a, b = guess(truth, seed=2, knows=0.3), guess(truth, seed=3, knows=0.1)
    found = compare(truth, a, b, measure=measure, draws=1, seed=11)
    counts = np.random.default_rng(11).multinomial(12, np.full(12, 1 / 12), size=1)[0]
    assert counts.max() > 1
    again, half = np.repeat(np.arange(12), counts), np.full(4, 0.5)
    of_a, of_b = (
        getattr(measure_model(truth[again], s[again], genres="ABCD", thresholds=half), measure)
        for s in (a, b)
    )
    assert found.low == found.high == pytest.approx(of_a - of_b, abs=1e-12)


def test_over_folds_the_figure_is_their_mean() -> None:
    """The models of two folds need no common scale: shifting one fold's scores changes nothing."""
    truth = make_truth(90, seed=1)
    folds = np.arange(90) % 3
    a, b = guess(truth, seed=2, knows=0.3), guess(truth, seed=3, knows=0.2)
    found = compare(truth, a, b, folds=folds, draws=100, seed=7)
    half = np.full(4, 0.5)
    parts = [
        measure_model(truth[folds == k], a[folds == k], genres="ABCD", thresholds=half)
        for k in range(3)
    ]
    assert found.a == pytest.approx(np.mean([part.mean_ap for part in parts]))
    shifted = compare(truth, a + folds[:, None], b, folds=folds, draws=100, seed=7)
    assert (shifted.difference, shifted.low) == pytest.approx((found.difference, found.low))


def test_many_pairs_are_measured_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    truth = make_truth(30, seed=1)
    a, b = guess(truth, seed=2, knows=0.3), guess(truth, seed=3, knows=0.2)
    whole = compare(truth, a, b, measure="micro_ap", draws=20, seed=7)
    monkeypatch.setattr("trailergenre.metrics.bootstrap._BLOCK_VALUES", 3 * truth.size)
    assert compare(truth, a, b, measure="micro_ap", draws=20, seed=7) == whole


def test_draws_without_a_figure_are_left_out() -> None:
    """Three movies of one genre each: a draw of one movie alone has no area under the curve."""
    truth = np.eye(3, dtype=np.int8)
    a, b = guess(truth, seed=2, knows=0.3), guess(truth, seed=3, knows=0.1)
    found = compare(truth, a, b, measure="macro_auc", draws=200, seed=7)
    counts = np.random.default_rng(7).multinomial(3, np.full(3, 1 / 3), size=200)
    assert found.draws == (counts.max(axis=1) < 3).sum() < 200
    assert -1 <= found.low <= found.difference <= found.high <= 1
    assert 0 <= found.share_a_better <= 1


@pytest.mark.parametrize("folds", [None, np.arange(6) % 2])
def test_what_the_movies_themselves_have_no_figure_of_is_not_compared(
    folds: NDArray[np.int64] | None,
) -> None:
    """One genre that every movie has: nothing is ranked below it."""
    truth = np.ones((6, 1), np.int8)
    scores = np.random.default_rng(1).random((2, 6, 1))
    assert compare_models(truth, *scores, measure="macro_auc", folds=folds, seed=7) is None
    assert compare_models(truth, *scores, measure="mean_ap", folds=folds, seed=7) is not None


def test_a_fold_without_a_figure_does_not_count() -> None:
    """As in the evaluation: the mean is over the folds that have the figure."""
    truth = np.concatenate([make_truth(20, seed=1), np.ones((4, 4), np.int8)])
    folds = np.repeat([0, 1], [20, 4])
    a, b = guess(truth, seed=2, knows=0.3), guess(truth, seed=3, knows=0.1)
    found = compare(truth, a, b, measure="macro_auc", folds=folds, draws=20, seed=7)
    alone = compare(truth[:20], a[:20], b[:20], measure="macro_auc", draws=20, seed=7)
    assert (found.a, found.b) == pytest.approx((alone.a, alone.b))


def test_the_interval_of_a_model_holds_its_map_and_narrows_with_movies() -> None:
    widths = []
    for n in (50, 800):
        truth = make_truth(n, seed=1)
        found = mean_ap_interval(truth, guess(truth, seed=2, knows=0.3), draws=200, seed=7)
        assert 0 <= found.low < found.value < found.high <= 1
        assert (found.movies, found.draws) == (n, 200)
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_the_interval_over_folds_is_of_the_mean_of_the_folds() -> None:
    truth = make_truth(80, seed=1)
    scores, folds = guess(truth, seed=2, knows=0.3), np.arange(80) // 40
    found = mean_ap_interval(truth, scores, folds=folds, draws=50, seed=7)
    each = [mean_ap(truth[folds == k], scores[folds == k]) for k in (0, 1)]
    assert found.value == pytest.approx(np.mean(each))


def test_the_interval_of_rare_genres_holds_the_map_of_endless_movies() -> None:
    """The percentile interval holds it in 27 of these 40 tests: few movies raise mAP."""

    def draw(n: int, rng: np.random.Generator) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
        shares = np.array([0.5, 0.3, 0.2, 0.1, 0.05, 0.04])
        truth = (rng.random((n, 6)) < shares).astype(np.int8)
        truth[~truth.any(axis=1), 0] = 1
        return truth, truth + rng.normal(size=truth.shape)

    endless = mean_ap(*draw(50_000, np.random.default_rng(1)))
    rng = np.random.default_rng(2)
    found = [mean_ap_interval(*draw(200, rng), draws=200, seed=7) for _ in range(40)]
    assert sum(each.low <= endless <= each.high for each in found) >= 32

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from trailergenre.metrics.multilabel import (
    average_by_movie,
    calibration_error,
    choose_thresholds,
    hits_in_top,
    mean_ap,
    measure,
)

GENRES = ("Action", "Comedy", "Drama", "War")
TRUTH = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1]], np.int8)
HALF = np.full(4, 0.5)


def test_a_perfect_model_reaches_the_oracle_and_not_more() -> None:
    figures = measure(TRUTH, TRUTH.astype(float), genres=GENRES, thresholds=HALF)
    assert figures.movies == 3
    assert (figures.mean_ap, figures.micro_ap, figures.sample_ap, figures.weighted_ap) == (1,) * 4
    assert figures.macro_auc == figures.macro_f1 == figures.micro_f1 == 1
    assert (figures.brier, figures.ece) == (0, 0)
    # Two, one and four true genres: three places can hold 2 + 1 + 3 of them.
    assert figures.precision_at_3 == figures.oracle_precision_at_3 == pytest.approx(6 / 9)
    assert figures.recall_at_3 == pytest.approx((1 + 1 + 3 / 4) / 3)


def test_average_precision_by_hand() -> None:
    truth = np.array([[1], [0], [1]], np.int8)
    assert mean_ap(truth, np.array([[0.9], [0.8], [0.7]])) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_average_precision_is_scikit_learns(levels: int) -> None:
    rng = np.random.default_rng(levels)
    truth = (rng.random((50, 6)) < 0.3).astype(np.int8)
    scores = rng.integers(levels, size=truth.shape) / levels
    expected = average_precision_score(truth, scores, average="macro")
    assert mean_ap(truth, scores) == pytest.approx(expected, abs=1e-12)


def test_equal_scores_give_the_share_of_true_ones() -> None:
    truth = np.array([[1], [0], [0], [0]], np.int8)
    assert mean_ap(truth, np.zeros((4, 1))) == pytest.approx(0.25)


def test_a_genre_without_movies_counts_in_no_mean() -> None:
    truth = np.array([[1, 0], [1, 0]], np.int8)
    figures = measure(truth, np.full((2, 2), 0.5), genres=GENRES[:2], thresholds=HALF[:2])
    action, comedy = figures.genres
    assert (action.ap, action.auc, action.n) == (1, None, 2)
    assert (comedy.ap, comedy.auc, comedy.n) == (None, None, 0)
    assert figures.mean_ap == 1
    assert figures.macro_auc is None


def test_means_weigh_genres_and_supports() -> None:
    truth = np.array([[1, 0], [1, 0], [1, 1]], np.int8)
    scores = np.array([[0.9, 0.9], [0.8, 0.8], [0.7, 0.1]])
    figures = measure(truth, scores, genres=GENRES[:2], thresholds=HALF[:2])
    assert figures.mean_ap == pytest.approx((1 + 1 / 3) / 2)
    assert figures.weighted_ap == pytest.approx((3 * 1 + 1 / 3) / 4)


def test_movies_without_a_genre_are_refused() -> None:
    with pytest.raises(ValueError, match="a genre for each movie"):
        measure(np.zeros((1, 4), np.int8), np.zeros((1, 4)), genres=GENRES, thresholds=HALF)


def test_ties_in_the_top_go_to_the_more_frequent_genre() -> None:
    assert hits_in_top(np.array([[0, 0, 0, 1]], np.int8), np.full((1, 4), 0.5)).tolist() == [0]


def test_calibration_error_by_hand() -> None:
    truth = np.array([1, 1, 0, 0], np.int8)
    # One bin: mean probability .95 of two true ones; another: .15 of two false ones.
    assert calibration_error(truth, np.array([0.95, 0.95, 0.15, 0.15])) == pytest.approx(0.1)
    assert calibration_error(truth, np.array([1.0, 1.0, 0.0, 0.0])) == 0


def test_threshold_is_the_best_on_the_validation_part() -> None:
    truth = np.array([[1], [1], [0], [0]], np.int8)
    probabilities = np.array([[0.8], [0.3], [0.2], [0.1]])
    assert choose_thresholds(truth, probabilities).tolist() == [0.3]


def test_of_two_equal_thresholds_the_higher_is_taken() -> None:
    truth = np.array([[1], [0], [0], [1]], np.int8)
    assert choose_thresholds(truth, np.array([[0.9], [0.8], [0.7], [0.6]])).tolist() == [0.9]


@pytest.mark.parametrize("levels", [3, 10, 1000])
def test_no_threshold_has_a_better_f1_by_scikit_learn(levels: int) -> None:
    rng = np.random.default_rng(levels)
    truth = (rng.random((40, 1)) < 0.3).astype(np.int8)
    probabilities = np.round(0.3 * truth + 0.7 * rng.random((40, 1)), 6) * levels // 1 / levels
    (chosen,) = choose_thresholds(truth, probabilities)
    scores = {t: f1_score(truth, probabilities >= t) for t in np.unique(probabilities)}
    assert scores[chosen] == max(scores.values())
    assert chosen == max(t for t, score in scores.items() if score == scores[chosen])


def test_threshold_without_a_positive_is_a_half() -> None:
    assert choose_thresholds(np.zeros((3, 2), np.int8), np.full((3, 2), 0.1)).tolist() == [0.5, 0.5]


def test_the_links_of_a_movie_are_merged() -> None:
    truth = np.array([[1, 0], [0, 1], [0, 0]], np.int8)
    values = np.array([[0.2, 0.4], [0.6, 0.0], [1.0, 0.5]])
    movies, union, means = average_by_movie(["tt2", "tt2", "tt1"], truth, values)
    assert movies == ["tt1", "tt2"]
    assert union.tolist() == [[0, 0], [1, 1]]
    np.testing.assert_allclose(means, [[1.0, 0.5], [0.4, 0.2]])

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from trailergenre.metrics.folds import join_folds, mean_std
from trailergenre.metrics.genre_sets import measure_subset
from trailergenre.metrics.multilabel import Metrics, measure

GENRES = ("Action", "Comedy", "Drama", "War")
HALF = np.full(4, 0.5)


def model(n: int, *, seed: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Movies of one genre each, the last genre of none, and a model that knows a little."""
    rng = np.random.default_rng(seed)
    truth = np.eye(4, dtype=np.int8)[np.arange(n) % 3]
    return truth, 0.2 * truth + 0.8 * rng.random(truth.shape)


def fold(n: int, *, seed: int) -> Metrics:
    return measure(*model(n, seed=seed), genres=GENRES, thresholds=HALF)


def test_every_figure_gets_mean_and_mean_std() -> None:
    folds = [fold(30, seed=1), fold(33, seed=2), fold(36, seed=3)]
    joined = join_folds(folds)
    assert (joined.movies, joined.folds) == (99, tuple(folds))
    aps = [figures.mean_ap for figures in folds]
    found = joined.values["mean_ap"]
    assert found is not None
    assert found.mean == pytest.approx(np.mean(aps))
    assert found.std == pytest.approx(np.std(aps, ddof=1))
    assert found.std > 0.01
    assert {"micro_ap", "sample_ap", "macro_auc", "brier", "ece"} < set(joined.values)
    assert not {"movies", "genres"} & set(joined.values)


def test_a_genres_movies_are_those_of_all_folds() -> None:
    joined = join_folds([fold(30, seed=1), fold(33, seed=2)])
    action, *_, war = joined.genres
    assert (action.genre, action.n) == ("Action", 21)
    assert action.values["ap"] is not None
    assert action.values["ap"].folds == 2
    assert (war.n, war.values["ap"]) == (0, None)


def test_one_fold_has_no_spread_and_none_no_mean() -> None:
    alone = mean_std([0.5])
    assert alone is not None
    assert (alone.mean, alone.std) == (0.5, None)
    assert mean_std([None]) is None


def test_folds_of_other_genres_are_not_joined() -> None:
    truth, scores = model(30, seed=1)
    fewer = measure(truth[:, :3], scores[:, :3], genres=GENRES[:3], thresholds=HALF[:3])
    with pytest.raises(ValueError, match="zip"):
        join_folds([fold(30, seed=1), fewer])


def test_a_set_of_genres_leaves_out_the_other_movies() -> None:
    truth, scores = model(30, seed=1)
    found = measure_subset(
        truth, scores, genres=GENRES, thresholds=HALF, subset=("Drama", "Action")
    )
    assert found is not None
    assert [genre.genre for genre in found.genres] == ["Action", "Drama"]
    kept = truth[:, [0, 2]].any(axis=1)
    assert found == measure(
        truth[kept][:, [0, 2]],
        scores[kept][:, [0, 2]],
        genres=("Action", "Drama"),
        thresholds=HALF[:2],
    )
    assert found.movies == 20


@pytest.mark.parametrize("subset", [("Drama", "Western"), ("War",)])
def test_a_set_that_is_not_modelled_or_has_no_movie_has_no_figures(
    subset: tuple[str, ...],
) -> None:
    truth, scores = model(30, seed=1)
    assert measure_subset(truth, scores, genres=GENRES, thresholds=HALF, subset=subset) is None

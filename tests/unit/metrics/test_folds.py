from __future__ import annotations

from dataclasses import replace

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


def test_every_figure_gets_mean_and_std() -> None:
    folds = [fold(30, seed=1), fold(33, seed=2), fold(36, seed=3)]
    joined = join_folds(folds)
    assert joined["movies"] == 99
    aps = [figures.mean_ap for figures in folds]
    assert [own["mean_ap"] for own in joined["folds"]] == aps
    assert joined["mean_ap"] == pytest.approx(np.mean(aps))
    assert joined["std"]["mean_ap"] == pytest.approx(np.std(aps, ddof=1))
    assert joined["std"]["mean_ap"] > 0.01
    assert {"micro_ap", "sample_ap", "macro_auc", "brier", "ece"} < set(joined["std"])
    assert not {"movies", "genres"} & set(joined["std"])


def test_a_genres_movies_are_those_of_all_folds() -> None:
    action, *_, war = join_folds([fold(30, seed=1), fold(33, seed=2)])["genres"]
    assert (action["genre"], action["n"]) == ("Action", 21)
    assert action["ap"] > 0
    assert (war["n"], war["ap"]) == (0, None)


def test_the_folds_that_lack_a_metric_do_not_count() -> None:
    known = fold(30, seed=1)
    means, stds = mean_std([known, replace(known, macro_auc=None)])
    assert (means["macro_auc"], stds["macro_auc"]) == (known.macro_auc, None)
    assert stds["mean_ap"] == 0
    assert mean_std([replace(known, macro_auc=None)])[0]["macro_auc"] is None


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

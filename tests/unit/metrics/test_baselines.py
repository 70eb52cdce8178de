from __future__ import annotations

import numpy as np
import pytest

from trailergenre.metrics.baselines import (
    N_DRAWS,
    mixed_genres_baseline,
    random_baseline,
    random_metrics,
)

RNG = np.random.default_rng(3)


def test_random_scores_lie_above_the_share_of_true_ones() -> None:
    truth = np.eye(4, dtype=np.int8)[np.arange(40) % 4]
    found = random_baseline([truth])
    assert 0.25 < found.mean_ap < found.mean_ap_p95 < 0.6
    assert found.draws == N_DRAWS
    assert found == random_baseline([truth])


def test_luck_evens_out_over_folds() -> None:
    truths = [np.eye(4, dtype=np.int8)[np.arange(20) % 4] for _ in range(5)]
    alone, together = random_baseline(truths[:1]), random_baseline(truths)
    assert together.mean_ap == pytest.approx(alone.mean_ap, abs=0.02)
    assert together.mean_ap_p95 - together.mean_ap < (alone.mean_ap_p95 - alone.mean_ap) / 1.5


def test_mixing_the_genres_of_a_perfect_model_leaves_little() -> None:
    truth = np.eye(4, dtype=np.int8)[np.arange(40) % 4]
    found = mixed_genres_baseline([truth], [truth.astype(float)])
    assert found.mean_ap_p95 < 1
    assert found.mean_ap > random_baseline([truth]).mean_ap


def test_scores_that_never_differ_can_be_mixed() -> None:
    truth = np.eye(4, dtype=np.int8)[np.arange(8) % 4]
    assert mixed_genres_baseline([truth], [np.full(truth.shape, 0.5)]).mean_ap == pytest.approx(
        0.25
    )


def test_every_figure_of_random_scores_is_near_what_chance_gives() -> None:
    truth = (RNG.random((200, 4)) < 0.3).astype(np.int8) | np.eye(4, dtype=np.int8)[
        np.arange(200) % 4
    ]
    found = random_metrics(truth, "ABCD")
    assert found == random_metrics(truth, "ABCD") != random_metrics(truth, "ABCD", fold=1)
    share = truth.mean()
    assert (found.movies, [genre.n for genre in found.genres]) == (200, [*truth.sum(axis=0)])
    assert found.mean_ap == pytest.approx(share, abs=0.05)
    assert found.macro_auc == pytest.approx(0.5, abs=0.05)
    assert found.precision_at_3 == pytest.approx(share, abs=0.03)
    assert found.micro_f1 == pytest.approx(share / (share + 0.5), abs=0.03)


def test_what_no_draw_has_random_scores_have_not() -> None:
    found = random_metrics(np.ones((5, 1), np.int8), "A")
    assert (found.macro_auc, found.genres[0].auc, found.mean_ap) == (None, None, 1.0)

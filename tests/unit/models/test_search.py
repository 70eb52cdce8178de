from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from runs import GENRES, labelled, labels_table
from searches import make_rows
from trailergenre.base.config import DatasetConfig, ForestConfig, LogisticConfig, TemporalConfig
from trailergenre.base.errors import ConfigError
from trailergenre.links.labelled_links import LabelledLink, Part
from trailergenre.models.search import (
    RANGES,
    Parameters,
    choose_trial,
    describe_trial,
    draw_trials,
    gather_rows,
    score_trial,
)
from trailergenre.models.training_set import TrainingSet, prepare_training


@pytest.mark.parametrize("start", [ForestConfig(trees=7), LogisticConfig(c=0.5)])
def test_a_seed_means_one_set_of_trials(start: Parameters) -> None:
    trials = draw_trials(start, trials=6, seed=3)
    assert trials == draw_trials(start, trials=6, seed=3)
    assert trials != draw_trials(start, trials=6, seed=4)
    assert trials[0] == start
    assert len(trials) == 6


def test_values_are_drawn_inside_their_ranges() -> None:
    start = ForestConfig(seed=11)
    for trial in draw_trials(start, trials=200, seed=1)[1:]:
        assert isinstance(trial, ForestConfig)
        # A copy is not validated again.
        assert ForestConfig.model_validate(trial.model_dump()) == trial
        for name, found in RANGES[ForestConfig].items():
            assert found.least <= getattr(trial, name) <= found.most
        assert trial.seed == 11


def test_small_values_are_drawn_as_often_as_large_ones() -> None:
    drawn = [t.c for t in draw_trials(LogisticConfig(), trials=400, seed=1)[1:]]  # type: ignore[union-attr]
    assert 0.4 < np.mean(np.array(drawn) < 1e-2) < 0.6


def training_set(links: list[LabelledLink], **dataset: int) -> TrainingSet:
    outcomes = pa.table(
        {
            "link_id": [link.link_id for link in links],
            "outcome": ["ok"] * len(links),
            "commit": ["c"] * len(links),
        }
    )
    config = DatasetConfig(min_movies_per_genre=2, **dataset)
    return prepare_training(labels_table(links), outcomes, config, shuffle_labels=False)


def test_rows_are_those_of_the_training_part_and_movies_stay_together() -> None:
    links = [labelled(f"m{i}-{k}", [GENRES[i % 4]], f"tt{i}") for i in range(24) for k in range(2)]
    training = training_set(links)
    n_links = len(training.link_ids_of(Part.TRAIN))
    places = np.repeat(np.arange(n_links), 3)
    rows = gather_rows(training, places, np.zeros((len(places), 2), np.float32), seed=7)
    np.testing.assert_array_equal(rows.truth, training.truth_of(Part.TRAIN)[places])
    tested = {
        link.movie_id
        for link, part in zip(training.links, training.parts, strict=True)
        if part != Part.TRAIN
    }
    assert not tested & set(rows.movie_ids)
    pairs = set(zip(rows.movie_ids, rows.folds.tolist(), strict=True))
    assert len(pairs) == len(set(rows.movie_ids))
    assert {fold for _, fold in pairs} == {0, 1, 2}


def test_too_few_movies_for_the_inner_folds_are_refused() -> None:
    training = training_set([labelled(f"m{i}", ["Action"]) for i in range(4)], folds=2)
    links = training.link_ids_of(Part.TRAIN)
    assert len(links) < 3
    rows = np.zeros((len(links), 2), np.float32)
    with pytest.raises(ConfigError, match=r"3 inner folds.*Omit --search"):
        gather_rows(training, np.arange(len(links)), rows, seed=7)


def test_a_network_has_no_range() -> None:
    with pytest.raises(ConfigError, match="forest and logistic"):
        draw_trials(TemporalConfig(), trials=2, seed=1)


def test_the_better_of_two_is_chosen() -> None:
    good = ForestConfig(trees=20, min_rows_per_leaf=3)
    bad = ForestConfig(trees=20, min_rows_per_leaf=60)
    rows = make_rows()
    tried = [bad, good]
    found = choose_trial(tried, [score_trial(rows, trial) for trial in tried], seed=7)
    assert found.parameters == good
    best, worst = found.facts.trials
    assert best.mean_ap > worst.mean_ap + 0.1
    assert best.parameters == {name: getattr(good, name) for name in RANGES[ForestConfig]}
    assert (found.facts.folds, found.facts.seed) == (3, 7)


def test_a_trial_is_scored_by_movie_and_fold() -> None:
    rows = make_rows()
    scores = score_trial(rows, LogisticConfig(c=0.1))
    assert len(scores) == 3
    assert len(set(scores)) == 3
    trial = describe_trial(LogisticConfig(c=0.1), scores)
    assert trial.mean_ap == pytest.approx(np.mean(scores))
    assert trial.spread == pytest.approx(np.std(scores, ddof=1))


def test_a_trial_is_not_scored_on_what_it_learned() -> None:
    """Trees that learn every row by heart know nothing of noise."""
    rows = make_rows()
    noise = np.random.default_rng(1).normal(size=rows.X.shape).astype(np.float32)
    by_heart = ForestConfig(trees=20, max_depth=20, min_rows_per_leaf=1)
    assert max(score_trial(replace(rows, X=noise), by_heart)) < 0.6


def test_of_equal_trials_the_first_is_taken() -> None:
    tried = [LogisticConfig(c=0.1), LogisticConfig(c=0.2)]
    assert choose_trial(tried, [[0.5, 0.5], [0.4, 0.6]], seed=1).parameters == tried[0]

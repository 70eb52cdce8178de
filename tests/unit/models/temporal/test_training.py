from __future__ import annotations

import sys

import numpy as np
import pytest

from sequences import WIDTH, ListSource, labelled, rising_or_falling
from trailergenre.base.config import ForestConfig, LogisticConfig, TemporalConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import FeatureArray, TruthArray
from trailergenre.metrics.multilabel import mean_ap
from trailergenre.models.estimators.forest import fit_forest
from trailergenre.models.estimators.logistic import fit_logistic
from trailergenre.models.pooling import pool_frames
from trailergenre.models.temporal.head import TemporalHead
from trailergenre.models.temporal.source import LabelledFrames
from trailergenre.models.temporal.training import fit_temporal

pytestmark = pytest.mark.slow

TEST = rising_or_falling(200, seed=3)


def fit(
    links: list[LabelledFrames], validation: list[LabelledFrames], **settings: object
) -> tuple[TemporalHead, list[tuple[int, int, str]]]:
    small = {"units": 32, "max_epochs": 8, "patience": 2}
    config = TemporalConfig.model_validate(small | settings)
    epochs: list[tuple[int, int, str]] = []

    def on_step(done: int, total: int, label: str = "") -> None:
        epochs.append((done, total, label))

    head = fit_temporal(ListSource(links), ListSource(validation), config, on_step)
    return head, epochs


def fit_order(head: str, *, shuffled: bool = False) -> TemporalHead:
    train, validation = (
        rising_or_falling(n, seed=seed, shuffled=shuffled) for n, seed in ((320, 1), (80, 2))
    )
    return fit(train, validation, head=head)[0]


def accuracy(probabilities: np.ndarray) -> float:
    truth = np.stack([truth for _, truth in TEST])
    return float((probabilities.argmax(axis=1) == truth.argmax(axis=1)).mean())


def frames_of(links: list[LabelledFrames]) -> list[FeatureArray]:
    return [link.features for link, _ in links]


def pooled(links: list[LabelledFrames]) -> tuple[FeatureArray, TruthArray]:
    rows = [pool_frames(frames, ("mean", "max", "std")) for frames in frames_of(links)]
    return np.stack(rows), np.stack([truth for _, truth in links])


@pytest.mark.slow
@pytest.mark.parametrize(
    "head", ["transformer", pytest.param("gru", marks=pytest.mark.soak), "conv"]
)
def test_a_class_that_shows_in_the_order_is_learned(head: str) -> None:
    assert accuracy(fit_order(head).predict_proba(frames_of(TEST))) >= 0.95


def test_the_mean_of_frames_does_not_know_their_order() -> None:
    assert accuracy(fit_order("mean").predict_proba(frames_of(TEST))) <= 0.6


def test_pooled_models_do_not_know_the_order() -> None:
    X, y = pooled(rising_or_falling(400, seed=1))
    rows, _ = pooled(TEST)
    assert accuracy(fit_logistic(X, y, LogisticConfig()).predict_proba(rows)) <= 0.6
    assert accuracy(fit_forest(X, y, ForestConfig(trees=30)).predict_proba(rows)) <= 0.6


@pytest.mark.slow
def test_shuffled_labels_teach_nothing() -> None:
    probabilities = fit_order("conv", shuffled=True).predict_proba(frames_of(TEST))
    assert accuracy(probabilities) <= 0.6
    np.testing.assert_allclose(probabilities.mean(axis=0), 0.5, atol=0.15)


@pytest.mark.slow
def test_two_fits_are_equal_and_another_seed_is_another() -> None:
    train, validation = rising_or_falling(32, seed=1), rising_or_falling(16, seed=2)
    settings = {"head": "conv", "units": 8, "max_epochs": 1}
    first, second, other = (
        fit(train, validation, **settings, seed=seed)[0].predict_proba(frames_of(TEST))
        for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_the_best_epoch_is_kept_and_patience_ends_the_training() -> None:
    # Noise: the validation mAP goes up and down.
    train, validation = (
        rising_or_falling(n, seed=seed, shuffled=True) for n, seed in ((64, 1), (40, 2))
    )
    head, epochs = fit(
        train, validation, head="mean", max_epochs=40, patience=3, learning_rate=0.05
    )
    maps = [float(label.rsplit(" ", 1)[1]) for _, _, label in epochs]
    best = int(np.argmax(maps))
    assert [epoch for epoch, _, _ in epochs] == list(range(1, len(epochs) + 1))
    assert len(epochs) == best + 1 + 3 < 40
    assert maps[best] > maps[-1]
    truth = np.stack([truth for _, truth in validation])
    given = mean_ap(truth, head.predict_proba(frames_of(validation)))
    assert given == pytest.approx(maps[best], abs=5e-4)  # labels have three digits


def test_features_of_any_scale_are_learned() -> None:
    rng = np.random.default_rng(1)
    sizes, centre = 10.0 ** rng.uniform(-3, 3, WIDTH), 10.0 ** rng.uniform(-3, 3, WIDTH)

    def make(n: int) -> list[LabelledFrames]:
        links = []
        for number in range(n):
            features = rng.normal(size=(5, WIDTH))
            features[:, 0] += 4 * (number % 2)
            features[:, 1] = 0  # constant
            links.append(labelled(features * sizes + centre, [number % 2]))
        return links

    head, _ = fit(make(200), make(60), head="mean", learning_rate=0.02)
    test = make(100)
    given = head.predict_proba(frames_of(test))[:, 0] > 0.5
    assert (given == np.stack([truth[0] for _, truth in test])).mean() >= 0.95


def refusal(
    links: list[LabelledFrames], validation: list[LabelledFrames], **settings: object
) -> str:
    with pytest.raises(ConfigError) as error:
        fit(links, validation, head="mean", **settings)
    return str(error.value)


def test_what_cannot_be_learned_from_is_refused() -> None:
    links = rising_or_falling(8, seed=1)
    unlabelled = [(link, np.zeros(2, np.int8)) for link, _ in links]
    assert "no link to train on" in refusal([], links)
    assert "dataset.validation_share" in refusal(links, [])
    assert "dataset.validation_share" in refusal(links, unlabelled)


def test_a_loss_that_is_no_number_ends_the_run() -> None:
    links = rising_or_falling(8, seed=1)
    assert "Lower temporal.learning_rate" in refusal(links, links, learning_rate=1e38, max_epochs=9)


def test_without_keras_the_run_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    links = rising_or_falling(8, seed=1)
    monkeypatch.setitem(sys.modules, "keras", None)
    assert "pip install 'trailergenre[tensorflow]'" in refusal(links, links)

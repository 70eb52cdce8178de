from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from trailergenre.base.config import TemporalConfig

pytestmark = pytest.mark.slow

HEADS = ["transformer", "gru", "conv", "mean"]
LENGTHS = (17, 3, 1, 9)
WIDTH, N_GENRES = 16, 3

BuildHead = Callable[..., Any]


@pytest.fixture(scope="module")
def build() -> Iterator[BuildHead]:
    """Build a small head whose features are scaled."""
    from trailergenre.models.temporal.heads import build_head, set_scale

    def build(head: str) -> Any:
        model = build_head(TemporalConfig(head=head, units=24), WIDTH, N_GENRES)
        set_scale(model, np.full(WIDTH, 5.0), np.full(WIDTH, 2.0))
        return model

    return build


def links(padding: int, content: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The same frames, whatever the padding behind them and what it holds."""
    rng = np.random.default_rng(seed)
    features = np.full((len(LENGTHS), max(LENGTHS) + padding, WIDTH), content, np.float32)
    mask = np.zeros(features.shape[:2], np.float32)
    for row, length in enumerate(LENGTHS):
        features[row, :length] = rng.normal(5, 2, (length, WIDTH))
        mask[row, :length] = 1
    return features, mask


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("padding", "content"), [(0, 1e4), (30, 0.0), (30, -1e4)])
def test_padding_changes_nothing(build: BuildHead, head: str, padding: int, content: float) -> None:
    model = build(head)
    expected = model.predict_on_batch(list(links(0, 0.0)))
    padded = model.predict_on_batch(list(links(padding, content)))
    assert expected.shape == (len(LENGTHS), N_GENRES)
    np.testing.assert_allclose(padded, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("head", HEADS)
def test_a_link_in_a_batch_scores_as_alone(build: BuildHead, head: str) -> None:
    model = build(head)
    features, mask = links(0, 0.0)
    together = model.predict_on_batch([features, mask])
    for row, length in enumerate(LENGTHS):
        one = slice(row, row + 1)
        alone = model.predict_on_batch([features[one, :length], mask[one, :length]])
        np.testing.assert_allclose(alone[0], together[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param("transformer", marks=pytest.mark.slow),
        pytest.param("gru", marks=pytest.mark.slow),
        "conv",
        "mean",
    ],
)
def test_the_exported_head_gives_what_keras_gives(build: BuildHead, head: str) -> None:
    from trailergenre.models.temporal.training import export_head

    model = build(head)
    model.predict_on_batch(list(links(0, 0.0)))  # only what was called can be exported
    exported = export_head(model)
    assert (exported.n_features, exported.n_genres) == (WIDTH, N_GENRES)
    # float32 sums of up to 1,200 frames in another order; probabilities, so no larger than 1.
    tolerance = {"rtol": 0, "atol": 1e-5}
    for padding in (0, 30):
        features, mask = links(padding, 0.0)
        expected = model.predict_on_batch([features, mask])
        # The network takes padded batches, though `predict_proba` has no need of them.
        given = exported._session.run(None, {"features": features, "mask": mask})[0]
        np.testing.assert_allclose(given, expected, **tolerance)
    sequences = [features[row, :length] for row, length in enumerate(LENGTHS)]
    np.testing.assert_allclose(exported.predict_proba(sequences), expected, **tolerance)
    long = np.random.default_rng(1).normal(5, 2, (1, 1200, WIDTH)).astype(np.float32)
    expected = model.predict_on_batch([long, np.ones((1, 1200), np.float32)])
    np.testing.assert_allclose(exported.predict_proba([long[0]]), expected, **tolerance)


@pytest.mark.parametrize("head", ["transformer", "gru", "conv"])
def test_order_matters_to_all_but_the_mean(build: BuildHead, head: str) -> None:
    features, mask = links(0, 0.0)
    there, back = [features[:1], mask[:1]], [features[:1, ::-1], mask[:1]]
    ordered, plain = build(head), build("mean")
    change = ordered.predict_on_batch(there) - ordered.predict_on_batch(back)
    assert np.abs(change).max() > 1e-4
    change = plain.predict_on_batch(there) - plain.predict_on_batch(back)
    assert np.abs(change).max() < 1e-6


def test_the_transformer_has_the_published_size() -> None:
    from trailergenre.models.temporal.heads import build_head

    model = build_head(TemporalConfig(), 2048, 20)
    assert 0.4e6 < sum(weights.size for weights in map(np.asarray, model.get_weights())) < 0.8e6


@pytest.mark.parametrize("units", [1, 7])
def test_sizes_that_do_not_divide_are_no_matter(units: int) -> None:
    from trailergenre.models.temporal.heads import build_head

    model = build_head(TemporalConfig(units=units, heads=4), WIDTH, 1)
    assert model.predict_on_batch(list(links(0, 0.0))).shape == (len(LENGTHS), 1)


def test_the_scale_is_inside(build: BuildHead) -> None:
    from trailergenre.models.temporal.heads import set_scale

    model = build("mean")
    features, mask = links(0, 0.0)
    expected = model.predict_on_batch([features, mask])
    set_scale(model, np.full(WIDTH, 50.0), np.full(WIDTH, 20.0))
    np.testing.assert_allclose(model.predict_on_batch([features * 10, mask]), expected, atol=1e-6)
    assert len(model.trainable_weights) == 2  # those of the last layer

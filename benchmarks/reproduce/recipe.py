"""The transformer by the recipe of the paper of Trailers12k (arXiv 2210.07983).

One transformer block over 30 random consecutive clips in training and all windows of 30, averaged,
in testing; AdamW with amsgrad at 1e-3, binary cross-entropy, 32 movies a batch, 10 epochs, the
epoch of the best validation loss, a lower rate on a plateau. Ours where the paper is silent: width,
heads and dropout of `TemporalConfig`, the rate halved after two epochs without a better loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.config import TemporalConfig
from trailergenre.base.progress import OnStep
from trailergenre.base.records import ProbabilityArray
from trailergenre.models.temporal import batches
from trailergenre.models.temporal.source import FeatureSource, LabelledFrames

CLIPS = 30
BATCH = 32
EPOCHS = 10
RATE = 1e-3
WEIGHT_DECAY = 0.01  # PyTorch's default
PATIENCE = 2
_BETTER = 1e-4  # of itself, PyTorch's default

Model = Any


def fit_recipe(
    training: FeatureSource, validation: FeatureSource, on_step: OnStep, seed: int = 7
) -> Model:
    """Fit the model, a Keras model; reads all features again in every epoch."""
    import keras

    from trailergenre.models.temporal import heads

    keras.utils.set_random_seed(seed)
    scale = batches.measure_scale(training.stream(seed))
    model = heads.build_head(TemporalConfig(), len(scale.mean), scale.n_genres)
    heads.set_scale(model, scale.mean, scale.std)
    optimizer = keras.optimizers.AdamW(RATE, weight_decay=WEIGHT_DECAY, amsgrad=True)
    model.compile(optimizer, loss="binary_crossentropy", jit_compile=False)
    best, best_weights, n_worse = np.inf, model.get_weights(), 0
    for epoch in range(1, EPOCHS + 1):
        for batch in _batches(training, seed + epoch):
            model.train_on_batch([batch.features, batch.mask], batch.truth)
        loss = _cross_entropy(validation.truth, score_windows(model, validation))
        on_step(epoch, EPOCHS, f"validation loss {loss:.4f}")
        n_worse = 0 if loss < best * (1 - _BETTER) else n_worse + 1
        if loss < best:
            best, best_weights = loss, model.get_weights()
        if n_worse > PATIENCE:
            optimizer.learning_rate.assign(optimizer.learning_rate * 0.5)
            n_worse = 0
    model.set_weights(best_weights)
    return model


def _batches(source: FeatureSource, seed: int) -> Iterator[batches.Batch]:
    """Batches of random windows."""
    random = np.random.default_rng(seed)

    def windows() -> Iterator[LabelledFrames]:
        for link, truth in source.stream(seed):
            start = int(random.integers(0, max(1, len(link.features) - CLIPS + 1)))
            yield replace(link, features=link.features[start : start + CLIPS].copy()), truth

    return batches.shuffled_batches(windows(), batch_size=BATCH, seed=seed)


def score_windows(model: Model, source: FeatureSource) -> ProbabilityArray:
    """The mean probability over all windows of a movie; row i belongs to source.link_ids[i]."""
    place_of = {link_id: place for place, link_id in enumerate(source.link_ids)}
    total: NDArray[np.float64] = np.zeros(source.truth.shape)
    count = np.zeros(len(source.link_ids))
    waiting: list[LabelledFrames] = []

    def flush() -> None:
        batch = batches.pad_links(waiting)
        found = model.predict_on_batch([batch.features, batch.mask])
        places = [place_of[link.link_id] for link, _ in waiting]
        np.add.at(total, places, found.astype(np.float64))
        np.add.at(count, places, 1)
        waiting.clear()

    for link, truth in source.stream(0):
        for start in range(0, len(link.features), CLIPS):
            waiting.append((replace(link, features=link.features[start : start + CLIPS]), truth))
            if len(waiting) == BATCH:
                flush()
    if waiting:
        flush()
    return total / count[:, None]


def _cross_entropy(truth: NDArray[np.int8], probabilities: ProbabilityArray) -> float:
    p = probabilities.clip(1e-7, 1 - 1e-7)
    return float(-np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p)))

"""Training of temporal heads with Keras: features are read again in every epoch."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from trailergenre.base.config import TemporalConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.native_logs import hold_native_logs, quiet_keras
from trailergenre.base.progress import OnStep
from trailergenre.base.versions import check_minimum_versions
from trailergenre.metrics.multilabel import mean_ap
from trailergenre.models.temporal import batches
from trailergenre.models.temporal.head import TemporalHead, from_bytes
from trailergenre.models.temporal.source import Source

# Keras has no type stubs.
Model = Any


def fit_temporal(
    training: Source, validation: Source, config: TemporalConfig, on_step: OnStep
) -> TemporalHead:
    """Fit a head by binary cross-entropy and Adam; keep the epoch of the best validation mAP.

    Sets Keras's random state for the whole process; two fits on one machine are equal. `on_step`
    is called with (epochs done, maximum of epochs, label).

    Raises:
        ConfigError: Keras is missing, there is no data, or the loss is not finite.
    """
    try:
        scale = batches.measure_scale(training.stream(config.seed))
    except ValueError as error:
        raise ConfigError(f"The temporal head cannot be trained: {error}") from error
    model = _compile_head(config, scale)
    best_map, best_epoch, best_weights = -1.0, 0, model.get_weights()
    for epoch in range(1, config.max_epochs + 1):
        loss = _train_epoch(model, training, config, epoch)
        validation_map = _measure_map(model, validation, config)
        label = f"loss {loss:.4f}, validation mAP {validation_map:.3f}"
        on_step(epoch, config.max_epochs, label)
        if validation_map > best_map:
            best_map, best_epoch, best_weights = validation_map, epoch, model.get_weights()
        elif epoch - best_epoch >= config.patience:
            break
    model.set_weights(best_weights)
    return export_head(model)


def _compile_head(config: TemporalConfig, scale: batches.Scale) -> Model:
    check_minimum_versions("keras")
    try:
        with hold_native_logs():
            import keras

            from trailergenre.models.temporal import heads

            keras.utils.set_random_seed(config.seed)
            model = heads.build_head(config, len(scale.mean), scale.n_genres)
    except ImportError as error:
        raise ConfigError(
            "Training a temporal head needs Keras: pip install 'trailergenre[tensorflow]'."
        ) from error
    heads.set_scale(model, scale.mean, scale.std)
    adam = keras.optimizers.Adam(config.learning_rate)
    # XLA would compile anew for every length.
    model.compile(adam, loss="binary_crossentropy", jit_compile=False)
    return model


def _train_epoch(model: Model, training: Source, config: TemporalConfig, epoch: int) -> float:
    """Train for one epoch; return the mean loss per link."""
    seed = config.seed + epoch
    total, n_links = 0.0, 0
    links = training.stream(seed)
    for batch in batches.shuffled_batches(links, batch_size=config.batch_size, seed=seed):
        loss = model.train_on_batch([batch.features, batch.mask], batch.truth)
        total += float(loss) * len(batch.truth)
        n_links += len(batch.truth)
        del batch  # before the next one is made
    if not math.isfinite(total):
        raise ConfigError(
            f"The temporal head's loss is {total} in epoch {epoch}. Lower "
            f"temporal.learning_rate. Received: {config.learning_rate}."
        )
    return total / n_links


def _measure_map(model: Model, validation: Source, config: TemporalConfig) -> float:
    truth, probabilities = [], []
    links = validation.stream(config.seed)
    for batch in batches.ordered_batches(links, batch_size=config.batch_size):
        truth.append(batch.truth)
        probabilities.append(model.predict_on_batch([batch.features, batch.mask]))
    if not any(batch_truth.any() for batch_truth in truth):
        raise ConfigError(
            "No validation link has a modelled genre, so early stopping is impossible. "
            "Raise dataset.validation_share."
        )
    return mean_ap(np.concatenate(truth), np.concatenate(probabilities).astype(np.float64))


def export_head(model: Model) -> TemporalHead:
    """Export a Keras head to ONNX."""
    with tempfile.TemporaryDirectory(prefix="trailergenre-") as name:
        path = Path(name) / "head.onnx"
        with quiet_keras():
            model.export(str(path), format="onnx", verbose=False)
        return from_bytes(path.read_bytes())

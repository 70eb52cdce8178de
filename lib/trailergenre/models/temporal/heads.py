"""The heads in Keras: features (batch, time, width) and mask (batch, time) to (batch, n_genres).

Finite values where the mask is 0 have no effect. Importing this module imports Keras.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from trailergenre.base.config import TemporalConfig

# Keras has no type stubs: its tensors, layers and models are untyped.
Tensor = Any
Model = Any

_STANDARDISE = "standardise"
_KERNEL_FRAMES = 5
"""Frames that a convolution sees at once: five seconds at one frame a second."""
_WIDENING = 8
"""Inner width of the transformer's feed-forward part over `units`; makes 0.6 M parameters for
2,048 features and 128 units, as DIViTA's (arXiv 2210.07983)."""
_LONGEST_WAVE = 10_000.0
"""Source: Vaswani et al. 2017, section 3.5."""


def build_head(config: TemporalConfig, n_features: int, n_genres: int) -> Model:
    """Build a head with new weights; its input scale is 0, 1 until `set_scale`.

    The model accepts any length of time, and needs at least one frame per link.
    """
    features = keras.Input((None, n_features), name="features")
    mask = keras.Input((None,), name="mask")
    frames = _Standardise(name=_STANDARDISE)(features)
    heads = {"transformer": _transform, "gru": _recur, "conv": _convolve, "mean": _average}
    pooled = heads[config.head](frames, mask, config)
    probabilities = keras.layers.Dense(n_genres, activation="sigmoid", name="genres")(pooled)
    return keras.Model([features, mask], probabilities, name=config.head)


def set_scale(model: Model, mean: NDArray[np.float64], std: NDArray[np.float64]) -> None:
    """Set the mean and standard deviation of each feature, shape (n_features,) each."""
    model.get_layer(_STANDARDISE).set_weights([mean.astype(np.float32), std.astype(np.float32)])


def _mean(frames: Tensor, mask: Tensor) -> Tensor:
    """Mean over a link's frames, without padding."""
    return keras.layers.GlobalAveragePooling1D()(frames, mask=mask)


def _average(frames: Tensor, mask: Tensor, config: TemporalConfig) -> Tensor:
    return _mean(frames, mask)


def _transform(frames: Tensor, mask: Tensor, config: TemporalConfig) -> Tensor:
    """One pre-norm transformer block. Source: DIViTA (arXiv 2210.07983)."""
    layers = keras.layers
    x = layers.Dense(config.units, name="project")(frames)
    x = _AddPositions(config.units)(x, mask)
    attention = layers.MultiHeadAttention(
        config.heads, max(1, config.units // config.heads), dropout=config.dropout
    )
    query = layers.LayerNormalization()(x)
    # Shape (batch, 1, time): no frame attends to padding.
    seen = ops.expand_dims(mask, 1)
    attended = attention(query, query, attention_mask=seen)
    x = x + layers.Dropout(config.dropout)(attended)
    inner = layers.LayerNormalization()(x)
    inner = layers.Dense(_WIDENING * config.units, activation="relu")(inner)
    inner = layers.Dropout(config.dropout)(inner)
    x = x + layers.Dropout(config.dropout)(layers.Dense(config.units)(inner))
    return _mean(layers.LayerNormalization()(x), mask)


def _recur(frames: Tensor, mask: Tensor, config: TemporalConfig) -> Tensor:
    """One forward GRU. Padding follows the frames, so only the mean needs the mask."""
    x = keras.layers.Dense(config.units, name="project")(frames)
    x = keras.layers.GRU(config.units, return_sequences=True)(x)
    return keras.layers.Dropout(config.dropout)(_mean(x, mask))


def _convolve(frames: Tensor, mask: Tensor, config: TemporalConfig) -> Tensor:
    """Two convolutions over time; padding is zeroed before each, like the edge with "same"."""
    x = keras.layers.Dense(config.units, name="project")(frames)
    for _ in range(2):
        x = x * ops.expand_dims(mask, -1)
        x = keras.layers.Conv1D(config.units, _KERNEL_FRAMES, padding="same", activation="relu")(x)
    return keras.layers.Dropout(config.dropout)(_mean(x, mask))


class _Standardise(keras.layers.Layer):  # type: ignore[misc]
    """(features - mean) / std, per feature."""

    def build(self, shape: tuple[int | None, ...]) -> None:
        width = (shape[-1],)
        self.mean = self.add_weight(shape=width, initializer="zeros", trainable=False, name="mean")
        self.std = self.add_weight(shape=width, initializer="ones", trainable=False, name="std")

    def call(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.std


class _AddPositions(keras.layers.Layer):  # type: ignore[misc]
    """Sinusoidal positional encoding, for any length. Source: Vaswani et al. 2017."""

    def __init__(self, units: int, **rest: Any) -> None:  # noqa: ANN401 - Keras's own arguments
        super().__init__(**rest)
        n_waves = (units + 1) // 2
        self._units = units
        self._speeds = (_LONGEST_WAVE ** (-np.arange(n_waves) / n_waves)).astype(np.float32)

    def call(self, x: Tensor, mask: Tensor) -> Tensor:
        place = ops.cumsum(mask, axis=1) - 1
        angles = ops.expand_dims(place, -1) * self._speeds
        waves = ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
        return x + waves[..., : self._units]

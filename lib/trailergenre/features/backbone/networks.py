"""The networks, built in code with Keras; preprocessing is their first layer.

Importing this module imports Keras; only the exporter and the TensorFlow engine do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from trailergenre.base.errors import WeightsError
from trailergenre.base.records import FRAME_SIDE_PX, N_FEATURES

# Keras has no type stubs.
Model = Any


def _inception_v3(inputs: Any) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    """Inception-V3 without its classifier. Source: Szegedy et al. 2016, keras.applications."""
    body = keras.applications.InceptionV3(
        include_top=False, weights=None, pooling="avg", input_shape=(FRAME_SIDE_PX,) * 2 + (3,)
    )
    return body(inputs)


def _tiny(inputs: Any) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    """Two strided convolutions with the same input and output: for tests that need no Inception."""
    x = keras.layers.Conv2D(8, 7, strides=8, activation="relu")(inputs)
    x = keras.layers.Conv2D(N_FEATURES, 3, strides=8, activation="relu")(x)
    return keras.layers.GlobalAveragePooling2D()(x)


NETWORKS: dict[str, Callable[[Any], Any]] = {"inception_v3": _inception_v3, "tiny": _tiny}


def build_network(name: str) -> Model:
    """Build a network with its preprocessing; the weights are Keras's initial ones.

    Returns:
        A model from uint8 RGB (n, 299, 299, 3), 0..255, to float32 (n, 2048).
    """
    if name not in NETWORKS:
        raise WeightsError(f"No network {name!r}. Received one of: {', '.join(NETWORKS)}.")
    inputs = keras.Input((FRAME_SIDE_PX, FRAME_SIDE_PX, 3), dtype="uint8", name="frames")
    # Inception-V3 was trained on [-1, 1]; the pixels arrive as 0..255.
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(inputs)
    outputs = NETWORKS[name](scaled)
    return keras.Model(inputs, outputs, name=name)


def build_mixed_network(name: str) -> Model:
    """As `build_network`, but with computation and output in float16, and weights in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return build_network(name)
    finally:
        keras.config.set_dtype_policy(before)


def random_weights(model: Model, seed: int) -> None:
    """Give a model seeded weights that do not depend on Keras's own generators.

    Kernels are drawn as He et al. 2015 (variance 2 / fan-in), so that activations keep their scale
    through 48 layers; everything else keeps Keras's initial value.
    """
    generator = np.random.default_rng(seed)
    arrays = []
    for array in model.get_weights():
        if array.ndim == 4:
            fan_in = int(np.prod(array.shape[:-1]))
            array = generator.normal(0.0, np.sqrt(2 / fan_in), array.shape).astype(np.float32)
        arrays.append(array)
    model.set_weights(arrays)

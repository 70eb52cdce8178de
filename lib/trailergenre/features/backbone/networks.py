"""The networks of the catalogue, built in code with Keras; preprocessing is their first layer.

Importing this module imports Keras; only the exporter and the TensorFlow engine do.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np

from trailergenre.features.backbone.catalogue import Entry, find_network
from trailergenre.features.backbone.spec import Preprocessing

# Keras has no type stubs.
Model = Any


def build_network(name: str) -> Model:
    """Build a network with its preprocessing; the weights are Keras's initial ones.

    Returns:
        A model from uint8 RGB (n, height, width, 3), 0..255, to float32 (n, width of the output).
    """
    entry = find_network(name)
    inputs = keras.Input(entry.spec.input.shape, dtype="uint8", name="frames")
    values = preprocess(inputs, entry.spec.preprocessing)
    outputs = build_body(entry)(values) if entry.keras_name else _tiny(values, entry)
    return keras.Model(inputs, outputs, name=name)


def preprocess(frames: Any, preprocessing: Preprocessing) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    """Turn the pixels of RGB frames, 0..255, into the network's values, float32."""
    if preprocessing.channels == "BGR":
        frames = keras.ops.take(frames, [2, 1, 0], axis=-1)
    std = np.array(preprocessing.std)
    scale, offset = preprocessing.scale / std, -np.array(preprocessing.mean) / std
    return keras.layers.Rescaling(_alike(scale), offset=_alike(offset), dtype="float32")(frames)


def _alike(values: np.ndarray) -> float | list[float]:
    """One number for channels that are treated alike, which is Inception-V3's graph as ever."""
    return float(values[0]) if (values == values[0]).all() else values.tolist()


def build_body(entry: Entry, weights: str | None = None) -> Model:
    """Build one of Keras's own networks, without its classifier and preprocessing."""
    body = getattr(keras.applications, entry.keras_name)(
        include_top=False,
        weights=weights,
        pooling="avg",
        input_shape=entry.spec.input.shape,
        **entry.options,
    )
    return _count_padding(body) if entry.counts_padding else body


def _count_padding(body: Model) -> Model:
    """The same network, whose average pooling takes what it pads with for zeros."""

    def copy(layer: Any) -> Any:  # noqa: ANN401 - Keras layers are untyped
        if not isinstance(layer, keras.layers.AveragePooling2D) or layer.padding != "same":
            return type(layer).from_config(layer.get_config())
        size = layer.pool_size
        padding = keras.layers.ZeroPadding2D([(n // 2, (n - 1) // 2) for n in size])
        pooling = keras.layers.AveragePooling2D(size, strides=layer.strides)
        return keras.Sequential([padding, pooling], name=layer.name)

    return keras.models.clone_model(body, clone_function=copy)


def _tiny(inputs: Any, entry: Entry) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    """Two strided convolutions: for tests that need no real network."""
    x = keras.layers.Conv2D(8, 7, strides=8, activation="relu")(inputs)
    x = keras.layers.Conv2D(entry.spec.output.width, 3, strides=8, activation="relu")(x)
    return keras.layers.GlobalAveragePooling2D()(x)


def build_mixed_network(name: str) -> Model:
    """As `build_network`, but with computation and output in float16, and weights in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return build_network(name)
    finally:
        keras.config.set_dtype_policy(before)


def for_onnx(model: Model) -> Model:
    """The same network in operations that ONNX has.

    TensorFlow computes a convolution in groups by XLA, and GELU by an operation that the converter
    does not know. ConvNeXt has both: one group a channel, which is a depthwise convolution with the
    same numbers in another shape.
    """

    def copy(layer: Any) -> Any:  # noqa: ANN401 - Keras layers are untyped
        if getattr(layer, "activation", None) is keras.activations.gelu:
            return keras.layers.Activation(_gelu, name=layer.name)
        if not isinstance(layer, keras.layers.Conv2D) or layer.groups == 1:
            return type(layer).from_config(layer.get_config())
        return keras.layers.DepthwiseConv2D(
            layer.kernel_size,
            strides=layer.strides,
            padding=layer.padding,
            use_bias=layer.use_bias,
            name=layer.name,
        )

    layers = [each for body in (model, model.layers[-1]) for each in getattr(body, "layers", [])]
    if all(getattr(layer, "groups", 1) == 1 for layer in layers):
        return model
    exported = keras.models.clone_model(model, clone_function=copy, recursive=True)
    pairs = zip(model.get_weights(), exported.get_weights(), strict=True)
    exported.set_weights([array.reshape(other.shape) for array, other in pairs])
    return exported


def _gelu(x: Any) -> Any:  # noqa: ANN401 - Keras tensors are untyped
    return 0.5 * x * (1 + keras.ops.erf(x / math.sqrt(2)))


def random_weights(model: Model, seed: int, gain: float = 2.0) -> None:
    """Give a model seeded weights that do not depend on Keras's own generators.

    Kernels are drawn as He et al. 2015 (variance 2 / fan-in), so that activations keep their scale
    through many layers; everything else keeps Keras's initial value, which is a constant.

    `gain` stands for the 2: less where activations would grow until gates are all or nothing.
    """
    generator = np.random.default_rng(seed)
    arrays = []
    for array in model.get_weights():
        if array.ndim >= 2:
            # A depthwise kernel has one output for each input channel.
            is_depthwise = array.ndim == 4 and array.shape[-1] == 1
            fan_in = int(np.prod(array.shape[:2] if is_depthwise else array.shape[:-1]))
            array = generator.normal(0.0, np.sqrt(gain / fan_in), array.shape).astype(np.float32)
        arrays.append(array)
    model.set_weights(arrays)

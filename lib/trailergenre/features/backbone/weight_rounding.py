"""Rounding of the weights of convolutions so that the errors of a sum cancel each other.

This is GPTQ (Frantar et al., 2023, arXiv:2210.17323) in its form as Babai's nearest plane: weights
are rounded one after the other, each to the step that also makes up for the errors of those before
it, as measured on the network's own pictures (docs/decisions/0035-int8-trained.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trailergenre.base.onnx_session import open_session
from trailergenre.base.records import FrameArray

LARGEST_STEP = {7: 64, 8: 127}
"""By weight bits: the step of the largest weight of a channel, as ONNX Runtime scales it."""

MAX_FRAMES = 64
"""Most frames to measure inputs on, evenly spread."""
PATCHES = 64
"""Most positions of a convolution in each of them: all that an 8x8 picture has."""

_BATCH = 4
_GROUP_BYTES = 1 << 29
"""Bounds memory: the inputs of as many convolutions are measured at once."""
_DAMPING = 0.01
"""Share of the mean of the diagonal that is added to it: patches are fewer than weights."""
_BLOCK = 128

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]


def round_weights(
    network: onnx.ModelProto, frames: FrameArray, *, weight_bits: int
) -> dict[str, Array]:
    """Round the weights of all convolutions to values that int8 holds exactly.

    The largest weight of each output channel keeps its value, so that the scale stays the same.

    Args:
        network: batch normalisation is folded; it is not changed.
        frames: representative frames, shape (n, height, width, 3), uint8, RGB.
        weight_bits: 7 or 8.

    Returns:
        New values of initializers, by name.
    """
    at = np.linspace(0, len(frames) - 1, min(len(frames), MAX_FRAMES)).astype(int)
    arrays = {each.name: each for each in network.graph.initializer}
    nodes = [
        node for node in network.graph.node if node.op_type == "Conv" and node.input[1] in arrays
    ]
    weights = {
        node.input[1]: onnx.numpy_helper.to_array(arrays[node.input[1]]).astype(np.float32)
        for node in nodes
    }
    rounded = {}
    for names in _groups(weights):
        used = [node for node in nodes if node.input[1] in names]
        for name, moments in _measure_inputs(network, used, weights, frames[at]).items():
            rounded[name] = round_to_steps(weights[name], moments, LARGEST_STEP[weight_bits])
    return rounded


def _groups(weights: dict[str, Array]) -> Iterator[list[str]]:
    """Yield names whose matrices of moments fit into memory together."""
    names: list[str] = []
    n_bytes = 0
    for name, array in weights.items():
        # At most: convolutions of channel groups have smaller ones.
        size = 4 * array[0].size ** 2
        if names and n_bytes + size > _GROUP_BYTES:
            yield names
            names, n_bytes = [], 0
        names.append(name)
        n_bytes += size
    if names:
        yield names


def _measure_inputs(
    network: onnx.ModelProto,
    nodes: Sequence[onnx.NodeProto],
    weights: dict[str, Array],
    frames: FrameArray,
) -> dict[str, Array]:
    """Sum the products of each two inputs of a convolution, over patches of pictures.

    Returns:
        For each array of weights, shape (channel groups, inputs, inputs).
    """
    tensors = sorted({node.input[0] for node in nodes})
    augmented = onnx.ModelProto()
    augmented.CopyFrom(network)
    del augmented.graph.output[:]
    augmented.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in tensors
    )
    session = open_session(augmented.SerializeToString(), threads=os.cpu_count() or 1)
    moments: dict[str, Array] = {}
    for start in range(0, len(frames), _BATCH):
        batch = {session.get_inputs()[0].name: frames[start : start + _BATCH]}
        pictures = dict(zip(tensors, session.run(tensors, batch), strict=True))
        for node in nodes:
            name = node.input[1]
            # One seed for all of them: what is measured does not depend on the groups.
            rng = np.random.default_rng(start)
            patches = take_patches(pictures[node.input[0]], node, weights[name].shape[2:], rng)
            products = patches.swapaxes(1, 2) @ patches
            moments[name] = moments[name] + products if name in moments else products
    return moments


def take_patches(
    pictures: Array, node: onnx.NodeProto, kernel: Sequence[int], rng: np.random.Generator
) -> Array:
    """Cut out what a convolution multiplies at some random positions of all pictures.

    Args:
        pictures: shape (n, channels, height, width).
        node: the ONNX node of the convolution.
        kernel: height and width.
        rng: chooses the positions.

    Returns:
        Shape (channel groups, patches, inputs of an output channel).
    """
    given = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    strides, dilations = given.get("strides", [1, 1]), given.get("dilations", [1, 1])
    reach = [step * (size - 1) + 1 for size, step in zip(kernel, dilations, strict=True)]
    top, left, bottom, right = _pads(given, pictures.shape[2:], reach, strides)
    padded = np.pad(pictures, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = sliding_window_view(padded, reach, axis=(2, 3))
    windows = windows[:, :, :: strides[0], :: strides[1], :: dilations[0], :: dilations[1]]
    height, width = windows.shape[2:4]
    at = rng.choice(height * width, min(PATCHES, height * width), replace=False)
    chosen = windows[:, :, at // width, at % width]
    groups = given.get("group", 1)
    split = chosen.reshape(len(pictures), groups, -1, len(at), *kernel)
    patches: Array = split.transpose(1, 0, 3, 2, 4, 5).reshape(groups, len(pictures) * len(at), -1)
    return patches


def _pads(
    given: dict[str, Any], sizes: Sequence[int], reach: Sequence[int], strides: Sequence[int]
) -> list[int]:
    """Rows and columns of zeros at the top, left, bottom and right."""
    auto = given.get("auto_pad", b"NOTSET")
    if not auto.startswith(b"SAME"):
        return list(given.get("pads", [0, 0, 0, 0]))
    total = [
        max(0, (-(-size // stride) - 1) * stride + each - size)
        for size, each, stride in zip(sizes, reach, strides, strict=True)
    ]
    less, more = [each // 2 for each in total], [each - each // 2 for each in total]
    return less + more if auto == b"SAME_UPPER" else more + less


def round_to_steps(weights: Array, moments: Array, largest_step: int) -> Array:
    """Round weights so that the outputs of the convolution change little.

    Args:
        weights: shape (output channels, inputs of a channel group, height, width).
        moments: sums of products of inputs, shape (channel groups, inputs, inputs).
        largest_step: of an output channel's steps, which go from -largest_step to largest_step.
    """
    groups, n, _ = moments.shape
    # Shape (channel groups, inputs, output channels); float64, since errors add up.
    exact: Doubles = weights.reshape(groups, -1, n).swapaxes(1, 2).astype(np.float64)
    largest = np.abs(exact).argmax(1)
    scale = (np.abs(exact).max(1) / largest_step).astype(np.float32).astype(np.float64)
    scale[scale == 0] = 1
    factor = _factorise(moments)
    errors = np.zeros_like(exact)
    # The last input is rounded first. In blocks, since large products of matrices are faster.
    for end in range(n, 0, -_BLOCK):
        start = max(0, end - _BLOCK)
        outside = factor[:, end:, start:end].swapaxes(1, 2) @ errors[:, end:]
        block = np.ascontiguousarray(factor[:, start:end, start:end].swapaxes(1, 2))
        for i in reversed(range(start, end)):
            row = block[:, i - start, None]
            inside = row[:, :, i - start + 1 :] @ errors[:, i + 1 : end]
            owed = (outside[:, i - start] + inside[:, 0]) / row[:, :, i - start]
            steps = np.rint((exact[:, i] + owed) / scale).clip(-largest_step, largest_step)
            steps = np.where(largest == i, np.sign(exact[:, i]) * largest_step, steps)
            errors[:, i] = exact[:, i] - steps * scale
    rounded: Array = (exact - errors).swapaxes(1, 2).reshape(weights.shape).astype(np.float32)
    return rounded


def _factorise(moments: Array) -> NDArray[Any]:
    """Cholesky's factor, damped, so that there is one even if an input is always zero."""
    damped: Doubles = moments.astype(np.float64)
    diagonal = np.einsum("gii->gi", damped)
    means = diagonal.mean(1, keepdims=True)
    diagonal += np.where(means > 0, _DAMPING * means, 1)
    factor: NDArray[Any] = np.linalg.cholesky(damped)
    return factor

"""Scaling of channels between the first convolutions, so that int8 has enough steps for each.

A tensor has one scale in int8, so that channels of small values have few steps. Relu(x / s) is
Relu(x) / s for a positive s: one convolution's weights are divided by s, the next one's are
multiplied by it, and the network's output stays the same. This is cross-layer equalisation (Nagel
et al., 2019, arXiv:1906.04721). It helps on the large pictures of the first convolutions; later,
other frames exceed what a channel had on the representative ones
(docs/decisions/0035-int8-trained.md).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from trailergenre.base.onnx_session import open_session
from trailergenre.base.records import FrameArray

_BATCH = 4
_SMALLEST = 1e-3
"""Least scale: a channel may be zero on all frames."""

Array = NDArray[np.float32]


def equalise_channels(
    network: onnx.ModelProto, convolutions: Sequence[onnx.NodeProto], frames: FrameArray
) -> None:
    """Scale channels to one largest value, where nothing but a Relu is between convolutions.

    Args:
        network: changed in place; batch normalisation is folded.
        convolutions: those of its nodes whose outputs are scaled.
        frames: representative frames, shape (n, height, width, 3), uint8, RGB.
    """
    arrays = {each.name: each for each in network.graph.initializer}
    found = list(_find_tensors(network, convolutions))
    for (_, before, after), largest in zip(
        found, _measure_channels(network, [tensor for tensor, *_ in found], frames), strict=True
    ):
        scale = np.maximum(largest / (largest.max() or 1), _SMALLEST)
        for name in before.input[1:]:  # weights, and biases if there are any
            values = onnx.numpy_helper.to_array(arrays[name])
            _replace(arrays[name], values / scale.reshape(-1, *[1] * (values.ndim - 1)))
        for node in after:
            values = onnx.numpy_helper.to_array(arrays[node.input[1]])
            _replace(arrays[node.input[1]], values * scale[:, None, None])


def _find_tensors(
    network: onnx.ModelProto, convolutions: Sequence[onnx.NodeProto]
) -> Iterator[tuple[str, onnx.NodeProto, list[onnx.NodeProto]]]:
    """Yield the tensors to scale: name, the convolution before, and all that use it."""
    graph = network.graph
    users: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            users[name].append(node)
    constants = {each.name for each in graph.initializer}
    outputs = {each.name for each in graph.output}

    def is_own(name: str) -> bool:
        return name in constants and len(users[name]) == 1

    for before in convolutions:
        (direct,) = before.output
        relus = users[direct]
        if len(relus) != 1 or relus[0].op_type != "Relu":
            continue
        (tensor,) = relus[0].output
        after = users[tensor]
        if (
            after
            and not outputs & {direct, tensor}
            and all(is_own(name) for name in before.input[1:])
            and all(_takes_all_channels(each) and is_own(each.input[1]) for each in after)
        ):
            yield tensor, before, after


def _takes_all_channels(node: onnx.NodeProto) -> bool:
    """Whether it is a convolution all of whose outputs depend on all channels."""
    groups = [each.i for each in node.attribute if each.name == "group"]
    return node.op_type == "Conv" and groups in ([], [1])


def _measure_channels(
    network: onnx.ModelProto, tensors: Sequence[str], frames: FrameArray
) -> list[Array]:
    """Find the largest value of each channel of each tensor over all frames."""
    if not tensors:
        return []
    augmented = onnx.ModelProto()
    augmented.CopyFrom(network)
    graph = augmented.graph
    del graph.output[:]
    for i, tensor in enumerate(tensors):
        # Inside the network, so that its pictures need not be kept.
        graph.node.append(onnx.helper.make_node("GlobalMaxPool", [tensor], [f"largest{i}"]))
        graph.output.append(
            onnx.helper.make_tensor_value_info(f"largest{i}", onnx.TensorProto.FLOAT, None)
        )
    session = open_session(augmented.SerializeToString(), threads=os.cpu_count() or 1)
    name = session.get_inputs()[0].name
    batches = [
        session.run(None, {name: frames[start : start + _BATCH]})
        for start in range(0, len(frames), _BATCH)
    ]
    return [np.concatenate(found).max((0, 2, 3)) for found in zip(*batches, strict=True)]


def _replace(array: onnx.TensorProto, values: NDArray[Any]) -> None:
    array.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), array.name))

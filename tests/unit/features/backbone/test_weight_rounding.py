"""Weights rounded for int8: what their errors do to a convolution's output."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest

from trailergenre.base.onnx_session import open_session
from trailergenre.features.backbone import weight_rounding
from trailergenre.features.backbone.weight_rounding import (
    round_to_steps,
    round_weights,
    take_patches,
)

TILES = np.random.default_rng(1).integers(0, 256, (10, 6, 6, 3), np.uint8)
FRAMES = TILES.repeat(4, axis=1).repeat(4, axis=2)  # neighbours are alike, as in pictures


def make_network(*kernels: np.ndarray, **attributes: object) -> onnx.ModelProto:
    """Convolutions named 0, 1, ..., each after a Relu but the first."""
    h = onnx.helper
    nodes = [
        h.make_node("Cast", ["frames"], ["pixels"], to=onnx.TensorProto.FLOAT),
        h.make_node("Transpose", ["pixels"], ["relu0"], perm=[0, 3, 1, 2]),
    ]
    for i in range(len(kernels)):
        nodes.append(h.make_node("Conv", [f"relu{i}", f"w{i}"], [f"conv{i}"], **attributes))
        nodes.append(h.make_node("Relu", [f"conv{i}"], [f"relu{i + 1}"]))
    ends = [
        h.make_tensor_value_info("frames", onnx.TensorProto.UINT8, ["n", 24, 24, 3]),
        h.make_tensor_value_info(nodes[-2].output[0], onnx.TensorProto.FLOAT, None),
    ]
    arrays = [
        onnx.numpy_helper.from_array(kernel.astype(np.float32), f"w{i}")
        for i, kernel in enumerate(kernels)
    ]
    graph = h.make_graph(nodes[:-1], "made", ends[:1], ends[1:], arrays)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=8)


def run(network: onnx.ModelProto, weights: dict[str, np.ndarray]) -> np.ndarray:
    changed = onnx.ModelProto()
    changed.CopyFrom(network)
    for array in changed.graph.initializer:
        array.CopyFrom(onnx.numpy_helper.from_array(weights[array.name], array.name))
    session = open_session(changed.SerializeToString(), threads=1)
    output: np.ndarray = session.run(None, {"frames": FRAMES})[0]
    return output


def weights_of(network: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in network.graph.initializer}


def round_alone(weights: np.ndarray, top: int) -> np.ndarray:
    """Each weight to its nearest step."""
    scale = np.abs(weights).max((1, 2, 3), keepdims=True) / top
    rounded: np.ndarray = (np.rint(weights / scale) * scale).astype(np.float32)
    return rounded


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(0, 0.1, shape)


NETWORKS = {
    "plain": make_network(normal(8, 3, 3, 3), normal(6, 8, 3, 3), pads=[1, 1, 1, 1]),
    "depthwise": make_network(normal(6, 1, 3, 3), group=3, strides=[2, 2]),
    "groups": make_network(normal(6, 3, 3, 3), normal(8, 3, 3, 3)),
    "dilated": make_network(normal(16, 3, 3, 3), dilations=[1, 2], pads=[1, 2, 1, 2]),
}
NETWORKS["groups"].graph.node[4].attribute.append(onnx.helper.make_attribute("group", 2))


@pytest.mark.parametrize("bits", [7, 8])
@pytest.mark.parametrize("name", NETWORKS)
def test_errors_cancel_on_the_grid_of_each_channel(name: str, bits: int) -> None:
    network, top = NETWORKS[name], {7: 64, 8: 127}[bits]
    exact = weights_of(network)
    rounded = round_weights(network, FRAMES, weight_bits=bits)
    assert rounded.keys() == exact.keys()
    for key, weights in rounded.items():
        assert weights.shape == exact[key].shape and weights.dtype == np.float32
        most = np.abs(exact[key]).max((1, 2, 3), keepdims=True)
        # The same scale as before, and whole steps of it, none beyond the largest.
        np.testing.assert_allclose(np.abs(weights).max((1, 2, 3), keepdims=True), most, rtol=1e-6)
        steps = weights / (most / top)
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
        assert len(np.unique(np.rint(steps))) > 20
    wanted = run(network, exact)
    alone = run(network, {key: round_alone(each, top) for key, each in exact.items()})
    error, error_alone = (
        np.sqrt(np.mean((each - wanted) ** 2)) for each in (run(network, rounded), alone)
    )
    assert error < 0.6 * error_alone


def test_an_input_that_is_always_zero_and_one_that_repeats_another_do_no_harm() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(16, 32, 1, 1)).astype(np.float32)
    inputs = rng.random((200, 32)).astype(np.float32)
    inputs[:, 2] = 0
    inputs[:, 5] = inputs[:, 4]
    rounded = round_to_steps(weights, (inputs.T @ inputs)[None], 127)
    error, alone = (
        np.mean((inputs @ (each - weights)[:, :, 0, 0].T) ** 2)
        for each in (rounded, round_alone(weights, 127))
    )
    assert error < 0.6 * alone
    # Nothing can be measured: to the nearest step.
    nothing = round_to_steps(weights, np.zeros((1, 32, 32), np.float32), 127)
    np.testing.assert_allclose(nothing, round_alone(weights, 127), rtol=1e-6)


def test_channels_without_weights_stay_zero() -> None:
    weights = np.zeros((2, 3, 1, 1), np.float32)
    weights[0] = 1
    rounded = round_to_steps(weights, np.eye(3, dtype=np.float32)[None], 127)
    np.testing.assert_allclose(rounded, weights, rtol=1e-6)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"pads": [0, 1, 2, 3], "strides": [2, 3]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER", "strides": [2, 3], "kernel_shape": [4, 3]},
        {"auto_pad": "VALID", "dilations": [2, 3]},
        {"group": 2, "pads": [1, 1, 1, 1]},
    ],
    ids=str,
)
def test_patches_are_what_the_convolution_multiplies(attributes: dict[str, Any]) -> None:
    rng, groups = np.random.default_rng(0), attributes.get("group", 1)
    pictures = rng.normal(size=(2, 4, 7, 8)).astype(np.float32)
    weights = rng.normal(size=(6, 4 // groups, *attributes.get("kernel_shape", (3, 3))))
    h, of = onnx.helper, onnx.TensorProto.FLOAT
    node = h.make_node("Conv", ["x", "w"], ["y"], **attributes)
    ends = [
        h.make_tensor_value_info("x", of, [2, 4, 7, 8]),
        h.make_tensor_value_info("y", of, None),
    ]
    array = onnx.numpy_helper.from_array(weights.astype(np.float32), "w")
    graph = h.make_graph([node], "one", ends[:1], ends[1:], [array])
    network = h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=8)
    output = open_session(network.SerializeToString(), threads=1).run(None, {"x": pictures})[0]
    patches = take_patches(pictures, node, weights.shape[2:], rng)
    # A convolution has fewer positions here than are taken: each comes once, in any order.
    sums = patches @ weights.reshape(groups, 6 // groups, -1).swapaxes(1, 2)
    flat = output.reshape(2, groups, 6 // groups, -1).transpose(1, 0, 3, 2).reshape(sums.shape)
    np.testing.assert_allclose(np.sort(sums, axis=1), np.sort(flat, axis=1), atol=1e-4)


def test_memory_is_bounded_by_groups_without_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    together = round_weights(NETWORKS["plain"], FRAMES, weight_bits=8)
    monkeypatch.setattr(weight_rounding, "_GROUP_BYTES", 1)
    measured = []
    measure = weight_rounding._measure_inputs

    def watch(*arguments: Any) -> dict[str, np.ndarray]:
        measured.append(measure(*arguments))
        return measured[-1]

    monkeypatch.setattr(weight_rounding, "_measure_inputs", watch)
    alone = round_weights(NETWORKS["plain"], FRAMES, weight_bits=8)
    assert [list(each) for each in measured] == [["w0"], ["w1"]]
    for name in together:
        np.testing.assert_array_equal(alone[name], together[name])

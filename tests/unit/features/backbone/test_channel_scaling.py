"""Channels scaled for int8: the same output, and ranges that are alike."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from trailergenre.base.onnx_session import open_session
from trailergenre.features.backbone.channel_scaling import equalise_channels

FRAMES = np.random.default_rng(1).integers(0, 256, (6, 12, 12, 3), np.uint8)
h = onnx.helper


def make_network(*nodes: onnx.NodeProto, groups: int = 1) -> onnx.ModelProto:
    """From `planes` by nodes that use the arrays w0, b0, w1 to `out`; w0 has uneven channels."""
    rng = np.random.default_rng(0)
    w0 = rng.normal(0, 0.1, (4, 3, 3, 3)) * np.array([1, 0.1, 0.01, 0])[:, None, None, None]
    arrays = {
        "w0": w0,
        "b0": np.array([0, 0, 0, -1]),
        "w1": rng.normal(size=(4, 4 // groups, 3, 3)),
    }
    ends = [
        h.make_tensor_value_info("frames", onnx.TensorProto.UINT8, ["n", 12, 12, 3]),
        h.make_tensor_value_info("out", onnx.TensorProto.FLOAT, None),
    ]
    first = [
        h.make_node("Cast", ["frames"], ["pixels"], to=onnx.TensorProto.FLOAT),
        h.make_node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
    ]
    constants = [
        onnx.numpy_helper.from_array(values.astype(np.float32), name)
        for name, values in arrays.items()
    ]
    graph = h.make_graph([*first, *nodes], "made", ends[:1], ends[1:], constants)
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 18)], ir_version=8)


def run(network: onnx.ModelProto, output: str) -> np.ndarray:
    changed = onnx.ModelProto()
    changed.CopyFrom(network)
    del changed.graph.output[:]
    changed.graph.output.append(h.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    session = open_session(changed.SerializeToString(), threads=1)
    values: np.ndarray = session.run(None, {"frames": FRAMES})[0]
    return values


def equalise(network: onnx.ModelProto) -> None:
    nodes = [node for node in network.graph.node if node.op_type == "Conv"]
    equalise_channels(network, nodes, FRAMES)


FIRST = h.make_node("Conv", ["planes", "w0", "b0"], ["a"])
RELU = h.make_node("Relu", ["a"], ["b"])
SECOND = h.make_node("Conv", ["b", "w1"], ["out"])


def test_channels_get_one_largest_value_and_the_output_stays() -> None:
    network = make_network(FIRST, RELU, SECOND)
    before, output = run(network, "b").max((0, 2, 3)), run(network, "out")
    equalise(network)
    after = run(network, "b").max((0, 2, 3))
    assert before[:3].max() > 20 * before[:3].min() and before[3] == 0
    np.testing.assert_allclose(after[:3], before.max(), rtol=1e-4)
    assert after[3] == 0
    np.testing.assert_allclose(run(network, "out"), output, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("nodes", "groups"),
    [
        # Something else uses the tensor, or what is before the Relu.
        ([FIRST, RELU, h.make_node("Conv", ["b", "w1"], ["c"], pads=[1, 1, 1, 1]),
          h.make_node("Add", ["b", "c"], ["out"])], 1),
        ([FIRST, RELU, h.make_node("Conv", ["b", "w1"], ["c"], pads=[1, 1, 1, 1]),
          h.make_node("Add", ["a", "c"], ["out"])], 1),
        # A sigmoid does not pass on a scale; a convolution of channel groups has other inputs.
        ([FIRST, h.make_node("Sigmoid", ["a"], ["b"]), SECOND], 1),
        ([FIRST, RELU, h.make_node("Conv", ["b", "w1"], ["out"], group=4)], 4),
        ([FIRST, RELU, h.make_node("MatMul", ["b", "w1"], ["out"])], 1),
        # Its weights belong to another convolution, too.
        ([FIRST, RELU, h.make_node("Conv", ["b", "w1"], ["c"]), h.make_node("Relu", ["c"], ["d"]),
          h.make_node("Conv", ["d", "w1"], ["out"])], 1),
        # A Relu that no convolution is before, or that ends the network.
        ([h.make_node("Relu", ["planes"], ["d"]),
          h.make_node("Conv", ["d", "w0", "b0"], ["out"])], 1),
        ([FIRST, h.make_node("Relu", ["a"], ["out"])], 1),
        ([FIRST, h.make_node("Relu", ["a"], ["out"]),
          h.make_node("Conv", ["out", "w1"], ["c"])], 1),
    ],
    ids=[
        *("used", "used before", "sigmoid", "groups", "product"),
        *("shared", "no first", "end", "end used"),
    ],
)  # fmt: skip
def test_everything_else_is_left_alone(nodes: list[onnx.NodeProto], groups: int) -> None:
    network = make_network(*nodes, groups=groups)
    before = network.SerializeToString(deterministic=True)
    equalise(network)
    assert network.SerializeToString(deterministic=True) == before

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from trailergenre.base.errors import BundleError
from trailergenre.models.temporal import head
from trailergenre.models.temporal.head import TemporalHead, from_bytes, to_bytes

WIDTH = 4
FEATURES = ["n", "time", WIDTH]


def make_model(
    *,
    features: object = FEATURES,
    mask: object = ("n", "time"),
    names: tuple[str, str] = ("features", "mask"),
    kind: int = TensorProto.FLOAT,
    domain: str = "",
    keeps_links: bool = True,
    activation: str = "Sigmoid",
) -> ModelProto:
    """A head in four operators: the masked mean of four features, as two genres."""
    nodes = [
        helper.make_node("Unsqueeze", [names[1], "last"], ["weights"]),
        helper.make_node("Mul", [names[0], "weights"], ["masked"]),
        helper.make_node("ReduceMean", ["masked"], ["mean"], axes=[int(keeps_links)], keepdims=0),
        helper.make_node("MatMul", ["mean", "matrix"], ["sums"]),
        helper.make_node("Gelu" if domain else activation, ["sums"], ["genres"], domain=domain),
    ]
    graph = helper.make_graph(
        nodes,
        "head",
        [
            helper.make_tensor_value_info(names[0], kind, features),
            helper.make_tensor_value_info(names[1], kind, mask),
        ],
        [helper.make_tensor_value_info("genres", kind, ["n", 2])],
        initializer=[
            numpy_helper.from_array(np.array([-1]), "last"),
            numpy_helper.from_array(
                np.eye(4, 2, dtype=np.float64 if kind == TensorProto.DOUBLE else np.float32),
                "matrix",
            ),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)


def made_head() -> TemporalHead:
    return from_bytes(make_model().SerializeToString())


def sequences(*lengths: int) -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.normal(size=(length, WIDTH)).astype(np.float32) for length in lengths]


def test_row_i_belongs_to_link_i() -> None:
    links = sequences(5, 2, 5, 1, 7, 2)
    expected = [1 / (1 + np.exp(-link.mean(axis=0)[:2])) for link in links]
    probabilities = made_head().predict_proba(links)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_probabilities_that_rounding_puts_beyond_one_are_one() -> None:
    saturated = from_bytes(make_model(activation="Identity").SerializeToString())
    link = np.full((1, WIDTH), 1 + 1e-6, np.float32)
    assert saturated.predict_proba([link]).tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("model", "values", "reason"),
    [
        (make_model(keeps_links=False), 0.5, r"shape \(1, 2\) instead of \(2, 2\)"),
        (make_model(activation="Identity"), 1.1, r"between 1\.1.* and 1\.1"),
        (make_model(activation="Identity"), -0.1, r"between -0\.1.* and -0\.1"),
        (make_model(activation="Log"), -0.1, "between nan and nan"),
    ],
    ids=["one row for all", "above 1", "below 0", "nan"],
)
def test_what_is_no_probability_is_refused(model: ModelProto, values: float, reason: str) -> None:
    changed = from_bytes(model.SerializeToString())
    with pytest.raises(BundleError, match=f"{reason}.*Train the bundle again"):
        changed.predict_proba([np.full((1, WIDTH), values, np.float32)] * 2)


def test_a_network_that_cannot_be_run_on_these_frames_is_refused() -> None:
    model = make_model()
    mean = model.graph.node[2]
    mean.op_type = "Squeeze"  # which only one frame allows
    mean.ClearField("attribute")
    mean.input.append("second")
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "second"))
    broken = from_bytes(model.SerializeToString())
    assert broken.predict_proba(sequences(1)).shape == (1, 2)
    with pytest.raises(BundleError, match="cannot be run"):
        broken.predict_proba(sequences(3))


def test_no_links_give_no_rows() -> None:
    assert made_head().predict_proba([]).shape == (0, 2)


def test_more_links_than_fit_into_a_call_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    links = sequences(5, 5, 5, 5, 30)
    expected = made_head().predict_proba(links)
    monkeypatch.setattr(head, "_MAX_FRAMES_PER_CALL", 10)
    np.testing.assert_array_equal(made_head().predict_proba(links), expected)
    assert head._rows_by_length([5, 30, 5, 5]) == [[0, 2], [3], [1]]


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((3, WIDTH + 1), np.float32),
        np.zeros((3, WIDTH)),
        np.zeros(WIDTH, np.float32),
        np.zeros((0, WIDTH), np.float32),
        np.full((1, WIDTH), np.nan, np.float32),
    ],
    ids=["width", "float64", "one row", "no frame", "nan"],
)
def test_frames_that_are_none_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"Received|not finite"):
        made_head().predict_proba([*sequences(3), wrong])


def test_a_head_travels_to_workers_after_it_has_scored() -> None:
    model = made_head()
    expected = model.predict_proba(sequences(3))
    sent = pickle.loads(pickle.dumps(model))
    assert sent == model
    np.testing.assert_array_equal(sent.predict_proba(sequences(3)), expected)


def test_bytes_come_back() -> None:
    model = made_head()
    assert from_bytes(to_bytes(model)) == TemporalHead(model.onnx, WIDTH, 2)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (make_model(names=("features", "weights_")), "it turns"),
        (make_model(kind=TensorProto.DOUBLE), "it turns"),
        (make_model(features=["n", 8, WIDTH]), "any number of links and frames"),
        (make_model(features=[3, "time", WIDTH], mask=[3, "time"]), "any number of links"),
        (make_model(features=["n", "time", "width"]), "how many features"),
        (make_model(domain="com.evil"), r"com\.evil"),
    ],
    ids=["names", "double", "fixed time", "fixed links", "no width", "unknown domain"],
)
def test_other_networks_are_refused(model: ModelProto, reason: str) -> None:
    with pytest.raises(BundleError, match=f"not a temporal head: .*{reason}"):
        from_bytes(model.SerializeToString())


def test_an_unknown_operator_in_a_branch_is_refused() -> None:
    branch = helper.make_graph(
        [helper.make_node("Gelu", ["sums"], ["same"], domain="com.evil")],
        "branch",
        [],
        [helper.make_tensor_value_info("same", TensorProto.FLOAT, ["n", 2])],
    )
    model = make_model()
    del model.graph.node[-1]
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "always"))
    model.graph.node.append(
        helper.make_node("If", ["always"], ["genres"], then_branch=branch, else_branch=branch)
    )
    model.opset_import.append(helper.make_opsetid("com.evil", 1))
    with pytest.raises(BundleError, match=r"not a temporal head: .*com\.evil"):
        from_bytes(model.SerializeToString())


def test_a_function_that_calls_itself_is_refused() -> None:
    call = helper.make_node("Run", ["x"], ["y"], domain="own")
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("own", 1)]
    model = make_model()
    model.functions.append(helper.make_function("own", "Run", ["x"], ["y"], [call], opsets))
    model.opset_import.append(opsets[1])
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Run", "own"
    with pytest.raises(BundleError, match="not a temporal head"):
        from_bytes(model.SerializeToString())


def test_every_cut_and_garbage_are_refused() -> None:
    content = made_head().onnx
    for broken in [b"", b"garbage", b"\xff" * 64, *(content[:end] for end in range(1, 200))]:
        with pytest.raises(BundleError, match="not a temporal head"):
            from_bytes(broken)


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = made_head().onnx
    monkeypatch.setattr(head, "_MAX_BYTES", len(content) - 1)
    with pytest.raises(BundleError, match=r"bytes; .* are allowed"):
        from_bytes(content)


@pytest.mark.parametrize("where", ["absolute", "working directory"])
def test_weights_in_another_file_are_not_followed(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(np.eye(4, 2, dtype=np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    model = make_model()
    matrix = model.graph.initializer[1]
    matrix.ClearField("raw_data")
    matrix.data_location = TensorProto.EXTERNAL
    matrix.external_data.add(key="location", value=str(secret) if where == "absolute" else "secret")
    with pytest.raises(BundleError, match="not a temporal head"):
        from_bytes(model.SerializeToString())


def test_scoring_imports_neither_tensorflow_nor_keras(tmp_path: Path) -> None:
    path = tmp_path / "head.onnx"
    path.write_bytes(made_head().onnx)
    code = f"""
import sys, numpy, pathlib
from trailergenre.models.temporal.head import from_bytes
from trailergenre.models.temporal.training import fit_temporal
head = from_bytes(pathlib.Path({str(path)!r}).read_bytes())
assert head.predict_proba([numpy.ones((3, {WIDTH}), numpy.float32)]).shape == (1, 2)
assert not {{"tensorflow", "keras", "onnx", "tf2onnx"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")

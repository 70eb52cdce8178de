"""Inception-V3 of torchvision and timm: its arrays in Keras's layers against its own arithmetic.

The reference follows torchvision's module by its names. Torch itself is too large a dependency;
against torchvision 0.29 and timm 1.0.31 the deviation was 1.4e-6 (docs/decisions/0033).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from backbones import frames_of
from trailergenre.features.backbone.networks import build_network
from trailergenre.features.backbone.torch_inception import list_convolutions, set_torch_weights
from trailergenre.features.backbone.weight_files import set_weights

pytestmark = pytest.mark.slow

TOLERANCE = 1e-4
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

State = dict[str, np.ndarray]

# torchvision/models/inception.py: (input channels, output channels, height, width) of each kernel.
STEM = [(3, 32, 3, 3), (32, 32, 3, 3), (32, 64, 3, 3), (64, 80, 1, 1), (80, 192, 3, 3)]


def block_5(n: int, pool: int) -> list[tuple[int, int, int, int]]:
    return [
        *((n, 64, 1, 1), (n, 48, 1, 1), (48, 64, 5, 5)),
        *((n, 64, 1, 1), (64, 96, 3, 3), (96, 96, 3, 3), (n, pool, 1, 1)),
    ]


def block_6(c: int) -> list[tuple[int, int, int, int]]:
    return [
        *((768, 192, 1, 1), (768, c, 1, 1), (c, c, 1, 7), (c, 192, 7, 1)),
        *((768, c, 1, 1), (c, c, 7, 1), (c, c, 1, 7), (c, c, 7, 1), (c, 192, 1, 7)),
        (768, 192, 1, 1),
    ]


def block_7(n: int) -> list[tuple[int, int, int, int]]:
    return [
        *((n, 320, 1, 1), (n, 384, 1, 1), (384, 384, 1, 3), (384, 384, 3, 1)),
        *((n, 448, 1, 1), (448, 384, 3, 3), (384, 384, 1, 3), (384, 384, 3, 1), (n, 192, 1, 1)),
    ]


SHAPES = [
    *STEM,
    *(*block_5(192, 32), *block_5(256, 64), *block_5(288, 64)),
    *((288, 384, 3, 3), (288, 64, 1, 1), (64, 96, 3, 3), (96, 96, 3, 3)),
    *(*block_6(128), *block_6(160), *block_6(160), *block_6(192)),
    *((768, 192, 1, 1), (192, 320, 3, 3)),
    *((768, 192, 1, 1), (192, 192, 1, 7), (192, 192, 7, 1), (192, 192, 3, 3)),
    *(*block_7(1280), *block_7(2048)),
]


def make_state(seed: int = 5) -> State:
    """Arrays with torchvision's names, shapes and dtypes; some gammas are negative, some zero."""
    draw = np.random.default_rng(seed)
    state: State = {}
    for name, (n_in, n, height, width) in zip(list_convolutions(), SHAPES, strict=True):
        deviation = np.sqrt(2 / (n_in * height * width))
        state[f"{name}.conv.weight"] = draw.normal(0, deviation, (n, n_in, height, width))
        gamma = draw.normal(1, 0.5, n)
        gamma[0] = 0
        state[f"{name}.bn.weight"] = gamma
        state[f"{name}.bn.bias"] = draw.normal(0, 0.1, n)
        state[f"{name}.bn.running_mean"] = draw.normal(0, 0.1, n)
        state[f"{name}.bn.running_var"] = draw.uniform(0.5, 1.5, n)
    state = {name: array.astype(np.float32) for name, array in state.items()}
    for name in list_convolutions():
        state[f"{name}.bn.num_batches_tracked"] = np.array(0)
    state["AuxLogits.fc.weight"] = np.zeros((1000, 768), np.float32)
    return state | {"fc.weight": np.zeros((1000, 2048), np.float32), "fc.bias": np.zeros(1000)}


class Reference:
    """torchvision's forward in float32, channels last, by TensorFlow's primitives."""

    def __init__(self, state: State, *, counts_padding: bool = True) -> None:
        self.state, self.counts_padding = state, counts_padding

    def conv(self, x: Any, name: str, stride: int = 1, padding: str = "SAME") -> Any:
        import tensorflow as tf

        kernel = self.state[f"{name}.conv.weight"].transpose(2, 3, 1, 0)
        x = tf.nn.conv2d(x, kernel, stride, padding)
        keys = ("running_mean", "running_var", "bias", "weight")
        return tf.nn.relu(
            tf.nn.batch_normalization(x, *(self.state[f"{name}.bn.{k}"] for k in keys), 1e-3)
        )

    def chain(self, x: Any, block: str, *branches: str) -> Any:
        for branch in branches:
            x = self.conv(x, f"Mixed_{block}.branch{branch}")
        return x

    def pooled(self, x: Any, block: str) -> Any:
        """avg_pool2d(kernel_size=3, stride=1, padding=1), whose zeros count."""
        import tensorflow as tf

        padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]) if self.counts_padding else x
        kind = "VALID" if self.counts_padding else "SAME"
        return self.chain(tf.nn.avg_pool2d(padded, 3, 1, kind), block, "_pool")

    def down(self, x: Any, block: str, *chains: tuple[str, ...]) -> list[Any]:
        import tensorflow as tf

        parts = []
        for *first, last in chains:
            y = self.chain(x, block, *first)
            parts.append(self.conv(y, f"Mixed_{block}.branch{last}", 2, "VALID"))
        return [*parts, tf.nn.max_pool2d(x, 3, 2, "VALID")]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        x = self.conv(x.astype(np.float32), "Conv2d_1a_3x3", 2, "VALID")
        x = self.conv(x, "Conv2d_2a_3x3", 1, "VALID")
        x = self.conv(x, "Conv2d_2b_3x3")
        x = tf.nn.max_pool2d(x, 3, 2, "VALID")
        x = self.conv(x, "Conv2d_3b_1x1")
        x = self.conv(x, "Conv2d_4a_3x3", 1, "VALID")
        x = tf.nn.max_pool2d(x, 3, 2, "VALID")
        for block in ("5b", "5c", "5d"):
            ways = [("1x1",), ("5x5_1", "5x5_2"), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3")]
            parts = [self.chain(x, block, *way) for way in ways]
            x = tf.concat([*parts, self.pooled(x, block)], 3)
        x = tf.concat(self.down(x, "6a", ("3x3",), ("3x3dbl_1", "3x3dbl_2", "3x3dbl_3")), 3)
        for block in ("6b", "6c", "6d", "6e"):
            long = tuple(f"7x7dbl_{i}" for i in range(1, 6))
            ways = [("1x1",), ("7x7_1", "7x7_2", "7x7_3"), long]
            parts = [self.chain(x, block, *way) for way in ways]
            x = tf.concat([*parts, self.pooled(x, block)], 3)
        long = tuple(f"7x7x3_{i}" for i in range(1, 5))
        x = tf.concat(self.down(x, "7a", ("3x3_1", "3x3_2"), long), 3)
        for block in ("7b", "7c"):
            short = self.chain(x, block, "3x3_1")
            long_ = self.chain(x, block, "3x3dbl_1", "3x3dbl_2")
            parts = [self.chain(x, block, "1x1")]
            parts += [self.chain(short, block, f"3x3_2{side}") for side in "ab"]
            parts += [self.chain(long_, block, f"3x3dbl_3{side}") for side in "ab"]
            x = tf.concat([*parts, self.pooled(x, block)], 3)
        return np.asarray(tf.reduce_mean(x, [1, 2]))


@pytest.fixture(scope="module")
def state() -> State:
    return make_state()


@pytest.fixture(scope="module")
def network(state: State, tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("torch") / "model.safetensors"
    save_file(state, path)
    network = build_network("inception_v3_torchvision")
    set_weights(network, path)
    return network


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return frames_of(1)


@pytest.fixture(scope="module")
def features(network: Any, frames: np.ndarray) -> np.ndarray:
    return np.asarray(network(frames))


def deviation(received: np.ndarray, expected: np.ndarray) -> float:
    return float((np.abs(received - expected).max(1) / np.abs(expected).max(1)).max())


def test_features_are_those_of_torchvisions_own_arithmetic(
    state: State, frames: np.ndarray, features: np.ndarray
) -> None:
    # As inception_v3(weights="IMAGENET1K_V1") takes them: normalised, then by transform_input.
    normalised = (frames / 255 - MEAN) / STD
    right = normalised * (STD / 0.5) + (MEAN - 0.5) / 0.5
    wrong = [right[..., ::-1], frames, normalised]
    expected, *others = Reference(state)(np.concatenate([right, *wrong]))[:, None]
    assert deviation(features, expected) <= TOLERANCE
    for other in others:
        assert deviation(features, other) >= 10 * TOLERANCE


def test_pooling_without_the_padding_would_be_seen(
    state: State, frames: np.ndarray, features: np.ndarray
) -> None:
    plain = Reference(state, counts_padding=False)(frames / 127.5 - 1)
    assert deviation(features, plain) >= 10 * TOLERANCE


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("Mixed_7c.branch_pool.conv.weight", None, r"lacks Mixed_7c.branch_pool.conv.weight of"),
        ("Mixed_5b.branch1x1.bn.weight", np.ones(65, np.float32), r"\(65,\), the network's .*64"),
        ("Mixed_6b.branch7x7_2.conv.weight", np.ones((128, 128, 7, 1), np.float32), "7, 1"),
        ("Mixed_5b.branch1x1.bn.bias", np.ones(64, np.float16), "float16; weights must be float32"),
        ("Mixed_8a.branch1x1.conv.weight", np.ones(1, np.float32), "1 arrays that Inception-V3"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_by_name(
    state: State, network: Any, name: str, change: np.ndarray | None, reason: str
) -> None:
    other = {key: array for key, array in state.items() if key != name}
    if change is not None:
        other[name] = change
    with pytest.raises(ValueError, match=reason):
        set_torch_weights(network.layers[-1], network.name, other)

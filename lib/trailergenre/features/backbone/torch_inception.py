"""Inception-V3's weights as torchvision and timm name them, for Keras's layers.

Convolutions lie in the order in which Keras creates them; torch's kernels are (out, in, h, w),
Keras's (h, w, in, out). Keras's batch normalisation has no gamma: it goes into the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

TORCH_NETWORKS = ("inception_v3_torchvision", "inception_v3_gluon")
"""Names in the catalogue. Their pooling counts the padding, as that of torchvision and timm does;
the second takes pixels in ImageNet's mean and deviation."""

_STEM = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3")
_BRANCHES_5 = "1x1 5x5_1 5x5_2 3x3dbl_1 3x3dbl_2 3x3dbl_3 _pool"
_BRANCHES_6 = "1x1 7x7_1 7x7_2 7x7_3 7x7dbl_1 7x7dbl_2 7x7dbl_3 7x7dbl_4 7x7dbl_5 _pool"
_BRANCHES_7 = "1x1 3x3_1 3x3_2a 3x3_2b 3x3dbl_1 3x3dbl_2 3x3dbl_3a 3x3dbl_3b _pool"
_BLOCKS = {
    **dict.fromkeys(("5b", "5c", "5d"), _BRANCHES_5),
    "6a": "3x3 3x3dbl_1 3x3dbl_2 3x3dbl_3",
    **dict.fromkeys(("6b", "6c", "6d", "6e"), _BRANCHES_6),
    "7a": "3x3_1 3x3_2 7x7x3_1 7x7x3_2 7x7x3_3 7x7x3_4",
    **dict.fromkeys(("7b", "7c"), _BRANCHES_7),
}
_NORMALISATION = ("bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
_NOT_USED = re.compile(r"AuxLogits\..*|fc\.(weight|bias)|.*\.num_batches_tracked")
"""A second classifier that only training needs, the classifier, and counters."""

# Keras has no type stubs.
Model = Any
Arrays = Mapping[str, NDArray[np.generic]]


def list_convolutions() -> Iterator[str]:
    """Name torch's convolutions in the order in which Keras creates its own."""
    yield from _STEM
    for block, branches in _BLOCKS.items():
        for branch in branches.split():
            yield f"Mixed_{block}.branch{branch}"


def set_torch_weights(body: Model, network: str, arrays: Arrays) -> None:
    """Set the weights of one of `TORCH_NETWORKS`; a ValueError says what does not fit."""
    if network not in TORCH_NETWORKS:
        _refuse_network(network, arrays)
    convolutions = list(list_convolutions())
    ours = [_in_order_of_creation(body, kind) for kind in ("Conv2D", "BatchNormalization")]
    used: set[str] = set()
    for name, convolution, normalisation in zip(convolutions, *ours, strict=True):
        in_keras, n = convolution.kernel.shape, convolution.kernel.shape[-1]
        shapes = {
            f"{name}.conv.weight": (n, in_keras[2], *in_keras[:2]),
            **{f"{name}.{part}": (n,) for part in _NORMALISATION},
        }
        kernel, gamma, beta, mean, variance = (
            _take(arrays, each, shape) for each, shape in shapes.items()
        )
        used.update(shapes)
        convolution.set_weights([_fold(kernel, gamma[:, None, None, None]).transpose(2, 3, 1, 0)])
        # gamma * (x - mean) = gamma * x - gamma * mean, exactly, also for a gamma of 0 or below.
        normalisation.set_weights([beta, _fold(mean, gamma), variance])
    others = sorted(name for name in arrays if name not in used and not _NOT_USED.fullmatch(name))
    if others:
        raise ValueError(
            f"it has {len(others)} arrays that Inception-V3 lacks, {others[0]} for one"
        )


def _refuse_network(network: str, arrays: Arrays) -> None:
    if f"{_STEM[0]}.conv.weight" not in arrays or network != "inception_v3":
        first = next(iter(arrays), "nothing")
        raise ValueError(
            f"it is in PyTorch's layout ({first}, ...), of which Inception-V3 alone is read"
        )
    raise ValueError(
        "it is Inception-V3 of torchvision or timm, which pool in another way than Keras. Give "
        f"--network {TORCH_NETWORKS[0]}, or for timm's gluon_in1k, which takes pixels in another "
        f"way, --network {TORCH_NETWORKS[1]}"
    )


def _in_order_of_creation(body: Model, kind: str) -> list[Any]:
    """Layers of a kind; Keras numbers their names, but lists them by depth."""
    layers = [layer for layer in body.layers if type(layer).__name__ == kind]
    return sorted(layers, key=lambda layer: int((re.findall(r"\d+$", layer.name) or ["0"])[0]))


def _take(arrays: Arrays, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if name not in arrays:
        raise ValueError(f"it lacks {name} of shape {shape}; it has {len(arrays)} arrays")
    array = arrays[name]
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, the network's has {shape}")
    if array.dtype != np.float32:
        raise ValueError(f"{name} is {array.dtype}; weights must be float32")
    return array.astype(np.float32, copy=False)


def _fold(array: NDArray[np.float32], gamma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Multiply, rounded once to float32."""
    return (array.astype(np.float64) * gamma).astype(np.float32)

"""What turns a frame into features: the network's input, its preprocessing and its output.

All of it is part of a network's identity (`backbone_id`), and stands in the artefact's manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from trailergenre.base.records import INCEPTION_V3_FRAME, INCEPTION_V3_WIDTH, FrameForm

_Positive = Annotated[FiniteFloat, Field(gt=0)]


class Preprocessing(BaseModel):
    """How pixels, 0..255, become the network's values: (pixel * scale - mean) / std."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: Literal["RGB", "BGR"] = "RGB"
    scale: _Positive = 1.0
    # Of each channel, in the order of `channels`:
    mean: tuple[FiniteFloat, FiniteFloat, FiniteFloat] = (0.0, 0.0, 0.0)
    std: tuple[_Positive, _Positive, _Positive] = (1.0, 1.0, 1.0)


class Output(BaseModel):
    """The features: one float32 vector a frame."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str  # of the layer, or of the ONNX file's tensor
    width: int = Field(gt=0, le=1 << 16)


class NetworkSpec(BaseModel):
    """A network, without its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: str
    input: FrameForm
    preprocessing: Preprocessing
    output: Output


TO_ONE = Preprocessing(scale=1 / 127.5, mean=(1.0, 1.0, 1.0))
"""Pixels to -1..1: Keras's `preprocess_input` in mode "tf"."""

POOLED = "avg_pool"
"""The output of all networks that are built here: the last feature map, averaged over space."""

INCEPTION_V3 = NetworkSpec(
    network="inception_v3",
    input=INCEPTION_V3_FRAME,
    preprocessing=TO_ONE,
    output=Output(name=POOLED, width=INCEPTION_V3_WIDTH),
)


def compute_backbone_id(spec: NetworkSpec, contents: Iterable[str]) -> str:
    """Hash what the features depend on.

    Neither layer names nor the ONNX file identify a model that is built here: names count up within
    a process, and two exports of one model differ. So the arrays' hashes count, in any order.

    `contents` are the hashes of the weights, as `hash_weights` gives.
    """
    text = "\n".join([spec.network, *_describe(spec), *sorted(contents)])
    return hashlib.sha256(text.encode()).hexdigest()


def hash_weights(weights: Sequence[NDArray[np.float32]]) -> list[str]:
    """Hash each array with its shape."""
    arrays = (np.ascontiguousarray(array, dtype="<f4") for array in weights)
    contents = (f"{array.shape}".encode() + array.tobytes() for array in arrays)
    return [hashlib.sha256(content).hexdigest() for content in contents]


def _describe(spec: NetworkSpec) -> list[str]:
    ours, known = ((each.input, each.preprocessing, each.output) for each in (spec, INCEPTION_V3))
    if ours == known:
        # Inception-V3 was alone at first, and features that exist keep their identity.
        return [
            "uint8 RGB 299x299 / 127.5 - 1",
            "global average pooling of the last mixed block, float32 (n, 2048)",
        ]
    parts = spec.model_dump(include={"input", "preprocessing", "output"})
    return [json.dumps(parts, sort_keys=True)]

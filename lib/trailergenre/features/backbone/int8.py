"""Quantization of an fp32 network to 8-bit integers, and its distance from fp32.

Activations are uint8 and weights int8 per channel, in ONNX's QDQ format
(docs/decisions/0014-int8.md).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)

from trailergenre.base.errors import ConfigError, WeightsError
from trailergenre.base.onnx_session import Session, open_session
from trailergenre.base.progress import OnStep
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.features.backbone.artefact import Quantization

MIN_COSINE = 0.95
"""Smallest 1st percentile of the cosine between int8 and fp32, after subtracting the mean."""
MAX_RMS_SHARE = 0.1
"""Largest rms(int8 - fp32), as a share of the rms spread between frames."""

MIN_FRAMES = 16
"""Fewest representative frames, and fewest frames to compare on."""

OnBatch = Callable[[int], None]
"""Called with the number of frames of each batch that is done."""

_BATCH = 8
_QUANTIZED = ["Conv", "Relu", "MaxPool", "AveragePool", "Concat"]
"""All but the last average pooling, whose float32 sums are the output."""


def quantize_network(
    path: Path, videos: Sequence[FrameArray], *, weights: str, on_step: OnStep
) -> Quantization:
    """Replace an fp32 network by its int8 form, and compare them.

    Args:
        path: the ONNX file, which is replaced.
        videos: one array per video, shape (n, height, width, 3), uint8, RGB. Every second video
            holds the representative frames, the others are compared on; of a single one, every
            second frame.
        weights: origin of the weights, for messages.
        on_step: counts frames.
    """
    is_held_out = len(videos) > 1
    pieces = videos if is_held_out else [videos[0][::2], videos[0][1::2]]
    seen, unseen = np.concatenate(pieces[::2]), np.concatenate(pieces[1::2])
    if min(len(seen), len(unseen)) < MIN_FRAMES:
        raise ConfigError(
            f"int8 needs {MIN_FRAMES} representative frames or more, and as many to compare on. "
            f"Received: {len(seen)} and {len(unseen)}. Give more or longer videos, or set "
            "frames.per_second higher."
        )
    done, total = 0, 3 * len(seen) + 2 * len(unseen)

    def on_batch(n_frames: int) -> None:
        nonlocal done
        done += n_frames
        on_step(done, total)

    fp32 = _open(path)
    fp32_seen, fp32_unseen = (_embed(fp32, frames, on_batch) for frames in (seen, unseen))
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".int8-") as directory:
        quantized = Path(directory) / path.name
        _quantize(path, quantized, _Reader(fp32, seen, on_batch))
        int8_seen = _embed(_open(quantized), seen, on_batch)
        _correct_output(quantized, fp32_seen.mean(0) - int8_seen.mean(0))
        int8_unseen = _embed(_open(quantized), unseen, on_batch)
        cosine_p1, rms_share = compare_features(fp32_unseen, int8_unseen, fp32_seen.mean(0))
        figures = Quantization(
            sha256=hashlib.sha256(seen.tobytes()).hexdigest(),
            n_frames=len(seen),
            n_judged=len(unseen),
            is_held_out=is_held_out,
            cosine_p1=cosine_p1,
            rms_share=rms_share,
        )
        if cosine_p1 < MIN_COSINE or rms_share > MAX_RMS_SHARE:
            raise WeightsError(
                f"The int8 network is too far from fp32 ({figures.line(weights)}). Needed: "
                f"cosine >= {MIN_COSINE}, rms <= {MAX_RMS_SHARE}. Give more videos, or videos like "
                "those to embed, or use --precision fp32."
            )
        quantized.replace(path)
    return figures


def compare_features(
    fp32: FeatureArray, int8: FeatureArray, mean: FeatureArray
) -> tuple[float, float]:
    """Compute the 1st percentile of the cosine, and the rms difference over the rms spread.

    Without subtracting a mean, any two frames have a cosine of 0.98 or more on random weights.

    `fp32` and `int8`, shape (n, width), are of the same frames; `mean`, shape (width,), is the mean
    fp32 feature of the representative frames. A ConfigError if the frames are all alike.
    """
    # float64, since the differences are small compared with the features.
    a, b, centre = fp32.astype(np.float64), int8.astype(np.float64), mean.astype(np.float64)
    spread = np.sqrt(np.mean((a - a.mean(0)) ** 2))
    if not spread > 1e-6 * np.abs(a).max():
        raise ConfigError("The frames to compare int8 on are all alike. Give other videos.")
    rms = np.sqrt(np.mean((b - a) ** 2))
    a, b = a - centre, b - centre
    cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(np.percentile(cosine, 1)), float(rms / spread)


def _open(path: Path) -> Session:
    return open_session(path.read_bytes(), threads=os.cpu_count() or 1)


def _inputs(
    session: Session, frames: FrameArray, on_batch: OnBatch
) -> Iterator[dict[str, FrameArray]]:
    """Yield the network's input for each batch."""
    name = session.get_inputs()[0].name
    for start in range(0, len(frames), _BATCH):
        batch = frames[start : start + _BATCH]
        yield {name: batch}
        on_batch(len(batch))


def _embed(session: Session, frames: FrameArray, on_batch: OnBatch) -> FeatureArray:
    batches = _inputs(session, frames, on_batch)
    return np.concatenate([session.run(None, batch)[0] for batch in batches])


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no type stubs
    def __init__(self, session: Session, frames: FrameArray, on_batch: OnBatch) -> None:
        self._batches = _inputs(session, frames, on_batch)

    def get_next(self) -> dict[str, FrameArray] | None:
        return next(self._batches, None)


def _quantize(path: Path, out: Path, reader: _Reader) -> None:
    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        out,
        reader,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_QUANTIZED,
        per_channel=True,
        # 7-bit weights: sums of 8-bit pairs overflow 16 bits on CPUs without VNNI, so other CPUs
        # would give other features.
        reduce_range=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _correct_output(path: Path, shift: FeatureArray) -> None:
    """Add a constant to every feature, since rounding shifts its mean; keep it at 0 or above."""
    network = onnx.load(path)
    graph = network.graph
    output = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["uncorrected" if name == output else name for name in node.output]
    graph.initializer.append(onnx.numpy_helper.from_array(shift.astype(np.float32), "shift"))
    nodes: list[Any] = [
        onnx.helper.make_node("Add", ["uncorrected", "shift"], ["corrected"], "correct"),
        onnx.helper.make_node("Relu", ["corrected"], [output], "keep_positive"),
    ]
    graph.node.extend(nodes)
    onnx.save(network, path)

"""An fp32 network and frames to the same network in 8-bit integers, and how far it is from fp32.

Activations uint8, weights int8 a channel, in ONNX's QDQ form (`docs/decisions/0014-int8.md`).
Knows nothing of videos: frames come in.
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
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.features.backbone.artefact import Int8Calibration

COSINE_FLOOR = 0.95
"""Least 1st percentile of the cosine between int8 and fp32, after subtracting the mean."""
RMS_CEILING = 0.1
"""Largest rms(int8 - fp32), as a share of the rms spread between frames."""

MIN_FRAMES = 16
"""Fewest frames to calibrate with, and to judge by."""

Report = Callable[[int, int], None]
"""Told the frames that are done and those that there are."""

_BATCH = 8
_QUANTIZED = ["Conv", "Relu", "MaxPool", "AveragePool", "Concat"]
"""Not the last average pooling: its sums are what leaves, in float32."""


def quantize_network(
    path: Path, videos: Sequence[FrameArray], *, weights: str, report: Report
) -> Int8Calibration:
    """Replace an fp32 network by its int8 form, and say how far apart they are.

    Args:
        path: the ONNX file; the new one takes its place.
        videos: frames of one video each, evenly taken, shape (n, 299, 299, 3), uint8, RGB. Every
            second video calibrates and the others judge; of a single one every second frame does.
        weights: where the network's weights come from, for messages.
        report: told of the progress.

    Raises:
        ConfigError: the frames are too few, or all alike.
        WeightsError: the int8 network is too far from fp32.
    """
    is_held_out = len(videos) > 1
    # Of one video its own frames have to do.
    pieces = videos if is_held_out else [videos[0][::2], videos[0][1::2]]
    seen, unseen = np.concatenate(pieces[::2]), np.concatenate(pieces[1::2])
    if min(len(seen), len(unseen)) < MIN_FRAMES:
        raise ConfigError(
            f"Calibrating takes {MIN_FRAMES} frames at least, and as many to judge by, of other "
            f"videos where there are several. Received: {len(seen)} and {len(unseen)}. Give more "
            "or longer videos, or set frames.per_second higher."
        )
    progress = _Progress(report, 3 * len(seen) + 2 * len(unseen))
    fp32 = _open(path)
    fp32_seen = _embed(fp32, seen, progress)
    fp32_unseen = _embed(fp32, unseen, progress)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".int8-") as directory:
        quantized = Path(directory) / path.name
        _quantize(path, quantized, seen, progress)
        int8_seen = _embed(_open(quantized), seen, progress)
        _correct_output(quantized, fp32_seen.mean(0) - int8_seen.mean(0))
        int8_unseen = _embed(_open(quantized), unseen, progress)
        cosine_p1, rms_share = compare_features(fp32_unseen, int8_unseen, fp32_seen.mean(0))
        figures = Int8Calibration(
            sha256=hashlib.sha256(seen.tobytes()).hexdigest(),
            n_frames=len(seen),
            n_judged=len(unseen),
            is_held_out=is_held_out,
            cosine_p1=cosine_p1,
            rms_share=rms_share,
        )
        if cosine_p1 < COSINE_FLOOR or rms_share > RMS_CEILING:
            raise WeightsError(
                f"The int8 network is too far from fp32 ({figures.line(weights)}). Needed: "
                f"cosine >= {COSINE_FLOOR}, rms <= {RMS_CEILING}. Calibrate with other or more "
                "videos, such as will be embedded, or stay with --precision fp32."
            )
        quantized.replace(path)
    return figures


def compare_features(
    fp32: FeatureArray, int8: FeatureArray, mean: FeatureArray
) -> tuple[float, float]:
    """Give the 1st percentile of the cosine and the rms difference over the rms spread.

    Without subtracting a mean any two frames are alike (.98 and more on random weights), and a
    cosine would prove nothing.

    Args:
        fp32: shape (n, width).
        int8: the same frames.
        mean: mean fp32 feature of the calibration frames, shape (width,).

    Raises:
        ConfigError: the frames are all alike, so that there is no spread.
    """
    # Summed in float64: differences are small against the features.
    a, b, centre = fp32.astype(np.float64), int8.astype(np.float64), mean.astype(np.float64)
    spread = np.sqrt(np.mean((a - a.mean(0)) ** 2))
    if not spread > 1e-6 * np.abs(a).max():
        raise ConfigError("The frames to judge int8 by are all alike. Give other videos.")
    rms = np.sqrt(np.mean((b - a) ** 2))
    a, b = a - centre, b - centre
    cosine = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return float(np.percentile(cosine, 1)), float(rms / spread)


class _Progress:
    """Counts frames over several passes."""

    def __init__(self, report: Report, total: int) -> None:
        self._report = report
        self._total = total
        self._done = 0

    def add(self, n_frames: int) -> None:
        self._done += n_frames
        self._report(self._done, self._total)


def _batches(frames: FrameArray, progress: _Progress) -> Iterator[FrameArray]:
    for start in range(0, len(frames), _BATCH):
        batch = frames[start : start + _BATCH]
        yield batch
        progress.add(len(batch))


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no type stubs
    def __init__(self, name: str, frames: FrameArray, progress: _Progress) -> None:
        self._name = name
        self._batches = _batches(frames, progress)

    def get_next(self) -> dict[str, FrameArray] | None:
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def _open(path: Path) -> Session:
    return open_session(path.read_bytes(), threads=os.cpu_count() or 1)


def _embed(session: Session, frames: FrameArray, progress: _Progress) -> FeatureArray:
    name = session.get_inputs()[0].name
    return np.concatenate(
        [session.run(None, {name: batch})[0] for batch in _batches(frames, progress)]
    )


def _quantize(path: Path, out: Path, frames: FrameArray, progress: _Progress) -> None:
    name = _open(path).get_inputs()[0].name
    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        out,
        _Reader(name, frames, progress),
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
    """Add a constant to every feature: rounding moves its mean, which calibration knows.

    Pooled features are not negative in fp32, and are not after this either.
    """
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

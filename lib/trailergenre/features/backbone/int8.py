"""Quantization of an fp32 network to 8-bit integers, and its distance from fp32.

Activations are uint8 and weights int8 per channel, in ONNX's QDQ format. Before that, channels
between the first convolutions are scaled, and weights are rounded so that their errors cancel each
other. The first convolutions stay fp32, as few as bring the features near enough
(docs/decisions/0035-int8-trained.md).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quant_pre_process,
    quantize_static,
)
from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data

from trailergenre.base.errors import ConfigError, WeightsError
from trailergenre.base.onnx_session import Session, open_session
from trailergenre.base.progress import OnStep
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.features.backbone.artefact import Quantization
from trailergenre.features.backbone.channel_scaling import equalise_channels
from trailergenre.features.backbone.saturation import is_exact, run_onnxruntime
from trailergenre.features.backbone.weight_rounding import round_weights

MIN_COSINE = 0.97
"""Smallest 1st percentile of the cosine between int8 and fp32, after subtracting the mean."""
MAX_RMS_SHARE = 0.07
"""Largest rms(int8 - fp32), as a share of the rms spread between frames."""

MIN_FRAMES = 16
"""Fewest representative frames, and fewest frames to compare on."""

MAX_FP32 = 6
"""Most convolutions that stay fp32: the first ones, on the largest pictures, cost the most time."""

OnBatch = Callable[[int], None]
"""Called with the number of frames of each batch that is done."""

_BATCH = 8
_QUANTIZED = ["Conv", "Relu", "MaxPool", "AveragePool", "Concat"]
"""All but the last average pooling, whose float32 sums are the output."""


def quantize_network(
    path: Path, videos: Sequence[FrameArray], *, weights: str, on_step: OnStep
) -> Quantization:
    """Replace an fp32 network by its int8 form, and compare them.

    The first convolutions stay fp32 if int8 is too far from fp32 without: one after the other,
    until it is near enough.

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
    done, tries = 0, 1

    def on_batch(n_frames: int) -> None:
        nonlocal done
        done += n_frames
        on_step(done, len(seen) + (1 + tries) * (len(seen) + len(unseen)))

    fp32 = _open(path)
    fp32_seen, fp32_unseen = (_embed(fp32, frames, on_batch) for frames in (seen, unseen))
    weight_bits: Literal[7, 8] = 8 if is_exact(run_onnxruntime) else 7
    describe = partial(
        Quantization,
        sha256=hashlib.sha256(seen.tobytes()).hexdigest(),
        n_frames=len(seen),
        n_judged=len(unseen),
        is_held_out=is_held_out,
        weight_bits=weight_bits,
    )
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".int8-") as directory:
        reader = _Reader(fp32, seen, on_batch)
        network = _Prepared(path, Path(directory), reader, seen, weight_bits)
        if not network.convolutions:
            raise ConfigError("The network has no convolutions, so int8 would gain nothing.")
        quantized = Path(directory) / path.name
        for n_fp32 in range(min(MAX_FP32, len(network.convolutions) - 1) + 1):
            tries = n_fp32 + 1
            network.quantize(quantized, n_fp32=n_fp32)
            int8_seen = _embed(_open(quantized), seen, on_batch)
            _correct_output(quantized, fp32_seen, int8_seen)
            int8_unseen = _embed(_open(quantized), unseen, on_batch)
            cosine_p1, rms_share = compare_with_fp32(fp32_unseen, int8_unseen, fp32_seen.mean(0))
            figures = describe(fp32_convolutions=n_fp32, cosine_p1=cosine_p1, rms_share=rms_share)
            if cosine_p1 >= MIN_COSINE and rms_share <= MAX_RMS_SHARE:
                quantized.replace(path)
                return figures
    raise WeightsError(
        f"The int8 network is too far from fp32 ({figures.line(weights)}). Needed: "
        f"cosine >= {MIN_COSINE}, rms <= {MAX_RMS_SHARE}. {_advise(figures)} or use "
        "--precision fp32."
    )


def _advise(figures: Quantization) -> str:
    more = "Give more videos, or videos like those to embed,"
    if figures.weight_bits == 8:
        return more
    return f"{more} export on a machine whose processor has VNNI, for 8-bit weights,"


def compare_with_fp32(
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


class _Prepared:
    """A network that is ready to be quantized: batch normalisation is folded, ranges are known."""

    def __init__(
        self, path: Path, directory: Path, reader: _Reader, frames: FrameArray, weight_bits: int
    ) -> None:
        """Run the network on the representative frames, to find ranges and round weights."""
        self._directory, self._ranges = directory, directory / "ranges.json"
        self._weight_bits = weight_bits
        prepared = directory / "prepared.onnx"
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        self._network = onnx.load(prepared)
        self._nodes = [node for node in self._network.graph.node if node.op_type == "Conv"]
        self.convolutions = [node.name for node in self._nodes]
        equalise_channels(self._network, self._nodes[:MAX_FP32], frames)
        onnx.save(self._network, prepared)
        augmented = str(directory / "augmented.onnx")
        calibrator = create_calibrator(prepared, _QUANTIZED, augmented_model_path=augmented)
        calibrator.collect_data(reader)
        save_tensors_data(calibrator.compute_data(), self._ranges)
        self._rounded = round_weights(self._network, frames, weight_bits=weight_bits)

    def quantize(self, out: Path, *, n_fp32: int) -> None:
        """Write the int8 form, without its first `n_fp32` convolutions."""
        rounded = self._directory / "rounded.onnx"
        quantized = {node.input[1] for node in self._nodes[n_fp32:]}
        network = onnx.ModelProto()
        network.CopyFrom(self._network)
        for array in network.graph.initializer:
            if array.name in quantized:
                array.CopyFrom(onnx.numpy_helper.from_array(self._rounded[array.name], array.name))
        onnx.save(network, rounded)
        quantize_static(
            rounded,
            out,
            None,  # its ranges are known
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_QUANTIZED,
            nodes_to_exclude=self.convolutions[:n_fp32],
            per_channel=True,
            reduce_range=self._weight_bits == 7,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibration_cache_path=self._ranges,
        )


def _correct_output(path: Path, fp32: FeatureArray, int8: FeatureArray) -> None:
    """Add a constant to every feature, since rounding shifts its mean.

    Features that are never negative, as those after a Relu, stay so.
    """
    network = onnx.load(path)
    graph = network.graph
    output = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["uncorrected" if name == output else name for name in node.output]
    shift = (fp32.mean(0) - int8.mean(0)).astype(np.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(shift, "shift"))
    is_positive = fp32.min() >= 0
    corrected = "corrected" if is_positive else output
    nodes: list[Any] = [
        onnx.helper.make_node("Add", ["uncorrected", "shift"], [corrected], "correct")
    ]
    if is_positive:
        nodes.append(onnx.helper.make_node("Relu", [corrected], [output], "keep_positive"))
    graph.node.extend(nodes)
    onnx.save(network, path)

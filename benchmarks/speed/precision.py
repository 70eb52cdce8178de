"""B4 and parity: int8 against fp32, and every engine against plain Keras, on real frames."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from speed.children import run_alone
from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs, published_clips
from speed.machine import CORES
from trailergenre.base.config import BackboneConfig
from trailergenre.base.config_files import load_config
from trailergenre.base.records import FrameArray
from trailergenre.features.backbone import load_embedder, read_manifest
from trailergenre.features.backbone.embedder import Embedder
from trailergenre.features.backbone.int8 import MAX_RMS_SHARE, MIN_COSINE, compare_with_fp32
from trailergenre.features.representative_frames import read_representative_frames

_TURNS, _TIMED = 5, 64
ENGINES = ("onnxruntime", "openvino")


def measure_precision(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Compare the int8 network with fp32 by both engines: features, and time on all cores.

    Args:
        inputs: where the networks come from.
        wanted: B4.
    """
    videos = read_frames(inputs)
    seen, unseen = np.concatenate(videos[::2]), np.concatenate(videos[1::2])
    manifest = read_manifest(inputs.int8)
    assert manifest.calibration is not None  # an int8 manifest has one, or it is not read
    of = f"{'published' if published_clips() else 'made'} clips, weights {manifest.source}"
    found: Findings = {}
    for engine in ENGINES:
        fp32, int8 = (_load(path, engine) for path in (inputs.fp32, inputs.int8))
        cosine, rms = compare_with_fp32(
            fp32.embed(unseen), int8.embed(unseen), fp32.embed(seen).mean(0)
        )
        timed = unseen[:_TIMED]
        contenders = {"fp32": partial(_speed, fp32, timed), "int8": partial(_speed, int8, timed)}
        values = take_turns(contenders, _TURNS)
        figures: dict[str, Any] = {
            "calibration": manifest.calibration.model_dump(),
            "frames_per_s": medians(values),
        }
        key, by = ("B4", "") if engine == ENGINES[0] else (f"B4 {engine}", f" by {engine}")
        said = f"int8{by}, {of}"
        found |= {
            key: Finding(
                f"{said}: 1st percentile of the cosine to fp32 around the mean",
                [cosine], MIN_COSINE, 0.95, figures=figures,
            ),
            f"{key} rms": Finding(
                f"{said}: rms difference to fp32 over the rms spread",
                [rms], MAX_RMS_SHARE, 0.1, is_least=False, figures=figures,
            ),
            f"{key} speed": Finding(
                f"{said}: frames/s of the network on {CORES} threads over fp32",
                ratios(values, "int8", "fp32"), 1.85, 1.4, figures=figures,
            ),
        }  # fmt: skip
    return found


def measure_parity(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Compare every engine with Keras's own network, and two mistakes that must show.

    Args:
        inputs: where the network comes from.
        wanted: parity.
    """
    frames = inputs.directory("parity") / "frames.npy"
    np.save(frames, np.concatenate([video[::8] for video in read_frames(inputs)]))
    deviations = run_alone("speed.parity", frames, inputs.fp32)
    of = f"weights {read_manifest(inputs.fp32).source}"
    found = {}
    for name, value in deviations.items():
        is_engine = name not in ("BGR", "unscaled")
        what = f"{name} from Keras's features, {of}: largest difference over a frame's largest"
        bars = (1e-4, 1e-4) if is_engine else (1e-3, 1e-3)
        found[f"parity {name}"] = Finding(what, [value], *bars, is_least=not is_engine)
    return found


def read_frames(inputs: Inputs) -> list[FrameArray]:
    """Frames of each clip, as the export of the int8 network took them."""
    settings = load_config((), inputs.frame_settings)
    form = read_manifest(inputs.fp32).input
    return read_representative_frames(inputs.representative, settings, form)


def _load(path: Path, engine: str) -> Embedder:
    config = {"path": str(path), "engine": engine, "threads": CORES}
    return load_embedder(BackboneConfig.model_validate(config))


def _speed(embedder: Embedder, frames: FrameArray) -> float:
    started = time.monotonic()
    embedder.embed(frames)
    return len(frames) / (time.monotonic() - started)

"""How fast each engine runs the configured network here: `trailergenre doctor --bench`."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import numpy as np

from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, one_line
from trailergenre.base.native_logs import hold_native_logs
from trailergenre.base.records import FrameArray
from trailergenre.features.backbone import Embedder, load_embedder, read_manifest
from trailergenre.features.backbone.artefact import local_backbone

ENGINES = ("onnxruntime", "openvino", "tensorflow")
_TURNS = 5
_WORTH_SETTING = 1.1
"""Speed over that of the configured engine; smaller differences are noise."""


@dataclass(frozen=True, slots=True)
class EngineSpeed:
    """An engine's speed, or why it does not run the network here."""

    engine: str
    version: str = ""
    frames_per_core_s: float = 0.0
    """Frames per second of CPU time, on which other work has little effect; 0 if not run."""
    reason: str = ""

    def line(self) -> str:
        """Format it for the terminal.

        >>> EngineSpeed("onnxruntime", "1.32.0", 21.234).line()
        'onnxruntime 1.32.0        21.2 frames/s of a core'
        """
        if self.reason:
            return f"{self.engine:<24} not run: {self.reason}"
        name = f"{self.engine} {self.version}"
        return f"{name:<24}{self.frames_per_core_s:6.1f} frames/s of a core"


def measure_engines(config: Config) -> list[EngineSpeed]:
    """Measure all engines in turns, a batch at a time, on one thread each; takes half a minute.

    Errors as for `load_embedder` if the network itself cannot be used.
    """
    manifest = read_manifest(local_backbone(config.backbone.path))
    shape = (config.backbone.batch_size, *manifest.input.shape)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    given = {"device": "cpu", "threads": 1, "mixed_precision": False}
    loaded: dict[str, Embedder] = {}
    found: dict[str, EngineSpeed] = {}
    for engine in ENGINES:
        backbone = config.backbone.model_copy(update={"engine": engine, **given})
        try:
            with hold_native_logs():
                loaded[engine] = load_embedder(backbone)
                loaded[engine].embed(frames)  # the first call also prepares
        except ConfigError as error:
            found[engine] = EngineSpeed(engine, reason=one_line(error.problem))
    times: dict[str, list[float]] = {engine: [] for engine in loaded}
    for _ in range(_TURNS):
        for engine, embedder in loaded.items():
            times[engine].append(_cpu_s(embedder, frames))
    for engine, spent in times.items():
        speed = len(frames) / statistics.median(spent)
        found[engine] = EngineSpeed(engine, loaded[engine].version, speed)
    return [found[engine] for engine in ENGINES]


def _cpu_s(embedder: Embedder, frames: FrameArray) -> float:
    started = time.process_time()
    embedder.embed(frames)
    return time.process_time() - started


def choose_engine(speeds: list[EngineSpeed], configured: str) -> str:
    """The fastest engine, or the configured one where that would gain nothing."""
    speed = {each.engine: each.frames_per_core_s for each in speeds}
    best = max(speed, key=lambda engine: speed[engine])
    return best if speed[best] >= _WORTH_SETTING * speed[configured] else configured


def advise(speeds: list[EngineSpeed], configured: str) -> str:
    """Say in one line which engine to set."""
    best = choose_engine(speeds, configured)
    if best == configured:
        return f'Leave backbone.engine = "{configured}": no other is faster here.'
    speed = {each.engine: each.frames_per_core_s for each in speeds}
    gain = f", {speed[best] / speed[configured]:.1f} times as fast" if speed[configured] else ""
    return f'Set backbone.engine = "{best}"{gain}.'

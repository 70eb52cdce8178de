"""The interface of all engines, and what they share: checks, and batches of a fixed size."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Protocol

import numpy as np

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.features.backbone.artefact import BackboneManifest
from trailergenre.features.backbone.spec import NetworkSpec

log = logging.getLogger(__name__)

GPU_IN_FLIGHT = 2
"""Batches at a time on a GPU: one is copied while the other is computed."""


class Embedder(Protocol):
    """A loaded network; `engine` and `device` are as in the configuration."""

    manifest: BackboneManifest
    engine: str
    device: str
    version: str  # of the engine

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Compute the features of frames, shape (n, height, width, 3), uint8, RGB, 0..255.

        Returns:
            Shape (n, width of the output), float32; row i belongs to frames[i]. n may be 0.
        """
        ...


def check_frames(frames: FrameArray, spec: NetworkSpec) -> None:
    """Raise a ValueError unless the frames are uint8 RGB of the network's input size."""
    expected = spec.input.shape
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != expected:
        raise ValueError(
            f"Frames must be uint8 of shape (n, {', '.join(map(str, expected))}), RGB. "
            f"Received: {frames.dtype} of shape {frames.shape}."
        )


def join_features(batches: list[FeatureArray], spec: NetworkSpec) -> FeatureArray:
    """The features of all batches, of which there may be none."""
    return np.concatenate([np.empty((0, spec.output.width), np.float32), *batches])


class FixedBatches:
    """Runs a network on batches of one size, several at a time.

    Where a batch does not fit into memory, the size is halved for good.
    """

    def __init__(
        self,
        run: Callable[[FrameArray], FeatureArray],
        spec: NetworkSpec,
        *,
        size: int,
        in_flight: int,
    ) -> None:
        """Take the network on exactly `size` frames: the last batch is padded with black.

        `run` is called from `in_flight` threads, and raises MemoryError if the frames are too many.
        """
        self._run = run
        self._spec = spec
        self._size = size
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix="embed")

    def embed(self, frames: FrameArray) -> FeatureArray:
        """See `Embedder.embed`; a ConfigError if not even one frame fits into memory."""
        check_frames(frames, self._spec)
        while True:
            try:
                return self._embed(frames)
            except MemoryError as error:
                if self._size == 1:
                    raise ConfigError(
                        f"The network and one frame do not fit into the device's memory: {error}. "
                        "Stop other programs that use it, or set backbone.device = cpu."
                    ) from error
                self._size //= 2
                log.warning(
                    "the device is out of memory; from now on %d frames per batch: set "
                    "backbone.batch_size = %d (%s)",
                    self._size,
                    self._size,
                    error,
                )

    def _embed(self, frames: FrameArray) -> FeatureArray:
        size = self._size
        futures = [
            self._threads.submit(self._run_padded, frames[start : start + size], size)
            for start in range(0, len(frames), size)
        ]
        try:
            batches = [future.result() for future in futures]
        finally:
            # Batches that still run would take the memory that a smaller batch needs.
            for future in futures:
                future.cancel()
            wait(futures)
        return join_features(batches, self._spec)

    def _run_padded(self, frames: FrameArray, size: int) -> FeatureArray:
        n_frames = len(frames)
        if n_frames < size:
            frames = np.pad(frames, ((0, size - n_frames), (0, 0), (0, 0), (0, 0)))
        return self._run(frames)[:n_frames]

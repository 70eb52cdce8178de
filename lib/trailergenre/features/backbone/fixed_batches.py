"""Frames to features in batches of one size, several in flight, smaller where memory runs out.

For engines whose device wants one shape for every call. Knows nothing of the device.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import numpy as np

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import FeatureArray, FrameArray
from trailergenre.features.backbone.embedder import check_frames, no_features

log = logging.getLogger(__name__)

GPU_IN_FLIGHT = 2
"""Batches at a time on a GPU: one is copied while the other is computed."""


class FixedBatches:
    """Cuts frames into batches of one size, and remembers the size that fits into memory."""

    def __init__(
        self, run: Callable[[FrameArray], FeatureArray], *, size: int, in_flight: int
    ) -> None:
        """Keep what a call needs.

        Args:
            run: the network, on exactly `size` frames; raises MemoryError where they are too many.
                Called from `in_flight` threads.
            size: frames a batch; the last one is filled with black.
            in_flight: batches that are begun before the first has ended.
        """
        self._run = run
        self._size = size
        self._threads = ThreadPoolExecutor(in_flight, thread_name_prefix="embed")

    def embed(self, frames: FrameArray) -> FeatureArray:
        """Turn frames into features; the contract of `Embedder.embed`.

        Raises:
            ConfigError: memory does not even hold what one frame takes.
        """
        check_frames(frames)
        while True:
            try:
                return self._embed(frames)
            except MemoryError as error:
                if self._size == 1:
                    raise ConfigError(
                        f"The device's memory does not hold the network and one frame: {error}. "
                        "End what else uses it, or set backbone.device = cpu."
                    ) from error
                self._size //= 2
                log.warning(
                    "the device is out of memory; from now on %d frames a batch: set "
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
            parts = [future.result() for future in futures]
        finally:
            # What still runs would take the memory that a smaller batch needs.
            for future in futures:
                future.cancel()
            wait(futures)
        return np.concatenate(parts) if parts else no_features()

    def _run_padded(self, frames: FrameArray, size: int) -> FeatureArray:
        n_frames = len(frames)
        if n_frames < size:
            frames = np.pad(frames, ((0, size - n_frames), (0, 0), (0, 0), (0, 0)))
        return self._run(frames)[:n_frames]

"""The frames of one video as a stream of batches, then a check that the video is whole.

Frame i is the last source frame at or before i / F seconds after the first one
(`docs/decisions/0001-frame-rule.md`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FRAME_BYTES, FRAME_SIDE_PX, FrameArray, VideoFacts
from trailergenre.base.sandbox.children import Deadline, start_child
from trailergenre.frames.completeness import find_missing_end
from trailergenre.frames.failures import check_exit, check_log, explain_failure, find_damage
from trailergenre.frames.ffmpeg import ENVIRONMENT, child_limits, decode_arguments
from trailergenre.frames.ffmpeg_log import FfmpegLog, read_log


def frame_times(n_frames: int, frames_per_s: float) -> NDArray[np.float64]:
    """Time of each frame, in seconds after the first source frame: shape (n_frames,), float64."""
    return np.arange(n_frames) / frames_per_s


@dataclass(frozen=True, slots=True)
class Decoder:
    """The settings of all decodes of a run; `frames_per_s` is the sampling rate F."""

    frames_per_s: float
    limits: LimitsConfig

    def decode(self, path: Path, *, deadline: Deadline) -> DecodedVideo:
        """Prepare a decode; ffmpeg starts with the iteration."""
        return DecodedVideo(path, self, deadline)


@dataclass(slots=True)
class DecodedVideo:
    """The frames of one video, once, in order; `facts` are set when iteration has ended."""

    path: Path
    settings: Decoder
    deadline: Deadline
    facts: VideoFacts | None = None

    def batches(self, size: int) -> Iterator[FrameArray]:
        """Yield frames as they are decoded.

        Args:
            size: frames per batch; the last batch may be smaller.

        Yields:
            shape (n, 299, 299, 3), uint8, RGB; each a new array.

        Raises:
            ItemError: the video cannot be decoded whole; drop the batches yielded before.
            RunError: ffmpeg cannot run here, or its log could not be stored.
        """
        if not self.path.is_file():
            raise ItemError(Outcome.PATH, "the video is not a regular file")
        limits, frames_per_s = self.settings.limits, self.settings.frames_per_s
        n_frames = 0
        with (
            tempfile.TemporaryFile() as stderr,
            start_child(
                decode_arguments(self.path, frames_per_s=frames_per_s, limits=limits),
                deadline=self.deadline,
                stderr=stderr,
                env=ENVIRONMENT,
                limits=child_limits(limits),
            ) as child,
        ):
            child.stdin.close()
            for batch in _read_batches(child.stdout, size):
                n_frames += len(batch)
                # The consumer's time does not count.
                with self.deadline.paused():
                    yield batch
            code = child.process.wait()
            stderr.seek(0)
            log = read_log(stderr.read().decode(errors="replace"))
            self.facts = log.facts
            check_exit(child, code, log)
        if code == 0:
            check_log(log, n_frames)
        if code != 0 or n_frames == 0:
            raise explain_failure(log, self.path)
        self._check_whole(n_frames, log)

    def _check_whole(self, n_frames: int, log: FfmpegLog) -> None:
        limits, frames_per_s = self.settings.limits, self.settings.frames_per_s
        last_s = max(log.declared_s or 0.0, (n_frames - 1) / frames_per_s)
        if n_frames > limits.max_frames:
            raise ItemError(Outcome.TOO_LONG, f"more than {limits.max_frames} frames")
        if last_s > limits.max_duration_s:
            raise ItemError(Outcome.TOO_LONG, f"{last_s:g} s, over {limits.max_duration_s:g} s")
        pictures_s = n_frames / frames_per_s
        if missing := find_missing_end(
            self.path, log, pictures_s=pictures_s, limits=limits, deadline=self.deadline
        ):
            raise ItemError(Outcome.PARTIAL, missing)
        if damage := find_damage(log):
            raise damage


def _read_batches(pipe: IO[bytes], size: int) -> Iterator[FrameArray]:
    while True:
        batch = np.empty((size, FRAME_SIDE_PX, FRAME_SIDE_PX, 3), np.uint8)
        view = batch.reshape(-1).data
        filled = 0
        while filled < len(view):
            count: int = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
            if count == 0:
                break
            filled += count
        # Drop a frame that a dying decoder did not finish.
        n_frames = filled // FRAME_BYTES
        if n_frames:
            yield batch[:n_frames]
        if filled < len(view):
            return

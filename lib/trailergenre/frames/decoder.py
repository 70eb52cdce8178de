"""The frames of one video as a stream of batches, then a check that the video is whole.

Frame i is the last source frame at or before i / F seconds after the first one
(`docs/decisions/0001-frame-rule.md`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FrameArray, FrameForm, VideoFacts
from trailergenre.base.sandbox.children import Deadline, start_child
from trailergenre.frames.completeness import find_missing_pictures
from trailergenre.frames.containers import declares_no_length
from trailergenre.frames.failures import (
    check_exit,
    check_log,
    check_order,
    explain_failure,
    find_damage,
    find_unknown_matrix,
)
from trailergenre.frames.ffmpeg import ENVIRONMENT, child_limits, decode_arguments
from trailergenre.frames.ffmpeg_log import FfmpegLog, read_log
from trailergenre.frames.pictures import Pictures, read_pictures

_Frame: TypeAlias = "NDArray[np.uint8]"
"""Shape (height, width, 3), uint8, RGB."""

_SD_WIDTH_PX, _SD_HEIGHT_PX = 1024, 576
"""Wider or higher pictures whose colour matrix is unknown are read as BT.709, others as BT.601."""


def frame_times(n_frames: int, frames_per_s: float) -> NDArray[np.float64]:
    """Time of each frame, in seconds after the first source frame: shape (n_frames,), float64."""
    return np.arange(n_frames) / frames_per_s


@dataclass(frozen=True, slots=True)
class Decoder:
    """The settings of all decodes of a run; `frames_per_s` is the sampling rate F."""

    form: FrameForm
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
            shape (n, height, width, 3), uint8, RGB; each a new array.

        Raises:
            ItemError: the video cannot be decoded whole; drop the batches yielded before.
            RunError: ffmpeg cannot run here, or its log could not be stored.
        """
        if not self.path.is_file():
            raise ItemError(Outcome.PATH, "the video is not a regular file")
        batch: list[_Frame] = []
        for frame in self._frames():
            batch.append(frame)
            if len(batch) == size:
                # The consumer's time does not count.
                with self.deadline.paused():
                    yield np.stack(batch)
                batch = []
        if batch:
            with self.deadline.paused():
                yield np.stack(batch)

    def _frames(self) -> Iterator[_Frame]:
        matrix, note = None, ""
        while True:
            decode = yield from self._decode(matrix)
            log, pictures = decode.log, decode.pictures
            self.facts = VideoFacts(
                duration_s=log.length_s,
                pictures_s=pictures.length_s if pictures else None,
                width_px=pictures.width_px if pictures else None,
                height_px=pictures.height_px if pictures else None,
                decode_errors=log.n_errors,
                note=note,
            )
            unknown = find_unknown_matrix(log)
            if unknown is None or matrix is not None or decode.held is not None:
                break
            is_hd = (
                pictures is None
                or pictures.width_px > _SD_WIDTH_PX
                or pictures.height_px > _SD_HEIGHT_PX
            )
            matrix = "bt709" if is_hd else "smpte170m"
            note = f"colours are read as {matrix}: the decoder does not know {unknown}"
        if decode.code == 0:
            check_log(log, pictures, decode.n_frames)
        # A cover alone is decoded, too, if there is nothing else.
        if decode.code != 0 or pictures is None or decode.held is None or not log.videos:
            raise explain_failure(log, self.path)
        n_frames = self._count_frames(decode.n_frames, pictures)
        self._check_whole(n_frames, pictures, log)
        yield from repeat(decode.held, n_frames - decode.n_yielded)

    def _decode(self, colour_matrix: str | None) -> Generator[_Frame, None, _Decode]:
        """Run ffmpeg; yield its frames, but not the last and its repetitions: some are too many."""
        limits = self.settings.limits
        decode = _Decode()
        with (
            tempfile.TemporaryFile() as stderr,
            tempfile.NamedTemporaryFile() as times,
            start_child(
                decode_arguments(
                    self.path,
                    Path(times.name),
                    form=self.settings.form,
                    frames_per_s=self.settings.frames_per_s,
                    limits=limits,
                    colour_matrix=colour_matrix,
                ),
                deadline=self.deadline,
                stderr=stderr,
                env=ENVIRONMENT,
                limits=child_limits(limits),
            ) as child,
        ):
            child.stdin.close()
            while (frame := _read_frame(child.stdout, self.settings.form)) is not None:
                if decode.held is not None and np.array_equal(frame, decode.held):
                    decode.n_held += 1
                    continue
                if decode.held is not None:
                    yield from repeat(decode.held, decode.n_held)
                decode.n_yielded += decode.n_held
                decode.held, decode.n_held = frame, 1
            decode.code = child.process.wait()
            stderr.seek(0)
            decode.log = read_log(stderr.read().decode(errors="replace"))
            if declares_no_length(self.path):
                decode.log.duration_s = None
            decode.pictures = read_pictures(times.read().decode(errors="replace"))
            check_exit(child, decode.code, decode.log)
        return decode

    def _count_frames(self, n_frames: int, pictures: Pictures) -> int:
        """The frames that have a picture: ffmpeg repeats the last one until the declared end."""
        limits, frames_per_s = self.settings.limits, self.settings.frames_per_s
        fewest, most = pictures.count_frames(frames_per_s)
        if fewest > limits.max_frames:
            raise ItemError(Outcome.TOO_LONG, f"more than {limits.max_frames} frames")
        if n_frames < fewest:
            shown = f"{pictures.length_s:g} s of pictures"
            raise ItemError(Outcome.DECODE, f"{n_frames} frames for {shown}, not {fewest}")
        return min(n_frames, most)

    def _check_whole(self, n_frames: int, pictures: Pictures, log: FfmpegLog) -> None:
        limits = self.settings.limits
        last_s = max(log.declared_s or 0.0, (n_frames - 1) / self.settings.frames_per_s)
        if last_s > limits.max_duration_s:
            raise ItemError(Outcome.TOO_LONG, f"{last_s:g} s, over {limits.max_duration_s:g} s")
        if pictures.width_px * pictures.height_px > limits.max_pixels:
            size = f"{pictures.width_px} x {pictures.height_px} pixels"
            raise ItemError(Outcome.DIMENSIONS, f"{size}, over {limits.max_pixels}")
        check_order(log, pictures)
        if missing := find_missing_pictures(
            self.path, log, pictures, limits=limits, deadline=self.deadline
        ):
            raise ItemError(Outcome.PARTIAL, missing)
        if damage := find_damage(log):
            raise damage


@dataclass(slots=True)
class _Decode:
    """What one run of ffmpeg gave."""

    code: int = 0
    log: FfmpegLog = field(default_factory=FfmpegLog)
    pictures: Pictures | None = None
    n_yielded: int = 0
    held: _Frame | None = None  # the newest frame
    n_held: int = 0  # how often it was repeated

    @property
    def n_frames(self) -> int:
        """Frames that ffmpeg gave."""
        return self.n_yielded + self.n_held


def _read_frame(pipe: IO[bytes], form: FrameForm) -> _Frame | None:
    frame = np.empty(form.shape, np.uint8)
    view = frame.reshape(-1).data
    filled = 0
    while filled < len(view):
        count: int = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
        # Drop a frame that a dying decoder did not finish.
        if count == 0:
            return None
        filled += count
    return frame

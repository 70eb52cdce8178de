"""Video file to frames: ffmpeg in a child process, 299 x 299 RGB streamed through a pipe.

Frame i shows what is on screen at i / F seconds after the first video frame: the last source frame
whose time is at or before it (`docs/decisions/0001-frame-rule.md`). Knows nothing of networks.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np

from trailergenre.config import LimitsConfig
from trailergenre.errors import ItemError, ToolMissingError
from trailergenre.outcomes import Outcome
from trailergenre.records import FRAME_SIDE_PX, FrameArray, VideoFacts
from trailergenre.sandbox import Child, ChildLimits, Deadline, start_child

FRAME_BYTES = FRAME_SIDE_PX * FRAME_SIDE_PX * 3

_FORMATS = "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg"
_PARTIAL_S = 2.0
_PARTIAL_SHARE = 0.02
"""A damaged video is partial when it ends earlier than declared by more than both of these."""
_COMPLAINT = re.compile(r"\[(warning|error|fatal)\]")


@cache
def find_ffmpeg() -> str:
    """The ffmpeg on the PATH, else the one that imageio-ffmpeg brings.

    Raises:
        ToolMissingError: there is neither.
    """
    on_path = shutil.which("ffmpeg")
    if on_path:
        return on_path
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ToolMissingError(
            "ffmpeg is missing. Install it (apt-get install ffmpeg, dnf install ffmpeg, "
            "brew install ffmpeg) or run: pip install imageio-ffmpeg"
        ) from error


@cache
def ffmpeg_version() -> str:
    """The version that the binary gives of itself, e.g. `9.0.2`."""
    output = subprocess.run(
        [find_ffmpeg(), "-version"], capture_output=True, text=True, check=True
    ).stdout
    match = re.match(r"ffmpeg version n?(\S+)", output)
    if match is None:
        raise ToolMissingError(f"{find_ffmpeg()} does not give its version: {output[:80]!r}")
    return match.group(1)


def ffmpeg_major() -> int:
    """The first number of the version; part of the fingerprint."""
    match = re.match(r"\d+", ffmpeg_version())
    if match is None:
        raise ToolMissingError(f"ffmpeg {ffmpeg_version()!r} is no release; install a released one")
    return int(match.group())


@dataclass(frozen=True, slots=True)
class Decoder:
    """The settings of every decode of a run.

    Attributes:
        frames_per_s: sampling rate F.
        limits: bounds of one link.
    """

    frames_per_s: float
    limits: LimitsConfig

    def decode(self, path: Path, *, deadline: Deadline) -> DecodedVideo:
        """Make a stream of a video's frames; nothing runs until it is iterated."""
        return DecodedVideo(path=path, settings=self, deadline=deadline)


class DecodedVideo:
    """The frames of one video, once, in order.

    Attributes:
        facts: what the decoder said of the video; known once iteration has ended.
    """

    def __init__(self, *, path: Path, settings: Decoder, deadline: Deadline) -> None:
        """Keep what iteration needs."""
        self._path = path
        self._settings = settings
        self._deadline = deadline
        self.facts: VideoFacts | None = None

    def batches(self, size: int) -> Iterator[FrameArray]:
        """Yield frames as they are decoded.

        Args:
            size: most frames a batch; only the last batch is smaller.

        Yields:
            Shape (n, 299, 299, 3), uint8, RGB; each a fresh array.

        Raises:
            ItemError: the file cannot be decoded whole; batches yielded before must be dropped.
        """
        arguments = _ffmpeg_arguments(self._path, self._settings)
        n_frames = 0
        with (
            tempfile.TemporaryFile() as stderr,
            start_child(
                arguments,
                deadline=self._deadline,
                stderr=stderr,
                env={"LANG": "C.UTF-8"},
                limits=_child_limits(self._settings.limits),
            ) as child,
        ):
            child.stdin.close()
            for batch in _read_batches(child.stdout, size):
                n_frames += len(batch)
                # The engine's time is not the decoder's.
                with self._deadline.paused():
                    yield batch
            code = child.process.wait()
            stderr.seek(0)
            log = stderr.read().decode(errors="replace")
            self.facts = _read_facts(log)
            _check_end(child, code, log, self._path)
        self._check_whole(n_frames, is_damaged=_COMPLAINT.search(log) is not None)

    def _check_whole(self, n_frames: int, *, is_damaged: bool) -> None:
        limits, facts = self._settings.limits, self.facts
        if n_frames > limits.max_frames:
            raise ItemError(Outcome.TOO_LONG, f"more than {limits.max_frames} frames")
        if n_frames == 0:
            raise ItemError(Outcome.DECODE, "not one frame could be decoded")
        declared_s = facts.duration_s if facts else None
        if declared_s is None:
            return
        if declared_s > limits.max_duration_s:
            raise ItemError(Outcome.TOO_LONG, f"{declared_s:g} s, over {limits.max_duration_s:g} s")
        end_s = n_frames / self._settings.frames_per_s
        # The container's length may be that of a longer sound; a cut file also has complaints.
        if is_damaged and declared_s - end_s > max(_PARTIAL_S, _PARTIAL_SHARE * declared_s):
            raise ItemError(
                Outcome.PARTIAL, f"the pictures end at {end_s:g} s of the declared {declared_s:g} s"
            )


def _child_limits(limits: LimitsConfig) -> ChildLimits:
    return ChildLimits(
        cpu_s=2 * limits.deadline_s,
        file_bytes=8_000_000,
        memory_bytes=1_500_000_000,
        address_space_bytes=1_500_000_000,
        has_network=False,
    )


def _ffmpeg_arguments(path: Path, settings: Decoder) -> list[str]:
    import ffmpeg

    side = FRAME_SIDE_PX
    source = ffmpeg.input(
        f"file:{path}",
        threads=1,
        protocol_whitelist="file",
        format_whitelist=_FORMATS,
        max_pixels=settings.limits.max_pixels,
    )
    frames = (
        source["V:0"]
        # A stream may start at any time; frame 0 is its first picture.
        .filter("setpts", "PTS-STARTPTS")
        .filter("fps", fps=settings.frames_per_s, round="up")
        .filter("scale", side, side, flags="bicubic+accurate_rnd+full_chroma_int+bitexact")
        .filter("format", "rgb24")
    )
    output = ffmpeg.output(
        frames,
        "pipe:1",
        format="rawvideo",
        pix_fmt="rgb24",
        threads=1,
        # One more than allowed, so that a cut is seen as one.
        **{"frames:v": settings.limits.max_frames + 1},
    ).global_args("-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info")
    return list(ffmpeg.compile(output, cmd=find_ffmpeg()))


def _read_batches(pipe: IO[bytes], size: int) -> Iterator[FrameArray]:
    while True:
        batch = np.empty((size, FRAME_SIDE_PX, FRAME_SIDE_PX, 3), np.uint8)
        view = batch.reshape(-1).data
        filled = 0
        while filled < len(view):
            count = _read_into(pipe, view[filled:])
            if count == 0:
                break
            filled += count
        # A frame that was cut off by a dying decoder is no frame.
        n_frames = filled // FRAME_BYTES
        if n_frames:
            yield batch[:n_frames]
        if filled < len(view):
            return


def _read_into(pipe: IO[bytes], view: memoryview) -> int:
    return int(pipe.readinto(view) or 0)  # type: ignore[attr-defined]


_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")
_DIMENSIONS = re.compile(r"Stream #0:\d+.*?: Video: .*?\b(\d{1,6})x(\d{1,6})\b")


def _read_facts(log: str) -> VideoFacts | None:
    size = _DIMENSIONS.search(log)
    if size is None:
        return None
    length = _DURATION.search(log)
    duration_s = None
    if length is not None:
        hours, minutes, seconds = length.groups()
        duration_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return VideoFacts(
        duration_s=duration_s, width_px=int(size.group(1)), height_px=int(size.group(2))
    )


_FAILURES: tuple[tuple[str, Outcome], ...] = (
    (r"not on whitelist", Outcome.FORMAT_NOT_ALLOWED),
    (r"matches no streams|does not contain any stream", Outcome.NO_VIDEO),
    (r"exceeds specified max pixel count|picture size .* is invalid", Outcome.DIMENSIONS),
    (r"cannot allocate memory", Outcome.RESOURCE),
    (r"moov atom not found", Outcome.PARTIAL),
    (r"invalid data found when processing input", Outcome.NOT_MEDIA),
)


def _check_end(child: Child, code: int, log: str, path: Path) -> None:
    if child.is_timed_out:
        raise ItemError(Outcome.TIMEOUT, "decoding passed the link's deadline")
    if code < 0:
        raise ItemError(Outcome.DECODER_CRASH, f"ffmpeg was ended by signal {-code}")
    if code == 0:
        return
    errors = [line for line in log.splitlines() if "[error]" in line or "[fatal]" in line]
    detail = re.sub(r"\[[^\]]*\] ", "", errors[0]) if errors else f"ffmpeg ended with {code}"
    outcome = next(
        (outcome for pattern, outcome in _FAILURES if re.search(pattern, detail, re.IGNORECASE)),
        Outcome.DECODE,
    )
    # Damage inside of a readable container is damage; bytes that never were one are no media.
    if outcome is Outcome.NOT_MEDIA and _read_facts(log) is not None:
        outcome = Outcome.DECODE
    if outcome is Outcome.PARTIAL and not _is_mp4(path):
        outcome = Outcome.NOT_MEDIA
    raise ItemError(outcome, detail)


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"ftyp" in stream.read(12)

"""Why a video could not be decoded: the exit of ffmpeg and its log to one outcome."""

from __future__ import annotations

import re
import signal
import tempfile
from itertools import pairwise
from pathlib import Path

from trailergenre.base.errors import ItemError, StorageError, ToolMissingError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.sandbox.children import Child
from trailergenre.base.sandbox.launcher import LAUNCH_FAILED
from trailergenre.frames.containers import is_container, is_mp4
from trailergenre.frames.ffmpeg_log import FfmpegLog, LogError
from trailergenre.frames.pictures import Pictures

MAX_DAMAGED_SHARE = 0.01
"""A video with a larger share of damaged frames is damaged."""

_N_OVERLAPPING = 5

# In order, each against all errors: the first match is the reason.
_REASONS = (
    # ffmpeg recognizes a playlist under another name, and does not read it.
    (r"format not on whitelist|not detecting m3u8", Outcome.FORMAT_NOT_ALLOWED),
    # A colour matrix or transfer in mid-stream.
    (r"unsupported input .*csp:", Outcome.FORMAT_NOT_ALLOWED),
    (r"exceeds specified max pixel count", Outcome.DIMENSIONS),
    (r"picture size \d{3,}x\d{3,} is invalid", Outcome.DIMENSIONS),
    (r"exceeds max_streams", Outcome.RESOURCE),
    (r"cannot allocate memory|resource temporarily unavailable", Outcome.RESOURCE),
    (r"permission denied|no such file or directory|is a directory", Outcome.PATH),
)


def check_exit(child: Child, code: int, log: FfmpegLog) -> None:
    """Raise ItemError if a limit or signal ended ffmpeg; ToolMissingError if it cannot be used."""
    if child.is_timed_out:
        raise ItemError(Outcome.TIMEOUT, "decoding passed the link's deadline")
    if child.is_over_memory:
        memory_bytes = child.limits.memory_bytes
        raise ItemError(Outcome.RESOURCE, f"decoding used over {memory_bytes} bytes of memory")
    # ffmpeg catches some signals, e.g. that of the processor limit.
    number = -code if code < 0 else log.signal
    if number == signal.SIGXCPU:
        raise ItemError(Outcome.RESOURCE, "decoding used up its processor time")
    # Its log, or else a list of more pictures than any trailer has.
    if number == signal.SIGXFSZ:
        raise ItemError(Outcome.DECODE, f"over {child.limits.file_bytes} bytes of error messages")
    if number:
        raise ItemError(Outcome.DECODER_CRASH, f"ffmpeg was ended by signal {number}")
    if code == LAUNCH_FAILED:
        raise ToolMissingError("ffmpeg was found, but it cannot be started. Reinstall it.")


def check_log(log: FfmpegLog, pictures: Pictures | None, n_frames: int) -> None:
    """Raise StorageError if a successful exit left out figures: the machine is at fault."""
    if not log.format_names or (n_frames > 0 and (log.n_decoded == 0 or pictures is None)):
        raise StorageError(
            f"ffmpeg gave {n_frames} frames, but its log is not complete. Free space in "
            f"{tempfile.gettempdir()}, where it is stored, or else install ffmpeg 6 or newer."
        )


def explain_failure(log: FfmpegLog, path: Path) -> ItemError:
    """The reason why ffmpeg gave no frames or failed."""
    if reason := _find_reason(log):
        return reason
    if log.n_streams > 0 and not log.videos:
        return ItemError(Outcome.NO_VIDEO, f"{log.n_streams} streams, none of them video")
    codec = log.video.description.partition(",")[0] if log.video else ""
    if log.refused_codecs & set(re.findall(r"\w+", codec)):
        return ItemError(Outcome.FORMAT_NOT_ALLOWED, f"codec not on the list: {codec}")
    if _find_error(log, "moov atom not found") and is_mp4(path):
        return ItemError(Outcome.PARTIAL, "the index is missing: moov atom not found")
    detail = log.errors[0].text if log.errors else "ffmpeg gives no reason"
    if log.n_streams == 0 and not is_container(path):
        return ItemError(Outcome.NOT_MEDIA, detail)
    return ItemError(Outcome.DECODE, detail)


def find_unknown_matrix(log: FfmpegLog) -> str | None:
    """The colour matrix that ffmpeg's scaler does not know; None if that was not the problem."""
    texts = [error.text.strip() for error in log.errors]
    for title, source in pairwise(texts):
        if title == "Color spaces:" and source.startswith("src: "):
            return source.removeprefix("src: ")
    return None


def find_damage(log: FfmpegLog) -> ItemError | None:
    """The reason why a decoded video counts as damaged; None if it does not."""
    if log.n_damaged > MAX_DAMAGED_SHARE * log.n_source:
        detail = f"{log.n_damaged} of {log.n_source} source frames are damaged"
        # Frames that our own limits suppressed are not damage.
        return _find_reason(log) or ItemError(Outcome.DECODE, detail)
    # If a container lost data in the middle, frames repeat there and none is damaged. Repetitions
    # alone prove nothing: a still picture, or sampling above the video's own rate, repeats too.
    error = next((error for error in log.errors if error.component.startswith("in#")), None)
    is_repeating = log.n_repeated > MAX_DAMAGED_SHARE * log.n_sampled
    if error and is_repeating and log.n_sampled <= log.n_source:
        return ItemError(Outcome.DECODE, f"pictures are missing: {error.text}")
    return None


def check_order(log: FfmpegLog, pictures: Pictures) -> None:
    """Raise ItemError if frames cannot be told apart by their time, or may be distorted."""
    # ffmpeg's rotation does not follow such changes.
    if log.n_changes and log.video and log.video.is_turned:
        detail = "rotated pictures that change their size or format in mid-stream"
        raise ItemError(Outcome.FORMAT_NOT_ALLOWED, detail)
    # Segments of a stream may overlap by a few pictures.
    n_hidden, n_pictures = pictures.n_hidden, len(pictures.times)
    if n_hidden > max(_N_OVERLAPPING, MAX_DAMAGED_SHARE * n_pictures):
        detail = (
            f"timestamps go back: {n_hidden} of {n_pictures} pictures have no time of their own"
        )
        raise ItemError(Outcome.DECODE, detail)


def _find_reason(log: FfmpegLog) -> ItemError | None:
    for pattern, outcome in _REASONS:
        if error := _find_error(log, pattern):
            # ffmpeg is given twice our limit, since it rounds sizes up.
            return ItemError(outcome, re.sub(r"specified max pixel.*", "the limit", error.text))
    return None


def _find_error(log: FfmpegLog, pattern: str) -> LogError | None:
    is_match = re.compile(pattern, re.IGNORECASE).search
    return next((error for error in log.errors if is_match(error.text)), None)

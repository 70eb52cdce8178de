"""Why a video could not be decoded: from the end of ffmpeg and its complaints to one class."""

from __future__ import annotations

import re
import signal
import tempfile
from pathlib import Path

from trailergenre.base.errors import ItemError, StorageError, ToolMissingError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.sandbox import LAUNCH_FAILED, Child
from trailergenre.frames.containers import is_container, is_mp4
from trailergenre.frames.ffmpeg_log import FfmpegLog, LogError

MAX_HIT_SHARE = 0.01
"""A video is damaged when more of its frames are hit than this."""

# Asked in this order, each of all complaints: the first that fits is the reason.
_REASONS: tuple[tuple[re.Pattern[str], Outcome], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), outcome)
    for pattern, outcome in (
        # ffmpeg knows a playlist with another name's ending, and says so instead of reading it.
        (r"format not on whitelist|not detecting m3u8", Outcome.FORMAT_NOT_ALLOWED),
        (r"exceeds specified max pixel count", Outcome.DIMENSIONS),
        (r"picture size \d{3,}x\d{3,} is invalid", Outcome.DIMENSIONS),
        (r"exceeds max_streams", Outcome.RESOURCE),
        (r"cannot allocate memory|resource temporarily unavailable", Outcome.RESOURCE),
        (r"permission denied|no such file or directory|is a directory", Outcome.PATH),
    )
)
_NO_STREAM = re.compile(r"matches no streams|does not contain any stream")
_OLD = re.compile(r"Unrecognized option '|Error splitting the argument list: Option not found")
_NO_INDEX = re.compile(r"moov atom not found")


def check_end(child: Child, code: int, report: FfmpegLog) -> None:
    """Judge a decoder that did not come to its own end.

    Raises:
        ItemError: it was ended by us, by a limit or by a signal.
        ToolMissingError: it could not be started.
    """
    if child.is_timed_out:
        raise ItemError(Outcome.TIMEOUT, "decoding passed the link's deadline")
    if child.is_over_memory:
        memory_bytes = child.limits.memory_bytes
        raise ItemError(Outcome.RESOURCE, f"the decoder took over {memory_bytes} bytes of memory")
    # ffmpeg catches some signals, the one of the processor limit among them.
    number = -code if code < 0 else report.signal
    if number == signal.SIGXCPU:
        raise ItemError(Outcome.RESOURCE, "the decoder used up its processor time")
    # The only file it writes is its log: so much is wrong that the log was full.
    if number == signal.SIGXFSZ:
        raise ItemError(Outcome.DECODE, f"over {child.limits.file_bytes} bytes of complaints")
    if number:
        raise ItemError(Outcome.DECODER_CRASH, f"ffmpeg was ended by signal {number}")
    if code == LAUNCH_FAILED:
        raise ToolMissingError("ffmpeg was found, but it cannot be started. Install it anew.")
    # Options are read first of all; what is said of an input may be the input's own text.
    old = next((c for c in report.complaints[:1] if _OLD.match(c.text)), None)
    if old and not old.component and not report.format_names and report.n_streams == 0:
        raise ToolMissingError(f"This ffmpeg is too old: {old.text}. Install ffmpeg 6 or newer.")


def check_log(report: FfmpegLog, n_frames: int) -> None:
    """Demand of a decoder that ended well the figures by which its frames are judged.

    Raises:
        StorageError: the log lacks them; that is this machine's fault, not the video's.
    """
    if not report.format_names or (n_frames > 0 and report.n_decoded == 0):
        raise StorageError(
            f"ffmpeg gave {n_frames} frames, but its log does not say of what. "
            f"Make room in {tempfile.gettempdir()}, where it is kept for a while; "
            "if there is room, install ffmpeg 6 or newer."
        )


def explain(report: FfmpegLog, path: Path) -> ItemError:
    """Say why no frames came, or why those that came are worth nothing."""
    reason = _find_reason(report)
    if reason:
        return reason
    if report.forbidden & set(re.findall(r"\w+", report.video.partition(",")[0])):
        codec = report.video.partition(",")[0]
        return ItemError(Outcome.FORMAT_NOT_ALLOWED, f"codec not on the list: {codec}")
    # A container in which not even one stream can be made out is broken.
    if _find(report, _NO_STREAM) and report.n_streams > 0:
        return ItemError(Outcome.NO_VIDEO, f"{report.n_streams} streams, none of them a film")
    first = report.complaints[0].text if report.complaints else "ffmpeg gives no reason"
    if _find(report, _NO_INDEX) and is_mp4(path):
        return ItemError(Outcome.PARTIAL, "the index is missing: moov atom not found")
    # Damage inside of a container is damage; bytes that never were one are no media.
    if report.n_streams == 0 and not is_container(path):
        return ItemError(Outcome.NOT_MEDIA, first)
    return ItemError(Outcome.DECODE, first)


def find_damage(report: FfmpegLog) -> ItemError | None:
    """Say how much of a decoded video is damaged; None where it is within bounds."""
    if report.n_hit > MAX_HIT_SHARE * report.n_source:
        detail = f"{report.n_hit} of {report.n_source} source frames are damaged"
        # Frames that did not come out because of a limit of ours are no damage.
        return _find_reason(report) or ItemError(Outcome.DECODE, detail)
    # A container that has lost some of its middle stands still there, and no frame is damaged. A
    # video without complaints may stand still, and one that is sampled above its own rate must.
    complaint = next((c for c in report.complaints if c.component.startswith("in#")), None)
    is_repeating = report.n_repeated > MAX_HIT_SHARE * report.n_sampled
    if complaint and is_repeating and not report.is_oversampled:
        return ItemError(Outcome.DECODE, f"pictures are missing: {complaint.text}")
    return None


def _find_reason(report: FfmpegLog) -> ItemError | None:
    for pattern, outcome in _REASONS:
        found = _find(report, pattern)
        if found:
            return ItemError(outcome, found.text)
    return None


def _find(report: FfmpegLog, pattern: re.Pattern[str]) -> LogError | None:
    return next((c for c in report.complaints if pattern.search(c.text)), None)

"""Whether all pictures of a video were decoded: their end against the stream's duration.

If only the container has a duration, it may be that of longer sound; the file is then cut only if
no stream reaches it.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from trailergenre.base.config import LimitsConfig
from trailergenre.base.sandbox.children import Deadline, start_child
from trailergenre.frames.containers import goes_on_elsewhere, is_truncated
from trailergenre.frames.failures import check_exit
from trailergenre.frames.ffmpeg import child_limits, probe_arguments
from trailergenre.frames.ffmpeg_log import FfmpegLog
from trailergenre.frames.pictures import Pictures

_TOLERANCE_S = 2.0
_TOLERANCE_SHARE = 0.02
"""Pictures are missing if they end earlier than declared by more than both tolerances."""

_FORMATS_WITH_STREAM_LENGTHS = ("mov", "avi")
"""For others, ffmpeg reports the container's duration as that of each stream."""

# The log also shows texts of the video, so only lines that start as ffmpeg's own do count.
_NUMBER = rb"(NOPTS|-?\d{1,18}(?:\.\d+)?(?:e[+-]\d{1,2})?)"
_STREAM = re.compile(
    rb"\[[^\]]* @ 0x[0-9a-f]+\] \[trace\] stream (\d{1,4}): "
    rb"start_time: " + _NUMBER + rb" duration: " + _NUMBER + rb"\s*\Z"
)
_LAST_TIME = re.compile(rb"\[info\] (?:frame|size)=.* time=(\d{1,9}):(\d\d):(\d\d\.\d+) ")
_CUT = re.compile(r"File ended prematurely|partial file")
_LINE_BYTES = 4096


@dataclass(slots=True)
class _Probe:
    """Times that only a pass over all packets gives."""

    starts_s: dict[int, float] = field(default_factory=dict)  # first time of each stream
    lengths_s: dict[int, float] = field(default_factory=dict)  # of the streams that declare it
    end_s: float | None = None  # last time of any stream


def find_missing_pictures(
    path: Path, log: FfmpegLog, pictures: Pictures, *, limits: LimitsConfig, deadline: Deadline
) -> str | None:
    """Say which pictures of a video are missing; None if it is whole.

    Args:
        path: the video.
        log: of its decoding.
        pictures: that were decoded.
        limits: for a second pass over the file, made only if it seems too short.
        deadline: of the link.

    Raises:
        ItemError: the second pass failed.
    """
    if is_truncated(path):
        return "the file ends before its container does"
    if log.video and log.video.pid and goes_on_elsewhere(path, log.video.pid):
        return f"the pictures go on in another track than {log.video.pid:#x}"
    declared_s = log.declared_s
    if declared_s is None:
        cut = next((error.text for error in log.errors if _CUT.search(error.text)), None)
        return cut and f"{cut}; the container declares no duration"
    end_s = pictures.claimed_end_s
    if not _is_short(end_s, declared_s):
        return None
    probe = _probe(path, limits, deadline)
    expected_s = _stream_end_s(log, probe)
    if expected_s is None:
        if probe.end_s is not None and not _is_short(probe.end_s, declared_s):
            return None
        expected_s = declared_s
    is_short = _is_short(end_s, expected_s)
    return f"the pictures end at {end_s:g} s of {expected_s:g} s" if is_short else None


def _is_short(end_s: float, expected_s: float) -> bool:
    return expected_s - end_s > max(_TOLERANCE_S, _TOLERANCE_SHARE * expected_s)


def _stream_end_s(log: FfmpegLog, probe: _Probe) -> float | None:
    """The declared end of the video stream after the container's first time stamp."""
    end_s, index = log.video.end_s if log.video else None, log.chosen
    if log.format_names.startswith(_FORMATS_WITH_STREAM_LENGTHS) and index in probe.lengths_s:
        end_s = probe.starts_s.get(index, log.start_s) + probe.lengths_s[index]
    return None if end_s is None else end_s - log.start_s


def _probe(path: Path, limits: LimitsConfig, deadline: Deadline) -> _Probe:
    """Read every packet without decoding; ffmpeg logs stream durations at level trace only."""
    probe = _Probe()
    with start_child(
        probe_arguments(path, limits),
        deadline=deadline,
        # Megabytes, of which a few lines count: read as a stream, never stored.
        stderr=subprocess.STDOUT,
        env={},
        limits=child_limits(limits),
    ) as child:
        child.stdin.close()
        is_start = True
        for line in iter(lambda: child.stdout.readline(_LINE_BYTES), b""):
            # The rest of a long line is not a line of its own.
            if is_start:
                _read_line(probe, line)
            is_start = line.endswith(b"\n")
        # An incomplete pass would make a whole video look cut.
        check_exit(child, child.process.wait(), FfmpegLog())
    return probe


def _read_line(probe: _Probe, line: bytes) -> None:
    if stream := _STREAM.match(line):
        index, start_s, length_s = int(stream[1]), stream[2], stream[3]
        if start_s != b"NOPTS":
            probe.starts_s[index] = float(start_s)
        if length_s != b"NOPTS":
            probe.lengths_s[index] = float(length_s)
    elif last := _LAST_TIME.match(line):
        probe.end_s = int(last[1]) * 3600 + int(last[2]) * 60 + float(last[3])

"""Whether a video was decoded to its end.

The end of the pictures is compared with the length that the *video stream* has by its container.
Where only the whole container has one, it may be that of a longer sound; then the file is cut only
if no stream gets there.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from trailergenre.base.config import LimitsConfig
from trailergenre.base.sandbox import Deadline, start_child
from trailergenre.frames.containers import has_lost_its_end
from trailergenre.frames.failures import check_end
from trailergenre.frames.ffmpeg import ENVIRONMENT, child_limits, probe_arguments
from trailergenre.frames.ffmpeg_log import FfmpegLog

_TOLERANCE_S = 2.0
_TOLERANCE_SHARE = 0.02
"""Pictures are missing when they end earlier than declared by more than both of these."""

_FORMATS_OF_STREAM_LENGTHS = ("mov", "avi")

# The log also carries the video's own texts: only what begins as ffmpeg's own lines do counts.
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
    """Lengths that only a look at every packet tells.

    Attributes:
        starts_s: first time of each stream.
        lengths_s: length of each stream that has one of its own.
        end_s: last time of any stream.
    """

    starts_s: dict[int, float] = field(default_factory=dict)
    lengths_s: dict[int, float] = field(default_factory=dict)
    end_s: float | None = None


def find_missing_end(
    path: Path, report: FfmpegLog, *, pictures_s: float, limits: LimitsConfig, deadline: Deadline
) -> str | None:
    """Say what is missing at the end of a video; None where it is whole.

    Args:
        path: the video.
        report: of its decoding.
        pictures_s: from the first picture to the end of the last.
        limits: for a second look at the file, taken only where it seems short.
        deadline: of the link.

    Raises:
        ItemError: the second look did not come to its end.
    """
    if has_lost_its_end(path):
        return "the container ends before the end that its own frame gives"
    declared_s = report.declared_s
    if declared_s is None:
        cut = next((c.text for c in report.complaints if _CUT.search(c.text)), None)
        return cut and f"{cut}; the container declares no length"
    end_s = (report.first_s or 0.0) + pictures_s
    if not _is_short(end_s, declared_s):
        return None
    probe = _probe(path, limits, deadline)
    own_s = _own_end_s(report, probe)
    if own_s is None and probe.end_s is not None and not _is_short(probe.end_s, declared_s):
        return None
    expected_s = declared_s if own_s is None else own_s
    if not _is_short(end_s, expected_s):
        return None
    return f"the pictures end at {end_s:g} s of the declared {expected_s:g} s"


def _is_short(end_s: float, expected_s: float) -> bool:
    return expected_s - end_s > max(_TOLERANCE_S, _TOLERANCE_SHARE * expected_s)


def _own_end_s(report: FfmpegLog, probe: _Probe) -> float | None:
    """When the video stream ends by its own account, from the container's first time stamp on."""
    index = -1 if report.index is None else report.index
    # To a stream of another format ffmpeg lends the container's length.
    if report.format_names.startswith(_FORMATS_OF_STREAM_LENGTHS) and index in probe.lengths_s:
        start_s = probe.starts_s.get(index, report.start_s) - report.start_s
        return start_s + probe.lengths_s[index]
    return None if report.tag_s is None else report.tag_s - report.start_s


def _probe(path: Path, limits: LimitsConfig, deadline: Deadline) -> _Probe:
    """Read every packet without decoding any; ffmpeg tells streams' lengths at level trace only."""
    probe = _Probe()
    with start_child(
        probe_arguments(path, limits),
        deadline=deadline,
        # Megabytes, of which a few lines are wanted: read as it comes, never kept.
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        limits=child_limits(limits),
    ) as child:
        child.stdin.close()
        is_start = True
        for line in iter(lambda: child.stdout.readline(_LINE_BYTES), b""):
            # The rest of a long line is none of its own.
            if is_start:
                _take(probe, line)
            is_start = line.endswith(b"\n")
        # Half a look would make a whole video a cut one.
        check_end(child, child.process.wait(), FfmpegLog())
    return probe


def _take(probe: _Probe, line: bytes) -> None:
    stream, last = _STREAM.match(line), _LAST_TIME.match(line)
    if stream:
        index, start_s, length_s = int(stream.group(1)), stream.group(2), stream.group(3)
        if start_s != b"NOPTS":
            probe.starts_s[index] = float(start_s)
        if length_s != b"NOPTS":
            probe.lengths_s[index] = float(length_s)
    elif last:
        hours, minutes, seconds = last.groups()
        probe.end_s = int(hours) * 3600 + int(minutes) * 60 + float(seconds)

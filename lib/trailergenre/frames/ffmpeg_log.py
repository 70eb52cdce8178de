"""What ffmpeg wrote to its log, as figures: streams, lengths, complaints, frames hit.

The log also carries the video's own texts (titles, tags), so a line counts only where ffmpeg writes
its own: after the level at the line's start, at its own indent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trailergenre.base.records import VideoFacts

_LINE = re.compile(
    r"((?:\[[^\]]* @ 0x[0-9a-f]+\] )*)\[(fatal|error|warning|info|verbose|debug|trace)\] (.*)"
)
_REPEATED = re.compile(r" {4}Last message repeated (\d{1,9}) times")
_INPUT = re.compile(r"Input #0, (\S+), from ")
_CLOCK = r"(\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)"
_DURATION = re.compile(rf"  Duration: {_CLOCK}(?:, start: (-?\d+\.\d+))?")
_STREAM = re.compile(r"  Stream #0:(\d{1,4})\S*: (\w+): (.*)")
_TAG = re.compile(rf"      DURATION        : {_CLOCK}")
_TURN = re.compile(r" +display ?matrix: rotation of (-?\d+\.\d+) degrees", re.IGNORECASE)
_SIZE = re.compile(r"\b(\d{1,6})x(\d{1,6})\b")
_DECODED = re.compile(r"  Input stream #0:\d+ \(video\): .*?(\d+) frames decoded")
_FAILED = re.compile(r"  Input stream #0:\d+ \(video\): .*?(\d+) decode errors")
_SAMPLED = re.compile(r"\d+ frames in, (\d+) frames out; \d+ frames dropped, (\d+) .*duplicated")
_FIRST_PICTURE = re.compile(r"video frame properties congruent with link at pts_time: (\d+\.?\d*)")
_SIGNAL = re.compile(r"Exiting normally, received signal (\d+)")

_FORBIDDEN_CODEC = re.compile(r"Codec \((\S+)\) not on whitelist")
_CORRUPT = re.compile(r"corrupt decoded frame")
_ESTIMATED = re.compile(r"Estimating duration from bitrate")
_UNDECLARED = frozenset({"mpegts", "mpeg"})
"""Formats without a length of their own; ffmpeg gives the span of the time stamps it found."""


@dataclass(frozen=True, slots=True)
class LogError:
    """A line of level error or fatal.

    Attributes:
        component: who said it, e.g. `h264` or `in#0/matroska,webm`; empty for ffmpeg itself.
        text: what.
        times: in a row.
    """

    component: str
    text: str
    times: int = 1


@dataclass(slots=True)
class FfmpegLog:
    """One log.

    Attributes:
        format_names: of the container, e.g. `mov,mp4,m4a`; empty where it could not be opened.
        duration_s: of the container as ffmpeg gives it.
        start_s: first time stamp of the container.
        first_s: time of the first picture, from the container's first time stamp on; None where
            this ffmpeg does not tell.
        is_estimated: whether the length is a guess from what is there.
        n_streams: of any kind.
        index: of the first video stream that is no cover picture; None where there is none.
        video: ffmpeg's description of it.
        is_turned: whether its pictures are shown turned by a quarter.
        tag_s: the time at which a tag of that stream says that it ends.
        complaints: in order, without those that the forbidden sound decoders cause.
        forbidden: decoders that were refused.
        signal: that ffmpeg caught and ended on; 0 for none.
        n_corrupt: frames that came out with damage.
        n_failed: packets that gave none.
        n_decoded: source frames.
        n_sampled: frames after sampling.
        n_repeated: of those, repeated for want of a new one.
    """

    format_names: str = ""
    duration_s: float | None = None
    start_s: float = 0.0
    first_s: float | None = None
    is_estimated: bool = False
    n_streams: int = 0
    index: int | None = None
    video: str = ""
    is_turned: bool = False
    tag_s: float | None = None
    complaints: list[LogError] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)
    signal: int = 0
    n_corrupt: int = 0
    n_failed: int = 0
    n_decoded: int = 0
    n_sampled: int = 0
    n_repeated: int = 0

    @property
    def length_s(self) -> float | None:
        """The container's length, from its first time stamp on."""
        # Matroska counts from zero, wherever the first picture is; the others from their start.
        if (
            self.duration_s is not None
            and self.format_names.startswith("matroska")
            and 0 < self.start_s < self.duration_s
        ):
            return self.duration_s - self.start_s
        return self.duration_s

    @property
    def declared_s(self) -> float | None:
        """The length that the container itself gives; None where ffmpeg had to guess."""
        has_none = self.is_estimated or self.format_names in _UNDECLARED
        return None if has_none else self.length_s

    @property
    def n_hit(self) -> int:
        """Source frames that are damaged or did not come out."""
        return self.n_corrupt + self.n_failed

    @property
    def n_source(self) -> int:
        """Source frames, with those that did not come out."""
        return self.n_decoded + self.n_failed

    @property
    def is_oversampled(self) -> bool:
        """Whether frames must repeat, because more are taken than the source has."""
        return self.n_sampled > self.n_source

    @property
    def facts(self) -> VideoFacts | None:
        """For the outcomes row; None where no picture size is known."""
        size = _SIZE.search(self.video)
        if size is None:
            return None
        width_px, height_px = size.groups()[:: -1 if self.is_turned else 1]
        return VideoFacts(
            duration_s=self.length_s,
            width_px=int(width_px),
            height_px=int(height_px),
            decode_errors=sum(complaint.times for complaint in self.complaints) + self.n_corrupt,
        )


def read_log(log: str) -> FfmpegLog:
    """Read a log that ffmpeg wrote at `-loglevel level+verbose`."""
    report = FfmpegLog()
    is_input, stream = False, -1
    previous: tuple[str, str, str] | None = None
    # Not splitlines: titles may hold characters that Python takes for ends of lines.
    for line in log.split("\n"):
        repeated = _REPEATED.fullmatch(line)
        if repeated and previous:
            _take_complaint(report, *previous, times=int(repeated.group(1)))
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        prefix, level, text = match.groups()
        if level not in ("info", "verbose"):
            previous = (prefix, level, text)
            _take_complaint(report, *previous, times=1)
            continue
        if text.startswith("Input #0, "):
            is_input = True
        elif text.startswith(("Output #0", "Stream mapping:")):
            is_input = False
        if is_input:
            stream = _take_description(report, text, stream)
        else:
            _take_figures(report, text)
    return report


def _take_complaint(report: FfmpegLog, prefix: str, level: str, text: str, *, times: int) -> None:
    forbidden = _FORBIDDEN_CODEC.match(text)
    if forbidden:
        report.forbidden.add(forbidden.group(1))
    elif _CORRUPT.match(text):
        report.n_corrupt += times
    elif _ESTIMATED.match(text):
        report.is_estimated = True
    elif level in ("error", "fatal"):
        component = prefix.rpartition("[")[2].partition(" @ ")[0]
        report.complaints.append(LogError(component, text, times))


def _take_description(report: FfmpegLog, text: str, stream: int) -> int:
    """Read a line of the input's description; gives the stream that the lines are about."""
    container, length, described = _INPUT.match(text), _DURATION.match(text), _STREAM.match(text)
    if container:
        report.format_names = container.group(1)
    elif length:
        report.duration_s = _seconds(*length.groups()[:3])
        report.start_s = float(length.group(4) or 0)
    elif described:
        report.n_streams += 1
        stream = int(described.group(1))
        is_film = described.group(2) == "Video" and "(attached pic)" not in text
        if is_film and report.index is None:
            report.index, report.video = stream, described.group(3)
    elif stream == report.index:
        tag, turn = _TAG.match(text), _TURN.match(text)
        if turn:
            report.is_turned = round(abs(float(turn.group(1)))) % 180 == 90
        if tag:
            report.tag_s = _seconds(*tag.groups())
    return stream


def _take_figures(report: FfmpegLog, text: str) -> None:
    sampled, decoded, failed = _SAMPLED.match(text), _DECODED.match(text), _FAILED.match(text)
    first, caught = _FIRST_PICTURE.match(text), _SIGNAL.match(text)
    if first and report.first_s is None:
        report.first_s = float(first.group(1))
    if caught:
        report.signal = int(caught.group(1))
    if sampled:
        # One line a filter graph; a change of the picture's size builds another.
        report.n_sampled += int(sampled.group(1))
        report.n_repeated += int(sampled.group(2))
    if decoded:
        report.n_decoded = int(decoded.group(1))
    if failed:
        report.n_failed = int(failed.group(1))


def _seconds(hours: str, minutes: str, seconds: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

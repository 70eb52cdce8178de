"""What ffmpeg's log says: streams, lengths, errors and damaged frames.

The log also shows texts of the video (titles, tags), which may hold line breaks. All events but
those of level info are coloured, and ffmpeg replaces escape characters of others: so a text cannot
end its event or begin another. Of level info, a line counts only in ffmpeg's own place: after the
level at the start of the line, at its own indent. What is read decides about this video alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

_UNDECLARED = frozenset({"mpegts", "mpeg"})
"""Formats without a declared length: ffmpeg shows the span of the time stamps in the file."""


class LogError(NamedTuple):
    """A line of level error or fatal, and how often it is repeated."""

    component: str  # e.g. `h264` or `in#0/matroska,webm`; empty for ffmpeg itself
    text: str
    times: int = 1


@dataclass(slots=True)
class VideoStream:
    """A video stream that is not a cover picture."""

    description: str  # ffmpeg's own
    pid: int = 0  # in MPEG-TS
    is_turned: bool = False  # whether its pictures are shown rotated or mirrored
    end_s: float | None = None  # by a tag of its own


@dataclass(slots=True)
class FfmpegLog:
    """One log."""

    format_names: str = ""  # of the container, e.g. `mov,mp4`; empty if it could not be opened
    duration_s: float | None = None  # of the container
    start_s: float = 0.0  # first time stamp of the container
    is_estimated: bool = False  # whether the duration is a guess from the bit rate
    n_streams: int = 0  # of any kind
    videos: dict[int, VideoStream] = field(default_factory=dict)  # by index
    chosen: int | None = None  # index of the stream that ffmpeg decodes
    n_changes: int = 0  # of the pictures' size, format or colours in mid-stream
    errors: list[LogError] = field(default_factory=list)  # without those about refused codecs
    refused_codecs: set[str] = field(default_factory=set)  # not on the list of allowed decoders
    signal: int = 0  # that ffmpeg caught and ended on; 0 for none
    n_corrupt: int = 0  # frames that were decoded with damage
    n_failed: int = 0  # packets that gave no frame
    n_decoded: int = 0  # source frames
    n_sampled: int = 0  # frames after sampling
    n_repeated: int = 0  # of those, repetitions for lack of a new frame

    @property
    def length_s(self) -> float | None:
        """The container's duration after its first time stamp."""
        # In Matroska durations count from zero, in other formats from the first time stamp.
        is_from_zero = self.format_names.startswith("matroska")
        if self.duration_s and is_from_zero and 0 < self.start_s < self.duration_s:
            return self.duration_s - self.start_s
        return self.duration_s

    @property
    def declared_s(self) -> float | None:
        """The length that the container declares; None if ffmpeg had to guess."""
        is_guess = self.is_estimated or self.format_names in _UNDECLARED
        return None if is_guess else self.length_s

    @property
    def n_damaged(self) -> int:
        """Source frames that are damaged or missing."""
        return self.n_corrupt + self.n_failed

    @property
    def n_source(self) -> int:
        """Source frames, including missing ones."""
        return self.n_decoded + self.n_failed

    @property
    def video(self) -> VideoStream | None:
        """The stream that is decoded, or the first if none could be."""
        return self.videos.get(self.chosen or 0) or next(iter(self.videos.values()), None)

    @property
    def n_errors(self) -> int:
        """Complaints about this video."""
        return sum(error.times for error in self.errors) + self.n_corrupt


_CLOCK = r"\d{1,6}:\d\d:\d\d(?:\.\d+)?"

# Lines on the input, then those on its decoding, without their level. Named groups are the figures.
_PATTERNS = {
    True: (
        #   Duration: 00:01:20.50, start: 0.000000, bitrate: 212 kb/s
        rf"  Duration: (?P<duration>{_CLOCK})(?:, start: (?P<start>-?\d+\.\d+))?",
        #   Stream #0:1[0x2](und): Video: h264 (High), yuv420p, 320x240, 24 fps (default)
        r"  Stream #0:(?P<stream>\d{1,4})(?:\[0x(?P<pid>[0-9a-f]{1,4})\])?\S*: (?P<kind>\w+): "
        r"(?P<description>.*)",
        #       DURATION        : 00:01:20.000000000
        rf"      DURATION        : (?P<stream_end>{_CLOCK})",
        #       Display Matrix: rotation of -90.00 degrees
        r" +(?P<turned>[Dd]isplay ?[Mm]atrix): rotation of ",
    ),
    False: (
        #   Stream #0:1 -> #0:0 (h264 (native) -> rawvideo (native))
        r"  Stream #0:(?P<chosen>\d{1,4}) -> #0:0 ",
        # 90 frames in, 9 frames out; 82 frames dropped, 1 frames duplicated.
        r"\d+ frames in, (?P<sampled>\d+) frames out; .* dropped, (?P<repeated>\d+) .*duplicated",
        #   Input stream #0:1 (video): 285 packets read; 284 frames decoded; 1 decode errors;
        r"  Input stream #0:\d+ \(video\): .*?(?P<decoded>\d+) frames decoded"
        r"(?:.*?(?P<failed>\d+) decode errors)?",
        # Exiting normally, received signal 24.
        r"Exiting normally, received signal (?P<signal>\d+)",
    ),
}
_COLOURED = re.compile("\x1b\\[[0-9;]*m(.*?)\x1b\\[0m", re.DOTALL)
_EVENT = re.compile(
    r"((?:\x1b\[[^\]]* @ 0x[0-9a-f]+\] )*)"
    r"(?:\[(info)\]|\x1b\[(fatal|error|warning|verbose)\]) \x1b?(.*)"
)
_REPEATED = re.compile(r" {4}Last message repeated (\d{1,9}) times")
_REFUSED_CODEC = re.compile(r"Codec \((\S+)\) not on whitelist")


def read_log(text: str) -> FfmpegLog:
    """Read a log that ffmpeg wrote at `-loglevel level+verbose`."""
    log = FfmpegLog()
    is_input, stream = False, -1
    previous: tuple[str, str, str] | None = None
    # Not splitlines, which also splits at characters that titles may contain.
    for line in _COLOURED.sub(_on_one_line, text).split("\n"):
        repeated = _REPEATED.fullmatch(line)
        if repeated and previous:
            _read_problem(log, *previous, times=int(repeated[1]))
            continue
        match = _EVENT.match(line)
        if match is None:
            continue
        prefix, info, level, message = match.groups()
        if not info and level != "verbose":
            previous = (prefix, level, message)
            _read_problem(log, *previous, times=1)
            continue
        if message.startswith("Input #0, "):
            is_input = True
            log.format_names = message.removeprefix("Input #0, ").partition(", from ")[0]
        elif message.startswith(("Output #0", "Stream mapping:")):
            is_input = False
        matches = (re.match(pattern, message) for pattern in _PATTERNS[is_input])
        figures = next((match.groupdict() for match in matches if match), {})
        stream = _read_figures(log, figures, stream)
    return log


def _on_one_line(coloured: re.Match[str]) -> str:
    """A part of an event, marked by an escape character, without the line breaks in it."""
    part = coloured[1]
    end = "\n" if part.endswith("\n") else ""
    return "\x1b" + part.removesuffix(end).replace("\n", " ") + end


def _read_figures(log: FfmpegLog, figures: dict[str, str], stream: int) -> int:
    """Store the figures of a line; return the stream that the next lines are about."""
    match figures:
        case {"duration": clock, "start": start}:
            log.duration_s, log.start_s = _seconds(clock), float(start or 0)
        case {"stream": index, "kind": kind, "description": description, "pid": pid}:
            stream = int(index)
            log.n_streams += 1
            if kind == "Video" and "(attached pic)" not in description:
                log.videos[stream] = VideoStream(description, int(pid or "0", 16))
        case {"stream_end": clock} if stream in log.videos:
            log.videos[stream].end_s = _seconds(clock)
        case {"turned": _} if stream in log.videos:
            log.videos[stream].is_turned = True
        case {"chosen": index}:
            log.chosen = int(index)
        case {"sampled": sampled, "repeated": repeated} if int(sampled) > 0:
            log.n_sampled, log.n_repeated = int(sampled), int(repeated)
        case {"decoded": decoded, "failed": failed}:
            log.n_decoded, log.n_failed = int(decoded), int(failed or 0)
        case {"signal": number}:
            log.signal = int(number)
    return stream


def _read_problem(log: FfmpegLog, prefix: str, level: str, message: str, *, times: int) -> None:
    if refused := _REFUSED_CODEC.match(message):
        log.refused_codecs.add(refused[1])
    elif message.startswith("corrupt decoded frame"):
        log.n_corrupt += times
    elif message.startswith("Changing video frame properties on the fly"):
        log.n_changes += times
    elif message.startswith("Estimating duration from bitrate"):
        log.is_estimated = True
    elif level in ("error", "fatal"):
        component = prefix.rpartition("[")[2].partition(" @ ")[0]
        log.errors.append(LogError(component, message, times))


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

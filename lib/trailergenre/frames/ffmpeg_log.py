"""What ffmpeg's log says: streams, lengths, errors and damaged frames.

The log also shows texts of the video (titles, tags). So a line counts only in ffmpeg's own place:
after the level at the start of the line, at its own indent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from trailergenre.base.records import VideoFacts

_UNDECLARED = frozenset({"mpegts", "mpeg"})
"""Formats without a declared length: ffmpeg shows the span of the time stamps in the file."""


@dataclass(frozen=True, slots=True)
class LogError:
    """A line of level error or fatal.

    Attributes:
        component: e.g. `h264` or `in#0/matroska,webm`; empty for ffmpeg itself.
        text: the message.
        times: repetitions in a row.
    """

    component: str
    text: str
    times: int = 1


@dataclass(slots=True)
class FfmpegLog:
    """One log.

    Attributes:
        format_names: of the container, e.g. `mov,mp4,m4a`; empty if it could not be opened.
        duration_s: of the container.
        start_s: first time stamp of the container.
        first_picture_s: time of the first picture after `start_s`; None if unknown.
        is_estimated: whether the duration is a guess from the bit rate.
        n_streams: of any kind.
        video_index: of the first video stream that is not a cover picture; None without one.
        video: ffmpeg's description of that stream.
        is_rotated: whether its pictures are shown rotated by 90 degrees.
        stream_end_s: end of that stream by a tag of its own.
        errors: in order, without those about refused codecs.
        refused_codecs: not on the list of allowed decoders.
        signal: that ffmpeg caught and ended on; 0 for none.
        n_corrupt: frames that were decoded with damage.
        n_failed: packets that gave no frame.
        n_decoded: source frames.
        n_sampled: frames after sampling.
        n_repeated: of those, repetitions for lack of a new frame.
    """

    format_names: str = ""
    duration_s: float | None = None
    start_s: float = 0.0
    first_picture_s: float | None = None
    is_estimated: bool = False
    n_streams: int = 0
    video_index: int | None = None
    video: str = ""
    is_rotated: bool = False
    stream_end_s: float | None = None
    errors: list[LogError] = field(default_factory=list)
    refused_codecs: set[str] = field(default_factory=set)
    signal: int = 0
    n_corrupt: int = 0
    n_failed: int = 0
    n_decoded: int = 0
    n_sampled: int = 0
    n_repeated: int = 0

    @property
    def length_s(self) -> float | None:
        """The container's duration after its first time stamp."""
        # In Matroska durations count from zero, in other formats from the first time stamp.
        if (
            self.duration_s is not None
            and self.format_names.startswith("matroska")
            and 0 < self.start_s < self.duration_s
        ):
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
    def facts(self) -> VideoFacts | None:
        """For the outcomes row; None if the picture size is unknown."""
        size = re.search(r"\b(\d{1,6})x(\d{1,6})\b", self.video)
        if size is None:
            return None
        width_px, height_px = size.groups()[:: -1 if self.is_rotated else 1]
        return VideoFacts(
            duration_s=self.length_s,
            width_px=int(width_px),
            height_px=int(height_px),
            decode_errors=sum(error.times for error in self.errors) + self.n_corrupt,
        )


_CLOCK = r"\d{1,6}:\d\d:\d\d(?:\.\d+)?"

# The pattern of a line behind its level, what it says (the named groups), and a sample.
INPUT_LINES = (
    (
        r"Input #0, (?P<format_names>\S+), from ",
        "[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:x.mp4':",
    ),
    (
        rf"  Duration: (?P<duration>{_CLOCK})(?:, start: (?P<start>-?\d+\.\d+))?",
        "[info]   Duration: 00:01:20.50, start: 0.000000, bitrate: 212 kb/s",
    ),
    (
        r"  Stream #0:(?P<stream>\d{1,4})\S*: (?P<kind>\w+): (?P<description>.*)",
        "[info]   Stream #0:1[0x2](und): Video: h264 (High), yuv420p, 320x240, 24 fps (default)",
    ),
    (
        rf"      DURATION        : (?P<stream_end>{_CLOCK})",
        "[info]       DURATION        : 00:01:20.000000000",
    ),
    (
        r" +[Dd]isplay ?[Mm]atrix: rotation of (?P<rotation>-?\d+\.\d+) degrees",
        "[info]       Display Matrix: rotation of -90.00 degrees",
    ),
)
FIGURE_LINES = (
    (
        r"video frame properties congruent with link at pts_time: (?P<first_picture>\d+\.?\d*)",
        "[graph 0 @ 0x2] [verbose] video frame properties congruent with link at pts_time: 0.5",
    ),
    (
        r"\d+ frames in, (?P<sampled>\d+) frames out; .* dropped, (?P<repeated>\d+) .*duplicated",
        "[fps @ 0x1] [verbose] 90 frames in, 9 frames out; 82 frames dropped, 1 frames duplicated.",
    ),
    (
        r"  Input stream #0:\d+ \(video\): .*?(?P<decoded>\d+) frames decoded"
        r"(?:.*?(?P<failed>\d+) decode errors)?",
        "[in#0/mov @ 0x3] [verbose]   Input stream #0:1 (video): 285 packets read (413348 bytes); "
        "284 frames decoded; 1 decode errors;",
    ),
    (
        r"Exiting normally, received signal (?P<signal>\d+)",
        "[info] Exiting normally, received signal 24.",
    ),
)
_PATTERNS = {
    is_input: [re.compile(pattern) for pattern, _ in lines]
    for is_input, lines in ((True, INPUT_LINES), (False, FIGURE_LINES))
}
_LINE = re.compile(
    r"((?:\[[^\]]* @ 0x[0-9a-f]+\] )*)\[(fatal|error|warning|info|verbose|debug|trace)\] (.*)"
)
_REPEATED = re.compile(r" {4}Last message repeated (\d{1,9}) times")
_REFUSED_CODEC = re.compile(r"Codec \((\S+)\) not on whitelist")


def read_log(text: str) -> FfmpegLog:
    """Read a log that ffmpeg wrote at `-loglevel level+verbose`."""
    log = FfmpegLog()
    is_input, stream = False, -1
    previous: tuple[str, str, str] | None = None
    # Not splitlines, which also splits at characters that titles may contain.
    for line in text.split("\n"):
        repeated = _REPEATED.fullmatch(line)
        if repeated and previous:
            _read_problem(log, *previous, times=int(repeated[1]))
            continue
        match = _LINE.match(line)
        if match is None:
            continue
        prefix, level, message = match.groups()
        if level not in ("info", "verbose"):
            previous = (prefix, level, message)
            _read_problem(log, *previous, times=1)
            continue
        if message.startswith("Input #0, "):
            is_input = True
        elif message.startswith(("Output #0", "Stream mapping:")):
            is_input = False
        matches = (pattern.match(message) for pattern in _PATTERNS[is_input])
        figures = next((match.groupdict() for match in matches if match), {})
        if is_input:
            stream = _read_description(log, figures, stream)
        else:
            _read_figures(log, figures)
    return log


def _read_description(log: FfmpegLog, figures: dict[str, str], stream: int) -> int:
    """Read a line on the input; return the stream that the next lines are about."""
    match figures:
        case {"format_names": names}:
            log.format_names = names
        case {"duration": clock, "start": start}:
            log.duration_s, log.start_s = _seconds(clock), float(start or 0)
        case {"stream": index, "kind": kind, "description": description}:
            stream = int(index)
            log.n_streams += 1
            is_film = kind == "Video" and "(attached pic)" not in description
            if is_film and log.video_index is None:
                log.video_index, log.video = stream, description
        case {"stream_end": clock} if stream == log.video_index:
            log.stream_end_s = _seconds(clock)
        case {"rotation": degrees} if stream == log.video_index:
            log.is_rotated = round(abs(float(degrees))) % 180 == 90
    return stream


def _read_figures(log: FfmpegLog, figures: dict[str, str]) -> None:
    match figures:
        case {"first_picture": seconds} if log.first_picture_s is None:
            log.first_picture_s = float(seconds)
        case {"sampled": sampled, "repeated": repeated}:
            # One line per filter graph; a change of the picture size starts a new graph.
            log.n_sampled += int(sampled)
            log.n_repeated += int(repeated)
        case {"decoded": decoded, "failed": failed}:
            log.n_decoded, log.n_failed = int(decoded), int(failed or 0)
        case {"signal": number}:
            log.signal = int(number)


def _read_problem(log: FfmpegLog, prefix: str, level: str, message: str, *, times: int) -> None:
    if refused := _REFUSED_CODEC.match(message):
        log.refused_codecs.add(refused[1])
    elif message.startswith("corrupt decoded frame"):
        log.n_corrupt += times
    elif message.startswith("Estimating duration from bitrate"):
        log.is_estimated = True
    elif level in ("error", "fatal"):
        component = prefix.rpartition("[")[2].partition(" @ ")[0]
        log.errors.append(LogError(component, message, times))


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)

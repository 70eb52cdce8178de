"""Which of the formats that a site offers is downloaded.

The rule: of the formats that the decoder reads, the smallest video-only one whose sides are both at
least 299 px, and at least those of a frame; else the smallest such format with sound; else, if all
are smaller or of unknown size, the largest. What the decoder may not read is only taken if there is
nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME, VIDEO_SUFFIXES, FrameForm

MIN_SIDE_PX = INCEPTION_V3_FRAME.width
"""Least side of a video. Networks with smaller frames take the same videos, so that a kept video
serves them all (docs/decisions/0032-networks.md)."""

# yt-dlp downloads these itself; for others it starts ffmpeg.
_PROTOCOLS = frozenset({"http", "https", "m3u8_native", "http_dash_segments"})

_CODECS = re.compile(
    "avc|h264|hev|hvc|h265|dvh|vp0?[89]|av0?1|mp4v|mpeg[124]|mp[12]v|flv|h263", re.IGNORECASE
)
"""Names of the codecs in `ffmpeg.DECODERS`, as sites write them, e.g. `avc1.64001f`."""
_CONTAINERS = {suffix.removeprefix(".") for suffix in VIDEO_SUFFIXES}

Format = Mapping[str, object]
"""One of yt-dlp's: ext, width, height, vcodec, acodec, protocol, tbr. Missing ones are unknown."""


def least_side_px(form: FrameForm) -> int:
    """Least side of a video for frames of this form."""
    return max(MIN_SIDE_PX, form.height, form.width)


def format_rule(form: FrameForm) -> str:
    """Name of the rule for frames of this form: part of the fingerprint; change it with the rule.

    >>> format_rule(FrameForm(224, 224)), format_rule(FrameForm(384, 384))
    ('smallest-video-only-299-v1', 'smallest-video-only-384-v1')
    """
    return f"smallest-video-only-{least_side_px(form)}-v1"


def select_format(
    context: Mapping[str, Sequence[Format]], *, side_px: int = MIN_SIDE_PX
) -> Iterator[Format]:
    """The rule as yt-dlp calls it: `context["formats"]` in, one format out, or ItemError.

    `side_px` is the least side of the video.
    """
    formats = context["formats"]
    chosen = choose_format(formats, side_px)
    if chosen is None:
        has_video = any(f.get("vcodec") != "none" for f in formats)
        outcome = Outcome.FORMAT_NOT_ALLOWED if has_video else Outcome.NO_VIDEO
        protocols = ", ".join(sorted({str(f.get("protocol")) for f in formats}))
        raise ItemError(outcome, f"no format with video over http(s); offered: {protocols}")
    yield chosen


def choose_format(formats: Sequence[Format], side_px: int = MIN_SIDE_PX) -> Format | None:
    """Choose a format by the rule; None if none has video over an allowed protocol."""
    usable = [f for f in formats if f.get("vcodec") != "none" and f.get("protocol") in _PROTOCOLS]
    most_likely = min(map(_doubt, usable), default=0)
    usable = [f for f in usable if _doubt(f) == most_likely]
    large_enough = [f for f in usable if min(_sides(f)) >= side_px]
    if large_enough:
        return min(large_enough, key=lambda f: (_has_sound(f), _n_pixels(f), _bit_rate(f)))
    # Formats of unknown size, e.g. a plain file, count as 0 x 0.
    return max(usable, key=lambda f: (_n_pixels(f), not _has_sound(f), -_bit_rate(f)), default=None)


def _doubt(offered: Format) -> int:
    """Whether the decoder reads a format: 0 yes, 1 unknown, 2 no."""
    codec, container = offered.get("vcodec"), offered.get("ext")
    codec_doubt = 1 if codec is None else 0 if _CODECS.match(str(codec)) else 2
    if container in (None, "unknown_video"):
        return max(codec_doubt, 1)
    if container not in _CONTAINERS:
        return 2
    # A file's name is as much as most pages say.
    return 2 if codec_doubt == 2 else 0


def _sides(offered: Format) -> tuple[int, int]:
    width, height = offered.get("width"), offered.get("height")
    return width if isinstance(width, int) else 0, height if isinstance(height, int) else 0


def _n_pixels(offered: Format) -> int:
    return math.prod(_sides(offered))


def _has_sound(offered: Format) -> bool:
    return offered.get("acodec") != "none"


def _bit_rate(offered: Format) -> float:
    rate = offered.get("tbr")
    return float(rate) if isinstance(rate, int | float) else 0.0

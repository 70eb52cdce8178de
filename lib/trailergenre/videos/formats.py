"""Which of the formats that a site offers is downloaded.

The rule: the smallest video-only format whose sides are both at least a frame's side; else the
smallest such format with sound; else, if all are smaller or of unknown size, the largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FRAME_SIDE_PX

FORMAT_RULE = "smallest-video-only-299-v1"
"""Part of the fingerprint; change it with the rule."""

# yt-dlp downloads these itself; for others it starts ffmpeg.
_PROTOCOLS = frozenset({"http", "https", "m3u8_native", "http_dash_segments"})

Format = Mapping[str, object]
"""One of yt-dlp's: width, height, vcodec, acodec, protocol, tbr. Missing values are unknown."""


def select_format(context: Mapping[str, Sequence[Format]]) -> Iterator[Format]:
    """The rule as yt-dlp calls it: `context["formats"]` in, one format out, or ItemError."""
    formats = context["formats"]
    chosen = choose_format(formats)
    if chosen is None:
        has_video = any(f.get("vcodec") != "none" for f in formats)
        outcome = Outcome.FORMAT_NOT_ALLOWED if has_video else Outcome.NO_VIDEO
        protocols = ", ".join(sorted({str(f.get("protocol")) for f in formats}))
        raise ItemError(outcome, f"no format with video over http(s); offered: {protocols}")
    yield chosen


def choose_format(formats: Sequence[Format]) -> Format | None:
    """Choose a format by the rule; None if none has video over an allowed protocol."""
    usable = [f for f in formats if f.get("vcodec") != "none" and f.get("protocol") in _PROTOCOLS]
    large_enough = [f for f in usable if min(_sides(f)) >= FRAME_SIDE_PX]
    if large_enough:
        return min(large_enough, key=lambda f: (_has_sound(f), _n_pixels(f), _bit_rate(f)))
    # Formats of unknown size, e.g. a plain file, count as 0 x 0.
    return max(usable, key=lambda f: (_n_pixels(f), not _has_sound(f), -_bit_rate(f)), default=None)


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

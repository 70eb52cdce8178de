"""Which of the formats a site offers is downloaded. Knows nothing of yt-dlp.

The rule: the smallest video-only format whose both sides are at least a frame's side; else the
smallest with sound; else, where all are smaller or of unknown size, the largest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FRAME_SIDE_PX

FORMAT_RULE = "smallest-video-only-299-v1"
"""Part of the fingerprint; change it with the rule."""

# Native downloaders of yt-dlp only: others would start ffmpeg on the network link.
_PROTOCOLS = frozenset({"http", "https", "m3u8_native", "http_dash_segments"})

Format = Mapping[str, object]


def select_format(context: Mapping[str, Sequence[Format]]) -> Iterator[Format]:
    """The rule as yt-dlp calls it: `context["formats"]` in, one format out.

    Raises:
        ItemError: no format has video, or none comes over an allowed protocol.
    """
    formats = context["formats"]
    chosen = choose_format(formats)
    if chosen is None:
        has_video = any(f.get("vcodec") != "none" for f in formats)
        outcome = Outcome.FORMAT_NOT_ALLOWED if has_video else Outcome.NO_VIDEO
        protocols = ", ".join(sorted({str(f.get("protocol")) for f in formats}))
        raise ItemError(outcome, f"no format with video over http(s); offered: {protocols}")
    yield chosen


def choose_format(formats: Sequence[Format]) -> Format | None:
    """Choose the one format to download.

    Args:
        formats: yt-dlp's format dictionaries (`width`, `height`, `vcodec`, `acodec`, `protocol`,
            `tbr`); absent values are unknown.

    Returns:
        One of them, or None where none has video over an allowed protocol.
    """
    usable = [f for f in formats if f.get("vcodec") != "none" and f.get("protocol") in _PROTOCOLS]
    large_enough = [f for f in usable if min(_sides(f)) >= FRAME_SIDE_PX]
    if large_enough:
        return min(large_enough, key=lambda f: (_has_sound(f), _pixels(f), _rate(f)))
    # Unknown sizes (a bare file on a server) count as 0 x 0 and lose against known ones.
    return max(usable, key=lambda f: (_pixels(f), not _has_sound(f), -_rate(f)), default=None)


def _sides(candidate: Format) -> tuple[int, int]:
    return _integer(candidate.get("width")), _integer(candidate.get("height"))


def _pixels(candidate: Format) -> int:
    width, height = _sides(candidate)
    return width * height


def _has_sound(candidate: Format) -> bool:
    return candidate.get("acodec") != "none"


def _rate(candidate: Format) -> float:
    rate = candidate.get("tbr")
    return float(rate) if isinstance(rate, int | float) else 0.0


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0

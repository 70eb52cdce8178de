"""The address of a YouTube page -> the id of the one video it shows, if it shows one.

Knows the site's many spellings of one address, and nothing else.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, unquote

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
"""A video's id: 64 bits in URL-safe base64, 11 characters."""

_SITES = ("youtube.com", "youtube-nocookie.com", "youtubekids.com")
_SHORT_SITE = "youtu.be"
_WATCH = {"watch", "watch_popup"}
_VIDEO_DIRECTORIES = {"embed", "shorts", "live", "v", "e", "watch"}
# Both have 11 characters and stand where an id would.
_EMBEDDED_LISTS = {"videoseries", "live_stream"}


def is_youtube(host: str) -> bool:
    """Whether a canonical host is one of YouTube's.

    >>> is_youtube("m.youtube.com"), is_youtube("notyoutube.com")
    (True, False)
    """
    return any(host == site or host.endswith(f".{site}") for site in (*_SITES, _SHORT_SITE))


def find_video_id(host: str, parts: SplitResult) -> str | None:
    """Find what stands where a page's video id belongs.

    Args:
        host: one of YouTube's.
        parts: the whole address.

    Returns:
        The text there, which may be no valid id; None where the page is not one video's.
    """
    steps = [unquote(step) for step in parts.path.split("/") if step]
    if host.endswith(_SHORT_SITE):
        return _clean(steps[0]) if steps else None
    if len(steps) == 1 and steps[0] in _WATCH:
        named = parse_qs(parts.query.replace(";", "&")).get("v")
        return _clean(named[0]) if named else None
    if len(steps) >= 2 and steps[0] in _VIDEO_DIRECTORIES:
        found = _clean(steps[1])
        return None if found in _EMBEDDED_LISTS else found
    return None


def _clean(text: str) -> str:
    """Cut what careless copying leaves behind an id: blanks, and options behind an `&`."""
    return text.partition("&")[0].strip()

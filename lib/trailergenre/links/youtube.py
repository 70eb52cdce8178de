"""The address of a YouTube page to the id of its video."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, unquote

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
"""A video id: 64 bits in URL-safe base64."""

_SITES = ("youtube.com", "youtube-nocookie.com", "youtubekids.com", "youtu.be")
_WATCH = {"watch", "watch_popup"}
_VIDEO_DIRECTORIES = {"embed", "shorts", "live", "v", "e", "watch"}
# These have 11 characters and are in the place of an id.
_EMBEDDED_LISTS = {"videoseries", "live_stream"}


def is_youtube(host: str) -> bool:
    """Whether a canonical host belongs to YouTube.

    >>> is_youtube("m.youtube.com"), is_youtube("notyoutube.com")
    (True, False)
    """
    return any(host == site or host.endswith(f".{site}") for site in _SITES)


def find_video_id(host: str, parts: SplitResult) -> str | None:
    """The text in the place of a video id, valid or not; None if the page is not of a video."""
    path = [unquote(step) for step in parts.path.split("/") if step]
    if host.endswith("youtu.be"):
        return _clean(path[0]) if path else None
    if len(path) == 1 and path[0] in _WATCH:
        values = parse_qs(parts.query.replace(";", "&")).get("v")
        return _clean(values[0]) if values else None
    if len(path) >= 2 and path[0] in _VIDEO_DIRECTORIES:
        video_id = _clean(path[1])
        return None if video_id in _EMBEDDED_LISTS else video_id
    return None


def _clean(text: str) -> str:
    """Cut blanks, and options after an `&`, which are often copied along."""
    return text.partition("&")[0].strip()

"""The address of a YouTube page to the id of its video, for all that yt-dlp takes as one video."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}", re.ASCII)
"""A video id: 64 bits in URL-safe base64."""

_SITES = (
    *("youtube.com", "youtube-nocookie.com", "youtubekids.com", "youtu.be"),
    # yt-dlp fetches YouTube in place of these.
    *("youtube.googleapis.com", "hooktube.com", "yourepeat.com", "pwnyoutube.com", "invidio.us"),
    *("invidious.io", "vid.plus", "zwearz.com"),
)
_SHORT_SITES = ("youtu.be", "vid.plus", "invidious.io", "invidio.us")
"""Where an id may stand alone behind the host."""
_WATCH = {"watch", "watch_popup", "watch.php", "movie", "movie_popup"}
_VIDEO_DIRECTORIES = {"embed", "shorts", "live", "v", "e", "watch"}
# These have 11 characters and are in the place of an id.
_EMBEDDED_LISTS = {"videoseries", "live_stream"}
_LEADS_ON = re.compile(r"(?:www\.)?google(?:\.[a-z]{2,3}){1,2}|lm?\.(?:facebook|instagram)\.com")
_FRONT_ENDS = re.compile(r"(?:www\.)?(?:(?:invidious|inv|piped)\..+|yewtu\.be)")
"""Sites of anybody who shows YouTube's videos by Invidious or Piped."""
_MORE = re.compile(r"https?:|(?<!=)youtu\.be|(?<!=)youtube\.com", re.IGNORECASE)
_TARGETS = ("u", "url", "q", "next", "continue")
"""Parameters with the page that another page leads to."""


def is_youtube(host: str) -> bool:
    """Whether a canonical host belongs to YouTube, or yt-dlp takes it for YouTube.

    >>> is_youtube("m.youtube.com"), is_youtube("notyoutube.com")
    (True, False)
    """
    return any(host == site or host.endswith(f".{site}") for site in _SITES)


def find_video_id(host: str, parts: SplitResult) -> str | None:
    """The text in the place of a video id, valid or not; None if the page is not of a video."""
    path = [unquote(step) for step in parts.path.split("/") if step]
    if host.endswith(_SHORT_SITES) and path and path[0] not in _WATCH | _VIDEO_DIRECTORIES:
        return _clean(path[0])
    if not path or (len(path) == 1 and path[0] in _WATCH):
        fragment = parts.fragment.lstrip("!")
        if fragment.startswith("/"):  # /#/watch?v=ID
            return find_video_id(host, urlsplit(fragment))
        for text in (parts.query, fragment):
            if values := parse_qs(text.replace(";", "&")).get("v"):
                return _clean(values[0])
    elif len(path) >= 2 and path[0] in _VIDEO_DIRECTORIES:
        video_id = _clean(path[1])
        return None if video_id in _EMBEDDED_LISTS else video_id
    return _find_target(parts)


def find_redirected(host: str, parts: SplitResult) -> str | None:
    """The valid id of the YouTube video which a page of another site shows or leads to."""
    video_id = None
    if _LEADS_ON.fullmatch(host) and parts.path in {"/url", "/l.php", "/"}:
        video_id = _find_target(parts)
    elif _FRONT_ENDS.fullmatch(host):
        video_id = find_video_id(host, parts)
    elif host in {"deturl.com", "www.deturl.com"}:
        video_id = _video_of(f"https:/{parts.path}?{parts.query}")
    return video_id if video_id and VIDEO_ID.fullmatch(video_id) else None


def read_video_id(text: str) -> str:
    """The video id in a text, which may be the address of its page; else the text.

    >>> read_video_id("https://youtu.be/eUTtt14G31c?t=3"), read_video_id("eUTtt14G31c")
    ('eUTtt14G31c', 'eUTtt14G31c')
    """
    return _video_of(text) or text


def _find_target(parts: SplitResult) -> str | None:
    values = parse_qs(parts.query)
    for name in _TARGETS:
        for target in values.get(name, ()):
            if len(target) < len(parts.query) and (video_id := _video_of(target)):
                return video_id
    return None


def _video_of(text: str) -> str | None:
    try:
        parts = urlsplit(f"https://www.youtube.com{text}" if text.startswith("/") else text)
        host = (parts.hostname or "").removesuffix(".")
    except ValueError:
        return None
    return find_video_id(host, parts) if is_youtube(host) else None


def _clean(text: str) -> str:
    """Cut blanks, and what follows an id: options are often copied along."""
    text = text.strip()
    match = re.match(rf"({VIDEO_ID.pattern})(?![\w-])", text, re.ASCII)
    # What has another link behind it is not one video.
    return match[1] if match and not _MORE.search(text) else text

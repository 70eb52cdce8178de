"""The options of a download: a closed set for yt-dlp, and callbacks that stop it at its limits.

Nothing from the configuration or the link reaches yt-dlp in any other way.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.videos.formats import select_format
from trailergenre.videos.pacing import find_host

MIN_BYTES_PER_S = 8192
"""Least rate over `RATE_WINDOW_S`. At this rate 500 MB take 17 hours."""
RATE_WINDOW_S = 30.0

CONSTANT_OPTIONS: Mapping[str, object] = {
    # Errors are exceptions; stdout carries our answer.
    "quiet": True,
    "no_warnings": True,
    "noprogress": True,
    "ignoreerrors": False,
    # One video, never a list.
    "noplaylist": True,
    "playlist_items": "1",
    "extract_flat": "in_playlist",
    "default_search": "error",
    # `downloader` retries; fragments of one file are not worth a new attempt.
    "retries": 0,
    "extractor_retries": 0,
    "file_access_retries": 0,
    "fragment_retries": 3,
    "skip_unavailable_fragments": False,
    "socket_timeout": 15,
    # No state, no files besides the video, no programs.
    "cachedir": False,
    "nopart": True,
    "updatetime": False,
    "restrictfilenames": True,
    "fixup": "never",
    "postprocessors": [],
    "writethumbnail": False,
    "hls_prefer_native": True,
    "remote_components": (),
}
"""The options that do not depend on the link."""


def link_options(
    request: Mapping[str, Any], limits: DownloadLimits, *, cookie_extractor: str | None
) -> dict[str, object]:
    """All options of one download.

    Args:
        request: of the parent.
        limits: of the download; its callbacks are among the options.
        cookie_extractor: yt-dlp's name of the extractor that gets the cookies. It is then the only
            one allowed, so that no redirect can take them elsewhere. None: nobody gets any.
    """
    options = {
        **CONSTANT_OPTIONS,
        "format": partial(select_format, side_px=request["side_px"]),
        # Every site, but no searches.
        "allowed_extractors": ["default", "-.*search.*"],
        "paths": {"home": request["directory"]},
        "outtmpl": {"default": f"{request['name']}.%(ext)s"},
        # An empty directory: ffmpeg would fetch what a playlist names, past every check.
        "ffmpeg_location": request["empty"],
        "js_runtimes": {"deno": {"path": request["deno"]}},
        "match_filter": limits.filter,
        "progress_hooks": [limits.count],
        # An empty text means no proxy, even if the environment names one.
        "proxy": request["proxy"] or "",
    }
    if cookie_extractor is not None:
        options["allowed_extractors"] = [re.escape(cookie_extractor)]
        # A stream, because yt-dlp writes cookies back to a path.
        options["cookiefile"] = io.StringIO(str(request["cookies"]))
    return options


class DownloadLimits:
    """Callbacks for yt-dlp that stop a download that is not one short video of bounded cost.

    Attributes:
        reason: why they stopped it; None if they did not.
    """

    def __init__(
        self,
        *,
        max_file_bytes: int,
        max_duration_s: float,
        max_requests: int,
        hosts: Collection[str] = (),
        admitted: Collection[str] = (),
    ) -> None:
        """Set the limits.

        Args:
            max_file_bytes: of all files and fragments together.
            max_duration_s: that the page may declare.
            max_requests: of any kind.
            hosts: those with a pace.
            admitted: those of them whose turn it is.
        """
        self.reason: ItemError | None = None
        self._max_file_bytes = max_file_bytes
        self._max_duration_s = max_duration_s
        self._max_requests = max_requests
        self._hosts, self._admitted = hosts, admitted
        self._n_requests = 0
        self._bytes_by_file: dict[str, int] = {}
        self._window: tuple[float, int] | None = None

    def begin_request(self, url: str) -> None:
        """Called before every HTTP request: of pages, files, fragments, and redirects of each."""
        host = find_host(url, self._hosts)
        if host is not None and host not in self._admitted:
            self._stop(Outcome.DEFERRED, f"leads to {host}, which has a pace", leads_to=host)
        self._n_requests += 1
        if self._n_requests > self._max_requests:
            detail = f"more than {self._max_requests} requests (limits.max_requests)"
            self._stop(Outcome.RESOURCE, detail)

    def filter(self, info: Mapping[str, object], *, incomplete: bool) -> str | None:
        """Called for every video before its download; a text rejects it."""
        duration_s = info.get("duration")
        if info.get("playlist_index") is not None:
            self.reason = ItemError(Outcome.NOT_A_SINGLE_VIDEO, "the page lists several videos")
        elif info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
            self.reason = ItemError(Outcome.LIVE, "a live stream or an upcoming premiere")
        elif isinstance(duration_s, int | float) and duration_s > self._max_duration_s:
            detail = f"{duration_s:g} s long, the limit is {self._max_duration_s:g} s"
            self.reason = ItemError(Outcome.TOO_LONG, detail)
        return str(self.reason) if self.reason else None

    def count(self, progress: Mapping[str, object]) -> None:
        """Called after every block: a server may send more than it announces."""
        name = str(progress.get("filename"))
        downloaded = _integer(progress.get("downloaded_bytes"))
        self._bytes_by_file[name] = max(downloaded, self._bytes_by_file.get(name, 0))
        n_bytes = sum(self._bytes_by_file.values())
        # Only files announce `total_bytes`; totals of fragments are estimates.
        if max(n_bytes, _integer(progress.get("total_bytes"))) > self._max_file_bytes:
            self._stop(Outcome.TOO_LARGE, f"larger than {self._max_file_bytes} bytes")
        if progress.get("status") != "finished":
            self._check_rate(n_bytes)

    def _check_rate(self, n_bytes: int) -> None:
        now = time.monotonic()
        if self._window is None:
            self._window = now, n_bytes
        start, n_before = self._window
        if now - start < RATE_WINDOW_S:
            return
        n_received = n_bytes - n_before
        if n_received < MIN_BYTES_PER_S * RATE_WINDOW_S:
            self._stop(Outcome.STALLED, f"too slow: {n_received} bytes in {now - start:.0f} s")
        self._window = now, n_bytes

    def _stop(self, outcome: Outcome, detail: str, *, leads_to: str | None = None) -> None:
        self.reason = ItemError(outcome, detail, leads_to=leads_to)
        raise self.reason


def _integer(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0

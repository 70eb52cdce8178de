"""The download child: one request as JSON on stdin, one answer as JSON on stdout.

Started by `trailergenre.download` with `python -I`; the only module that imports yt_dlp.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from trailergenre.addresses import is_denied_address
from trailergenre.download.classify import classify
from trailergenre.download.formats import select_format
from trailergenre.errors import ItemError
from trailergenre.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

OPTIONS: dict[str, object] = {
    # Errors are exceptions, and nothing is printed: stdout is ours.
    "quiet": True,
    "no_warnings": True,
    "noprogress": True,
    "ignoreerrors": False,
    # One video, never a list of them.
    "noplaylist": True,
    "playlist_items": "1",
    "extract_flat": "in_playlist",
    "default_search": "error",
    # One retry layer, ours; fragments of one file are not worth a new attempt.
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
    "format": select_format,
}
"""Every yt-dlp option that does not depend on the link. Closed: nothing is passed through."""


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    # yt-dlp prints to stdout in places; the answer needs it clean.
    answer_stream, sys.stdout = sys.stdout, sys.stderr
    refusals = _guard_connections(frozenset(request["allow"]))
    try:
        _download(request, refusals)
        answer: dict[str, object] = {"outcome": Outcome.OK.value, "detail": ""}
    except ItemError as error:
        answer = {
            "outcome": error.outcome.value,
            "detail": error.detail,
            "retry_after_s": error.retry_after_s,
        }
    json.dump(answer, answer_stream)
    answer_stream.flush()


def _guard_connections(allow: frozenset[str]) -> list[ItemError]:
    """Refuse denied addresses in `connect` itself: redirects, embeds and rebinding end there.

    Returns:
        The refusals, filled as they happen: yt-dlp reports them as failed connections only.
    """
    refusals: list[ItemError] = []

    def check(event: str, arguments: tuple[object, ...]) -> None:
        if event != "socket.connect":
            return
        address = arguments[1]
        if isinstance(address, tuple):
            host = str(address[0])
            place = f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
            if place in allow or not is_denied_address(host):
                return
            refusals.append(ItemError(Outcome.HOST_DENIED, f"leads to {place}, which is denied"))
        else:
            refusals.append(ItemError(Outcome.HOST_DENIED, "leads to a socket on this machine"))
        raise PermissionError(refusals[-1].detail)

    sys.addaudithook(check)
    return refusals


def _download(request: Mapping[str, object], refusals: list[ItemError]) -> None:
    import yt_dlp
    import yt_dlp.globals

    yt_dlp.globals.plugin_dirs.value = []
    watch = _Watch(request)
    options = {
        **OPTIONS,
        "paths": {"home": request["directory"]},
        "outtmpl": {"default": f"{request['name']}.%(ext)s"},
        "ffmpeg_location": request["empty"],
        "js_runtimes": _js_runtimes(),
        "max_filesize": request["max_file_bytes"],
        "match_filter": watch.filter,
        "progress_hooks": [watch.count],
    }
    try:
        with yt_dlp.YoutubeDL(options) as ydl:
            info = ydl.extract_info(str(request["url"]), download=True)
    except BaseException as error:
        raise watch.reason or next(iter(refusals), None) or classify(error) from error
    if watch.reason is not None:
        raise watch.reason
    if (info or {}).get("_type", "video") != "video":
        raise ItemError(Outcome.NOT_A_SINGLE_VIDEO, "the page lists several videos")
    if not any(Path(str(request["directory"])).iterdir()):
        # yt-dlp says nothing where a filter or a limit kept it from writing.
        raise ItemError(Outcome.TOO_LARGE, f"larger than {request['max_file_bytes']} bytes")


def _js_runtimes() -> dict[str, dict[str, str]]:
    """YouTube needs a JavaScript runtime; PATH is empty, so deno is named by its path."""
    from deno import find_deno_bin

    return {"deno": {"path": str(find_deno_bin())}}


class _Watch:
    """What yt-dlp's callbacks saw; `reason` is why they stopped the download."""

    def __init__(self, request: Mapping[str, object]) -> None:
        self._max_file_bytes = int(str(request["max_file_bytes"]))
        self._max_duration_s = float(str(request["max_duration_s"]))
        self.reason: ItemError | None = None

    def filter(self, info: Mapping[str, object], *, incomplete: bool) -> str | None:
        """Called for every video before its download; a text means no."""
        duration_s = info.get("duration")
        if info.get("playlist_index") is not None:
            self.reason = ItemError(Outcome.NOT_A_SINGLE_VIDEO, "the page lists several videos")
        elif info.get("is_live") or info.get("live_status") in {"is_live", "is_upcoming"}:
            self.reason = ItemError(Outcome.LIVE, "a live stream or a premiere to come")
        elif isinstance(duration_s, int | float) and duration_s > self._max_duration_s:
            self.reason = ItemError(
                Outcome.TOO_LONG, f"{duration_s:g} s long, the limit is {self._max_duration_s:g} s"
            )
        return str(self.reason) if self.reason else None

    def count(self, progress: Mapping[str, object]) -> None:
        """Called after every block: `max_filesize` alone does not bound streams."""
        done = progress.get("downloaded_bytes")
        if isinstance(done, int) and done > self._max_file_bytes:
            self.reason = ItemError(Outcome.TOO_LARGE, f"larger than {self._max_file_bytes} bytes")
            raise self.reason

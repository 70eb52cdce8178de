"""The closed set of yt-dlp options. Nothing from a configuration or a link is passed through.

Two options are there only where they were asked for: `proxy`, and `cookiefile` for the extractors
of named sites. Knows nothing of yt-dlp itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from trailergenre.videos.formats import select_format
from trailergenre.videos.limits import DownloadLimits

CONSTANT_OPTIONS: Mapping[str, object] = {
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
"""Every option that does not depend on the link."""

_EVERY_SITE_BUT_SEARCHES = ("default", "-.*search.*")


def link_options(
    request: Mapping[str, object], watch: DownloadLimits, *, cookie_extractor: str | None
) -> dict[str, object]:
    """All options of one download.

    Args:
        request: of the parent.
        watch: its callbacks.
        cookie_extractor: yt-dlp's name of the extractor that may have the cookies; it is the only
            one then, so that no redirect carries them elsewhere. None: nobody gets any.
    """
    options = {
        **CONSTANT_OPTIONS,
        "allowed_extractors": list(_EVERY_SITE_BUT_SEARCHES),
        "paths": {"home": request["directory"]},
        "outtmpl": {"default": f"{request['name']}.%(ext)s"},
        # Neither here nor on PATH: ffmpeg would fetch what a playlist names, past every check.
        "ffmpeg_location": request["empty"],
        "js_runtimes": {"deno": {"path": request["deno"]}},
        "match_filter": watch.filter,
        "progress_hooks": [watch.count],
        # An empty text means none, also where the environment names one.
        "proxy": request["proxy"] or "",
    }
    if cookie_extractor is not None:
        options["allowed_extractors"] = [re.escape(cookie_extractor)]
        # A stream and not a path: yt-dlp writes the cookies back at the end.
        options["cookiefile"] = io.StringIO(str(request["cookies"]))
    return options

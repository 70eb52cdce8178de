from __future__ import annotations

from typing import Any

import pytest
import yt_dlp
from yt_dlp.extractor import gen_extractor_classes

from trailergenre.videos.formats import select_format
from trailergenre.videos.limits import DownloadLimits
from trailergenre.videos.options import link_options

KEYS = {
    "allowed_extractors",
    "cachedir",
    "default_search",
    "extract_flat",
    "extractor_retries",
    "ffmpeg_location",
    "file_access_retries",
    "fixup",
    "format",
    "fragment_retries",
    "hls_prefer_native",
    "ignoreerrors",
    "js_runtimes",
    "match_filter",
    "no_warnings",
    "nopart",
    "noplaylist",
    "noprogress",
    "outtmpl",
    "paths",
    "playlist_items",
    "postprocessors",
    "progress_hooks",
    "proxy",
    "quiet",
    "remote_components",
    "restrictfilenames",
    "retries",
    "skip_unavailable_fragments",
    "socket_timeout",
    "updatetime",
    "writethumbnail",
}
"""All that yt-dlp is told. Whoever adds one has thought about whom it lets in."""


def options(cookie_extractor: str | None = None, **more: object) -> dict[str, Any]:
    request = {
        "url": "https://example.org/x.mp4",
        "directory": "/scratch/video",
        "empty": "/scratch/empty",
        "name": "abc",
        "deno": "/opt/deno",
        "proxy": None,
        "cookies": "secret",
        **more,
    }
    watch = DownloadLimits(max_file_bytes=1, max_duration_s=1)
    return link_options(request, watch, cookie_extractor=cookie_extractor)


def extractors(chosen: dict[str, Any]) -> list[str]:
    """Names of the extractors that a download with these options has."""
    with yt_dlp.YoutubeDL({"allowed_extractors": chosen["allowed_extractors"]}) as ydl:
        return [extractor.IE_NAME for extractor in ydl._ies.values()]


def test_the_set_is_closed() -> None:
    assert set(options()) == KEYS
    assert set(options("youtube")) == KEYS | {"cookiefile"}


def test_nothing_of_a_request_is_passed_through() -> None:
    smuggled = {"exec_cmd": "sh", "external_downloader": "curl", "usenetrc": True, "options": {}}
    assert options(**smuggled).keys() == KEYS
    assert "sh" not in str(options(**smuggled).values())


def test_values_that_close_a_door() -> None:
    chosen = options()
    assert chosen["ffmpeg_location"] == "/scratch/empty"
    assert chosen["js_runtimes"] == {"deno": {"path": "/opt/deno"}}
    assert chosen["outtmpl"] == {"default": "abc.%(ext)s"}
    assert chosen["format"] is select_format
    assert not chosen["remote_components"]
    assert not chosen["postprocessors"]
    assert chosen["cachedir"] is False
    assert chosen["default_search"] == "error"
    assert chosen["noplaylist"] is True
    assert chosen["ignoreerrors"] is False


def test_no_proxy_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
    with yt_dlp.YoutubeDL({"proxy": options()["proxy"]}) as ydl:
        assert ydl.proxies == {"all": "__noproxy__"}
    assert options(proxy="http://proxy:3128")["proxy"] == "http://proxy:3128"


def test_every_site_is_taken_but_no_search() -> None:
    names = extractors(options())
    assert {"youtube", "vimeo", "generic"} < set(names)
    assert [name for name in names if "search" in name.lower()] == []
    # A search is what yt-dlp takes by a word in front, as in `ytsearch5:x`.
    searches = [kind.IE_NAME for kind in gen_extractor_classes() if kind.suitable("ytsearch5:x")]
    assert "youtube:search" in searches


def test_cookies_come_with_their_own_extractor_alone() -> None:
    chosen = options("youtube")
    assert chosen["cookiefile"].read() == "secret"
    assert extractors(chosen) == ["youtube"]

"""The closed set of options, and the limits that stop a download."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yt_dlp
from yt_dlp.extractor import gen_extractor_classes

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.videos import options as options_module
from trailergenre.videos.formats import select_format
from trailergenre.videos.options import (
    MIN_BYTES_PER_S,
    RATE_WINDOW_S,
    DownloadLimits,
    link_options,
)

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
"""All options for yt-dlp. Check the security of each before adding it here."""


def options(cookie_extractor: str | None = None, **more: object) -> dict[str, Any]:
    request = {
        "url": "https://example.org/x.mp4",
        "directory": "/scratch/video",
        "empty": "/scratch/empty",
        "name": "abc",
        "deno": "/opt/deno",
        "proxy": None,
        "cookies": "secret",
        "side_px": 384,
        **more,
    }
    limits = DownloadLimits(max_file_bytes=1, max_duration_s=1, max_requests=1)
    return link_options(request, limits, cookie_extractor=cookie_extractor)


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
    assert (chosen["format"].func, chosen["format"].keywords) == (select_format, {"side_px": 384})
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
    # yt-dlp recognizes searches by a prefix, as in `ytsearch5:x`.
    searches = [kind.IE_NAME for kind in gen_extractor_classes() if kind.suitable("ytsearch5:x")]
    assert "youtube:search" in searches


def test_cookies_come_with_their_own_extractor_alone() -> None:
    chosen = options("youtube")
    assert chosen["cookiefile"].read() == "secret"
    assert extractors(chosen) == ["youtube"]


@pytest.fixture
def limits() -> DownloadLimits:
    return DownloadLimits(max_file_bytes=1_000_000, max_duration_s=60, max_requests=3)


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the clock."""
    now = [1000.0]
    monkeypatch.setattr(options_module.time, "monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def block(done: int, *, name: str = "video.mp4", **more: object) -> dict[str, object]:
    return {"status": "downloading", "filename": name, "downloaded_bytes": done, **more}


def stopped(limits: DownloadLimits, progress: dict[str, object]) -> Outcome:
    with pytest.raises(ItemError) as raised:
        limits.count(progress)
    assert limits.reason is raised.value
    return raised.value.outcome


@pytest.mark.parametrize(
    ("info", "outcome"),
    [
        ({"duration": 61}, Outcome.TOO_LONG),
        ({"is_live": True}, Outcome.LIVE),
        ({"live_status": "is_live"}, Outcome.LIVE),
        ({"live_status": "is_upcoming"}, Outcome.LIVE),
        ({"playlist_index": 1}, Outcome.NOT_A_SINGLE_VIDEO),
    ],
)
def test_what_is_not_downloaded(
    limits: DownloadLimits, info: dict[str, object], outcome: Outcome
) -> None:
    assert limits.filter(info, incomplete=False)
    assert limits.reason is not None
    assert limits.reason.outcome is outcome


@pytest.mark.parametrize("info", [{}, {"duration": 60}, {"live_status": "was_live"}])
def test_what_is_downloaded(limits: DownloadLimits, info: dict[str, object]) -> None:
    assert limits.filter(info, incomplete=False) is None
    assert limits.reason is None


def test_bytes_end_at_the_limit(limits: DownloadLimits) -> None:
    limits.count(block(1_000_000))
    assert stopped(limits, block(1_000_001)) is Outcome.TOO_LARGE


def test_bytes_of_all_files_count_together(limits: DownloadLimits) -> None:
    limits.count(block(600_000))
    limits.count(block(400_000, name="sound.m4a"))
    assert stopped(limits, block(400_001, name="sound.m4a")) is Outcome.TOO_LARGE


def test_requests_end_at_the_limit(limits: DownloadLimits) -> None:
    for _ in range(3):
        limits.begin_request("https://example.org/x")
    with pytest.raises(ItemError, match="more than 3 requests"):
        limits.begin_request("https://example.org/x")
    assert limits.reason is not None
    assert limits.reason.outcome is Outcome.RESOURCE


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("https://example.org/?u=www.youtube.com", None),
        ("https://vimeo.com/1", None),
        ("https://player.vimeo.com:443/1", None),
        ("https://WWW.YouTube.com/watch?v=x", "youtube.com"),
        ("https://www.youtube.com./watch?v=x", "youtube.com"),
        ("https://music.youtube.com/x", "music.youtube.com"),
    ],
)
def test_a_host_with_a_pace_is_asked_only_in_its_turn(url: str, leads_to: str | None) -> None:
    limits = DownloadLimits(
        max_file_bytes=1,
        max_duration_s=1,
        max_requests=1,
        hosts=["youtube.com", "music.youtube.com", "vimeo.com"],
        admitted=["vimeo.com"],
    )
    if leads_to is None:
        limits.begin_request(url)
        assert limits.reason is None
        return
    with pytest.raises(ItemError, match=f"leads to {leads_to}"):
        limits.begin_request(url)
    assert limits.reason is not None
    assert (limits.reason.outcome, limits.reason.leads_to) == (Outcome.DEFERRED, leads_to)


def test_a_file_that_begins_again_counts_once(limits: DownloadLimits) -> None:
    limits.count(block(900_000))
    limits.count(block(100))
    limits.count(block(950_000))
    assert limits.reason is None


def test_announced_size_ends_it_at_the_first_block(limits: DownloadLimits) -> None:
    assert stopped(limits, block(1024, total_bytes=1_000_001)) is Outcome.TOO_LARGE


def test_an_estimate_is_not_believed(limits: DownloadLimits) -> None:
    limits.count(block(1024, total_bytes_estimate=9_000_000.0))
    assert limits.reason is None


def test_too_slow_for_a_whole_window_is_stalled(
    limits: DownloadLimits, wait: Callable[[float], None]
) -> None:
    limits.count(block(0))
    wait(RATE_WINDOW_S - 1)
    limits.count(block(1000))
    wait(1)
    assert stopped(limits, block(2000)) is Outcome.STALLED


def test_fast_enough_goes_on(limits: DownloadLimits, wait: Callable[[float], None]) -> None:
    done = 0
    for _ in range(3):
        limits.count(block(done))
        wait(RATE_WINDOW_S)
        done += int(MIN_BYTES_PER_S * RATE_WINDOW_S)
    limits.count(block(done))
    assert limits.reason is None


def test_a_fast_beginning_is_no_excuse(
    limits: DownloadLimits, wait: Callable[[float], None]
) -> None:
    limits.count(block(0))
    wait(RATE_WINDOW_S)
    limits.count(block(900_000))
    wait(RATE_WINDOW_S)
    assert stopped(limits, block(900_100)) is Outcome.STALLED


def test_what_is_finished_was_not_too_slow(
    limits: DownloadLimits, wait: Callable[[float], None]
) -> None:
    limits.count(block(0))
    wait(10 * RATE_WINDOW_S)
    limits.count({**block(100), "status": "finished"})
    assert limits.reason is None

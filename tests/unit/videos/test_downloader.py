from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from clips import make_clip
from lists import as_links
from servers import Answer, answer, chunks, content, hangs, page, redirect, status
from servers.manifests import gzip_bomb, hls, videos
from trailergenre.base.config import HostConfig, LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ClusterError, ItemError, ToolMissingError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.sandbox import fork_client
from trailergenre.base.sandbox.children import Deadline
from trailergenre.videos import attempt
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.pacing import HostPacer, HostState, HostStates


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_clip(path, "testsrc2=s=320x320:r=8:d=2", "-movflags", "+faststart").read_bytes()


def fetch(
    answers: dict[str, Answer],
    scratch: Path,
    *,
    path: str = "/clip.mp4",
    limits: LimitsConfig | None = None,
    seconds: float = 60,
) -> tuple[bytes, int, dict[str, int]]:
    """Fetch a path of a server; the file's content, the attempts and the requests by path."""
    with answer(answers) as server:
        downloader = Downloader(
            LinksConfig(),
            NetworkConfig(allow=(server.address,)),
            limits or LimitsConfig(),
            backoff_s=0.01,
        )
        (link,) = as_links([f"http://{server.address}{path}"])
        video, attempts = downloader.fetch(link, scratch, Deadline(seconds))
        assert video.path.name.startswith(link.link_id)
        assert (video.is_owned, video.connections) == (True, (server.address,))
        return video.path.read_bytes(), attempts, server.requested


def failure(answers: dict[str, Answer], scratch: Path, **more: object) -> ItemError:
    with pytest.raises(ItemError) as raised:
        fetch(answers, scratch, **more)  # type: ignore[arg-type]
    return raised.value


def test_file_arrives_whole_and_is_named_by_its_link(clip: bytes, tmp_path: Path) -> None:
    received, attempts, requested = fetch({"/clip.mp4": content(clip)}, tmp_path)
    # One request for the type, one for the content.
    assert (received == clip, attempts, requested) == (True, 1, {"/clip.mp4": 2})
    assert len(list(tmp_path.iterdir())) == 1


def test_what_a_failure_tells(tmp_path: Path) -> None:
    error = failure({"/clip.mp4": status(404)}, tmp_path)
    assert (error.outcome, error.attempts) == (Outcome.UNAVAILABLE, 1)
    # The site's message and its server.
    assert "HTTP Error 404: Not Found" in error.detail
    assert len(error.connections) == 1
    assert list(tmp_path.iterdir()) == []


def test_options_for_extractors_are_no_pages_to_give(clip: bytes, tmp_path: Path) -> None:
    # yt-dlp passes options to extractors in a fragment; this one would be invalid JSON.
    answers = {
        "/clip.mp4": redirect("/moved.mp4#__youtubedl_smuggle=broken"),
        "/moved.mp4": content(clip),
    }
    received, _, _ = fetch(answers, tmp_path)
    assert received == clip


def test_machine_without_the_downloader_fails_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_BOOTSTRAP", "import no_such_module")
    (link,) = as_links(["https://example.org/x.mp4"])
    downloader = Downloader(LinksConfig(), NetworkConfig(), LimitsConfig())
    with pytest.raises(ToolMissingError, match="no_such_module"):
        downloader.fetch(link, tmp_path, Deadline(30))


def test_a_file_of_unknown_length_is_cut_at_the_limit(tmp_path: Path) -> None:
    limits = LimitsConfig(max_file_bytes=100_000)
    error = failure({"/clip.mp4": chunks([b"x" * 10_000] * 50)}, tmp_path, limits=limits)
    assert (error.outcome, list(tmp_path.iterdir())) == (Outcome.TOO_LARGE, [])


def test_memory_ends_it(tmp_path: Path) -> None:
    release = threading.Event()
    limits = LimitsConfig(max_memory_bytes=1_000_000)
    error = failure({"/clip.mp4": hangs(release)}, tmp_path, limits=limits)
    release.set()
    assert (error.outcome, "memory" in error.detail) == (Outcome.RESOURCE, True)
    assert list(tmp_path.iterdir()) == []


def test_processor_time_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = """
import itertools, sys
sys.path.insert(0, sys.argv[1])
from trailergenre.base.sandbox.fork_server import serve
serve(lambda: sum(itertools.repeat(0)), iter(()))
"""
    monkeypatch.setattr(attempt, "_BOOTSTRAP", endless)
    monkeypatch.setattr(attempt, "_CPU_S", 1)
    error = failure({}, tmp_path)
    assert (error.outcome, "processor" in error.detail) == (Outcome.RESOURCE, True)


def test_deadline_ends_a_server_that_says_nothing(tmp_path: Path) -> None:
    release = threading.Event()
    error = failure({"/clip.mp4": hangs(release)}, tmp_path, seconds=2)
    release.set()
    assert error.outcome is Outcome.TIMEOUT
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_went_with_its_server_is_no_fault_of_the_links(
    clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "_FORK_RETRY_S", 0)
    send = content(clip)

    def once(request: BaseHTTPRequestHandler, seen: int) -> None:
        if seen == 0:
            end_server()
        send(request, seen)

    received, attempts, _ = fetch({"/clip.mp4": once}, tmp_path)
    assert (received == clip, attempts) == (True, 1)

    def always(request: BaseHTTPRequestHandler, seen: int) -> None:
        end_server()
        send(request, seen)

    with pytest.raises(ClusterError, match="This machine ended two download children in a row"):
        fetch({"/clip.mp4": always}, tmp_path)


def end_server() -> None:
    """Kill the fork server, as the kernel does when memory is short."""
    for (_, program), server in fork_client._servers.items():
        if attempt._BOOTSTRAP in program:
            server._process.kill()


@pytest.mark.parametrize(
    "large", [page("<p>x</p>" * 1_100_000), gzip_bomb(4000)], ids=["plain", "gzip"]
)
def test_a_page_is_read_up_to_a_bound(large: Answer, tmp_path: Path) -> None:
    limits = LimitsConfig(max_memory_bytes=250_000_000)
    error = failure({"/clip.mp4": large}, tmp_path, limits=limits)
    assert (error.outcome, error.attempts) == (Outcome.RESOURCE, 1)
    assert error.detail == "a page is larger than 8000000 bytes"


def test_a_file_may_be_larger_than_a_page(clip: bytes, tmp_path: Path) -> None:
    # A box that players skip.
    padded = clip + (9_000_000).to_bytes(4, "big") + b"free" + b"\0" * 8_999_992
    received, _, _ = fetch({"/clip.mp4": content(padded)}, tmp_path)
    assert received == padded


@pytest.mark.parametrize("bound", [1, 7])
def test_requests_are_counted_with_pages_segments_and_redirects(bound: int, tmp_path: Path) -> None:
    segments = [f"/n/{number}" for number in range(20)]
    answers = {
        "/clip.mp4": videos(["/list.m3u8"]),
        "/list.m3u8": hls(segments),
        "/n/*": redirect("/x.ts"),
        "/x.ts": content(b"\0" * 188),
    }
    with answer(answers) as server:
        downloader = Downloader(
            LinksConfig(), NetworkConfig(allow=(server.address,)), LimitsConfig(max_requests=bound)
        )
        (link,) = as_links([f"http://{server.address}/clip.mp4"])
        with pytest.raises(ItemError) as raised:
            downloader.fetch(link, tmp_path, Deadline(60))
        assert len(server.requests) == bound
    assert raised.value.outcome is Outcome.RESOURCE
    assert raised.value.detail == f"more than {bound} requests (limits.max_requests)"
    assert raised.value.attempts == 1


@pytest.mark.parametrize("way", ["redirect", "embed", "segments", "key"])
def test_a_paced_host_is_not_asked_by_links_of_other_hosts(
    way: str, clip: bytes, tmp_path: Path
) -> None:
    with answer({"/paced.mp4": content(clip), "/x.ts": content(b"\0" * 188)}) as server:
        # Another name of the same server.
        paced = f"http://127.1:{server.server_address[1]}/paced.mp4"
        server.answers["/clip.mp4"] = {
            "redirect": redirect(paced),
            "embed": videos([paced]),
            "segments": hls(["x.ts", paced]),
            "key": hls(["x.ts"], key=f'METHOD=AES-128,URI="{paced}"'),
        }[way]
        pacer = HostPacer(
            {"127.1": HostConfig(seconds_between=0)},
            HostStates(HostState),
            n_slots=1,
            max_rest_s=900,
        )
        downloader = Downloader(
            LinksConfig(), NetworkConfig(allow=(server.address,)), LimitsConfig()
        )
        (link,) = as_links([f"http://{server.address}/clip.mp4"])
        with pytest.raises(ItemError) as raised:
            downloader.fetch(link, tmp_path, Deadline(60), pacer)
        assert (raised.value.outcome, raised.value.leads_to) == (Outcome.DEFERRED, "127.1")
        assert "/paced.mp4" not in server.requested
        # Its turn has come.
        if way in {"redirect", "embed"}:
            admitted = replace(link, leads_to=("127.1",))
            video, _ = downloader.fetch(admitted, tmp_path, Deadline(60), pacer)
            assert video.path.read_bytes() == clip

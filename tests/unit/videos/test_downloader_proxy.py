"""Downloads through a real proxy on loopback, which sees all traffic of a child."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from lists import as_links
from trailergenre.base.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import DETAIL_MAX_CHARS, ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.videos.attempt import Attempt
from trailergenre.videos.downloader import Downloader

PASSWORD = "can%40ry%2Fword"
SPELLINGS = ("can%40ry", "can@ry", base64.b64encode(b"me:can@ry/word").decode(), "canary-cookie")
CREDENTIALS = "Basic " + base64.b64encode(b"me:can@ry/word").decode()
COOKIES = """# Netscape HTTP Cookie File
.c-span.org\tTRUE\t/\tFALSE\t4000000000\tsession\tcanary-cookie
.other.example\tTRUE\t/\tFALSE\t4000000000\tsession\tcanary-cookie
"""


class Proxy(ThreadingHTTPServer):
    """A proxy that answers for every host itself."""

    daemon_threads = True

    def __init__(self, redirects: dict[str, str]) -> None:
        """Listen on a free port of 127.0.0.1; serve videos and empty pages."""
        self.redirects = redirects
        self.asked: list[str] = []
        self.cookies: dict[str, str | None] = {}
        self.secrets_seen: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        # While a download runs: what can other processes on this machine see?
        self.server.secrets_seen += secrets_of_children()
        if self.headers["Proxy-Authorization"] != CREDENTIALS:
            self.reply(407, b"", Proxy_Authenticate="Basic")
            return
        self.server.asked.append(self.path)
        self.server.cookies[self.path] = self.headers["Cookie"]
        target = self.server.redirects.get(self.path)
        if target is not None:
            self.reply(302, b"", Location=target)
        elif self.path.endswith(".mp4"):
            self.reply(200, b"video", Content_Type="video/mp4")
        else:
            self.reply(200, b"<html></html>", Content_Type="text/html")

    def reply(self, code: int, body: bytes, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing; tests read `asked`."""


def secrets_of_children() -> list[str]:
    """Secrets on the command lines and in the environments of this process's children."""
    shown = ""
    for child in psutil.Process().children(recursive=True):
        # Spark workers of another test may end while they are inspected.
        with contextlib.suppress(psutil.Error):
            shown += " ".join(child.cmdline()) + str(child.environ())
    assert shown, "no child is running"
    return [spelling for spelling in SPELLINGS if spelling in shown]


@contextmanager
def proxy(redirects: dict[str, str] | None = None) -> Iterator[Proxy]:
    """Serve while the block runs."""
    with Proxy(redirects or {}) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def fetch(url: str, scratch: Path, server: Proxy, *, password: str = PASSWORD) -> Video:
    """Fetch a link through the proxy, with cookies for C-SPAN."""
    downloader = Downloader(
        LinksConfig(),
        NetworkConfig(cookie_sites=("cspan",)),
        LimitsConfig(attempts=1),
        proxy=f"http://me:{password}@{server.address}",
        cookies=COOKIES,
    )
    (link,) = as_links([url])
    return downloader.fetch(link, scratch, Deadline(60))[0]


def failure(url: str, scratch: Path, server: Proxy, *, password: str = PASSWORD) -> ItemError:
    with pytest.raises(ItemError) as raised:
        fetch(url, scratch, server, password=password)
    return raised.value


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The raw answers of the children."""
    seen: list[str] = []
    ask = Attempt._ask

    def noted(self: Attempt, *arguments: Any) -> dict[str, Any]:
        answer = ask(self, *arguments)
        seen.append(str(answer))
        return answer

    monkeypatch.setattr(Attempt, "_ask", noted)
    return seen


def test_everything_goes_through_the_proxy(tmp_path: Path, answers: list[str]) -> None:
    with proxy() as server:
        video = fetch("http://site.example/x.mp4", tmp_path, server)
        assert video.path.read_bytes() == b"video"
        assert video.connections == (server.address,)
        assert set(server.asked) == {"http://site.example/x.mp4"}
    assert server.secrets_seen == []
    assert [spelling for spelling in SPELLINGS if spelling in str(answers)] == []


def test_no_secret_is_in_the_reason_of_a_failure(tmp_path: Path, answers: list[str]) -> None:
    # A hostile site shows the password.
    shown = {"http://site.example/x": f"http://site.example/{PASSWORD}"}
    with proxy(shown) as server, pytest.raises(ItemError) as raised:
        fetch("http://site.example/x", tmp_path, server)
    assert raised.value.outcome is Outcome.UNSUPPORTED_SITE
    assert raised.value.detail == "Unsupported URL: http://site.example/***"
    texts = (raised.value.detail, str(raised.value), str(answers))
    assert [spelling for spelling in SPELLINGS if spelling in str(texts)] == []


def test_half_a_secret_at_the_end_of_a_long_reason_is_none(tmp_path: Path) -> None:
    long = f"http://site.example/{'a' * 255}"
    assert len(f"Unsupported URL: {long}") < DETAIL_MAX_CHARS - len("can")
    with proxy({"http://site.example/x": long + PASSWORD}) as server:
        error = failure("http://site.example/x", tmp_path, server)
    assert error.detail.endswith("aaa***")


def test_a_proxy_that_refuses_us_puts_the_link_off(tmp_path: Path) -> None:
    with proxy() as server:
        error = failure("http://site.example/x.mp4", tmp_path, server, password="wrong-canary")
    assert error.outcome is Outcome.DEFERRED
    assert error.detail.startswith("proxy: ")
    assert "canary" not in error.detail


def test_a_proxy_that_is_not_there_puts_the_link_off(tmp_path: Path) -> None:
    with proxy() as server:
        pass
    error = failure("http://site.example/x.mp4", tmp_path, server)
    assert (error.outcome, error.detail[:7]) == (Outcome.DEFERRED, "proxy: ")


def test_a_site_that_the_proxy_does_not_reach_is_the_sites_fault(tmp_path: Path) -> None:
    with proxy() as server:
        error = failure("https://site.example/x.mp4", tmp_path, server)
    assert (error.outcome, "Tunnel connection failed" in error.detail) == (Outcome.CONNECT, True)


@pytest.mark.parametrize(
    ("page", "is_sites"),
    [
        ("http://www.dropbox.com/scl/fi/abc/trailer.mp4?dl=0", True),
        ("http://site.example/trailer.mp4?dl=0", False),
    ],
)
def test_page_with_the_name_of_a_file_is_asked_as_its_site_wants(
    page: str, is_sites: bool, tmp_path: Path
) -> None:
    with proxy() as server:
        error = failure(page, tmp_path, server)
    assert error.outcome is Outcome.UNSUPPORTED_SITE
    assert [path for path in server.asked if path == page] == [page]
    assert (error.attempts, "Dropbox" in error.detail) == (1, is_sites)


def test_secrets_are_in_no_attempts_picture() -> None:
    attempt = Attempt(NetworkConfig(), LimitsConfig(), "http://me:canary@x:80", "canary-cookie")
    assert "canary" not in repr(attempt)


def test_cookies_are_for_links_of_their_site_alone(tmp_path: Path) -> None:
    site, page = "http://www.c-span.org/video/?1", "http://other.example/page"
    with proxy({page: site}) as server:
        for url in (site, page):
            with pytest.raises(ItemError):
                fetch(url, tmp_path, server)
            assert server.cookies.pop(site) == ("session=canary-cookie" if url == site else None)
        assert server.cookies == {page: None}
    assert server.secrets_seen == []

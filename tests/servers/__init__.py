"""A loopback server that answers as a test tells it, fault by fault; `requests` is its log.

Files as they are come from `servers.files`; certificates from `servers.tls`;
manifests from `servers.manifests`; listeners that nobody may reach from `servers.traps`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""Given the request and how often its path was asked before."""


@dataclass(frozen=True)
class Request:
    """One GET request, by the server's monotonic clock."""

    path: str
    at_s: float


class AnswerServer(ThreadingHTTPServer):
    """Answers by path, where no path fits by the longest one that ends in `/*`; else 404."""

    daemon_threads = True

    def __init__(
        self, answers: dict[str, Answer] | None = None, context: ssl.SSLContext | None = None
    ) -> None:
        """Listen on a free port of 127.0.0.1; with TLS where a context is given."""
        self.answers = answers or {}
        self.requests: list[Request] = []
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)
        if context is not None:
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def requested(self) -> dict[str, int]:
        """Requests by path."""
        return Counter(request.path for request in self.requests)

    def log(self, path: str) -> int:
        """Take a request down; gives how many of its path came before."""
        with self._lock:
            before = self.requested.get(path, 0)
            self.requests.append(Request(path, time.monotonic()))
        return before

    def find(self, path: str) -> Answer:
        """The answer of a path."""
        if path in self.answers:
            return self.answers[path]
        fitting = [key for key in self.answers if key[-2:] == "/*" and path.startswith(key[:-1])]
        return self.answers[max(fitting, key=len)] if fitting else status(404)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away in the middle are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    server: AnswerServer

    def do_GET(self) -> None:
        before = self.server.log(self.path)
        # A client that has seen enough closes the connection.
        with contextlib.suppress(ConnectionError):
            self.server.find(self.path)(self, before)

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `requests` instead."""


@contextmanager
def answer(
    answers: dict[str, Answer] | None = None, context: ssl.SSLContext | None = None
) -> Iterator[AnswerServer]:
    """Serve while the block runs."""
    with AnswerServer(answers, context) as server:
        # The interval is how long `shutdown` may take.
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def status(code: int, **headers: str) -> Answer:
    """Answer with a status alone; header names take `_` for `-`."""
    return content(b"", "text/plain", code=code, **headers)


def redirect(target: str, code: int = 302) -> Answer:
    """Lead on; the target may be anything."""
    return status(code, Location=target)


def content(
    body: bytes,
    kind: str = "video/mp4",
    *,
    code: int = 200,
    length: int | None = None,
    **headers: str,
) -> Answer:
    """Answer with a body; `length` lies about its size."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        announced = len(body) if length is None else length
        _begin(request, code, kind, Content_Length=str(announced), **headers)
        request.wfile.write(body)

    return run


def page(body: str) -> Answer:
    """Answer with a web page."""
    return content(f"<!DOCTYPE html><html><body>{body}</body></html>".encode(), "text/html")


def fails_first(times: int, failure: Answer, then: Answer) -> Answer:
    """Fail the first requests of a path."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        (failure if seen < times else then)(request, seen)

    return run


def hangs(release: threading.Event) -> Answer:
    """Say nothing until released."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        release.wait(250)

    return run


def stalls(body: bytes, release: threading.Event, kind: str = "video/mp4") -> Answer:
    """Send a beginning, then nothing until released."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        _begin(request, 200, kind, Content_Length=str(len(body) + 100_000))
        request.wfile.write(body)
        release.wait(250)

    return run


def drips(release: threading.Event, *, every_s: float = 0.2, kind: str = "video/mp4") -> Answer:
    """Send one byte at a time until released: no wait is ever long enough to be a stall."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        _begin(request, 200, kind)
        while not release.wait(every_s):
            request.wfile.write(b"\0")

    return run


def resets(body: bytes, *, length: int, kind: str = "video/mp4") -> Answer:
    """Send a beginning, then break the connection as a dead machine's router does."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        _begin(request, 200, kind, Content_Length=str(length))
        request.wfile.write(body)
        # What is under way would be lost with a reset; let it arrive.
        time.sleep(0.2)
        linger = struct.pack("ii", 1, 0)
        request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        request.connection.close()

    return run


def chunks(parts: Iterable[bytes], kind: str = "video/mp4", **headers: str) -> Answer:
    """Send parts without telling how many; the iterable may be endless."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        request.protocol_version = "HTTP/1.1"
        _begin(request, 200, kind, Transfer_Encoding="chunked", Connection="close", **headers)
        for part in parts:
            request.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        request.wfile.write(b"0\r\n\r\n")

    return run


def broken_chunk(body: bytes, kind: str = "video/mp4") -> Answer:
    """Announce a chunk and send half of it."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        request.protocol_version = "HTTP/1.1"
        _begin(request, 200, kind, Transfer_Encoding="chunked", Connection="close")
        request.wfile.write(b"%x\r\n%b" % (2 * len(body), body))

    return run


def raw(answer: bytes) -> Answer:
    """Answer with bytes that are no HTTP."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        request.wfile.write(answer)

    return run


def _begin(request: BaseHTTPRequestHandler, code: int, kind: str, **headers: str) -> None:
    request.send_response(code)
    for name, value in {"Content-Type": kind, **headers}.items():
        # As bytes that hold UTF-8, which is what clients take a Location for.
        request.send_header(name.replace("_", "-"), value.encode().decode("latin-1"))
    request.end_headers()

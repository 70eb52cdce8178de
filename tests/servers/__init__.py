"""A loopback server that answers as a test tells it; files come from `trailergenre.demo.server`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""Given the request and how often its path was asked before."""


class AnswerServer(ThreadingHTTPServer):
    """Answers by path; `requested` counts the GET requests of each."""

    daemon_threads = True

    def __init__(self, answers: dict[str, Answer]) -> None:
        """Listen on a free port of 127.0.0.1."""
        self.answers = answers
        self.requested: dict[str, int] = {}
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: AnswerServer

    def do_GET(self) -> None:
        seen = self.server.requested.get(self.path, 0)
        self.server.requested[self.path] = seen + 1
        self.server.answers.get(self.path, status(404))(self, seen)

    def log_message(self, format: str, *args: object) -> None:
        """Tests read `requested` instead."""


@contextmanager
def answer(answers: dict[str, Answer]) -> Iterator[AnswerServer]:
    """Serve while the block runs."""
    with AnswerServer(answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def status(code: int, **headers: str) -> Answer:
    """Answer with a status alone; header names take `_` for `-`."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name.replace("_", "-"), value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return run


def content(body: bytes, kind: str = "video/mp4", *, length: int | None = None) -> Answer:
    """Answer with a body; `length` lies about its size."""

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        request.wfile.write(body)

    return run


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

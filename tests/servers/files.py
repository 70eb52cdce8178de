"""A web server on loopback for the files of one directory, which logs what was requested."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileServer(ThreadingHTTPServer):
    """Serves a directory; `requested` holds `METHOD PATH` of every request, in order."""

    daemon_threads = True

    def __init__(self, directory: Path, port: int = 0) -> None:
        """Listen on 127.0.0.1; port 0 picks a free one."""
        self.requested: list[str] = []
        handler = functools.partial(_Handler, directory=str(directory))
        super().__init__(("127.0.0.1", port), handler)

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`, as `network.allow` expects it."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(SimpleHTTPRequestHandler):
    server: FileServer

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""

    def parse_request(self) -> bool:
        """Log the request before it is answered."""
        is_valid = super().parse_request()
        if is_valid:
            self.server.requested.append(f"{self.command} {self.path}")
        return is_valid

    def do_GET(self) -> None:
        """Answer; a downloader that needs only the head of a file closes the connection."""
        with contextlib.suppress(ConnectionError):
            super().do_GET()


@contextmanager
def serve(directory: Path, port: int = 0) -> Iterator[FileServer]:
    """Serve a directory while the block runs."""
    with FileServer(directory, port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

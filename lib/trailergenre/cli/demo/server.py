"""A web server on loopback that serves one directory and keeps a log of what was asked."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class FileServer(ThreadingHTTPServer):
    """Serves files; `requested` holds `METHOD PATH` of every request, in order."""

    daemon_threads = True

    def __init__(self, directory: Path, port: int = 0) -> None:
        """Listen on 127.0.0.1.

        Args:
            directory: what is served.
            port: 0 takes a free one.
        """
        self.requested: list[str] = []
        handler = functools.partial(_Handler, directory=str(directory))
        super().__init__(("127.0.0.1", port), handler)

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`, as `network.allow` wants it."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(SimpleHTTPRequestHandler):
    server: FileServer

    def log_message(self, format: str, *args: object) -> None:
        """Keep the log in memory instead of on stderr."""

    def do_GET(self) -> None:
        """Answer and log."""
        self.server.requested.append(f"GET {self.path}")
        # A downloader that only looks at the head of a file closes the connection.
        with contextlib.suppress(ConnectionError):
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer and log."""
        self.server.requested.append(f"HEAD {self.path}")
        super().do_HEAD()


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

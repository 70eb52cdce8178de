"""Listeners on loopback addresses that nobody may reach; they count who does."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_ADDRESSES = ("127.0.0.1", "127.0.0.2", "::1")


class Traps:
    """One port on several addresses; every connection is counted, answered and closed."""

    def __init__(self) -> None:
        """Listen."""
        self.accepted: list[str] = []
        self._stopped = threading.Event()
        self._sockets, self.port = _bind_all()

    def serve(self) -> None:
        """Accept until stopped."""
        with selectors.DefaultSelector() as selector:
            for listener in self._sockets:
                selector.register(listener, selectors.EVENT_READ)
            while not self._stopped.is_set():
                for key, _ in selector.select(0.1):
                    self._take(key.fileobj)  # type: ignore[arg-type]
        for listener in self._sockets:
            listener.close()

    def _take(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        self.accepted.append(str(listener.getsockname()[0]))
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.0 404 Trapped\r\nContent-Length: 0\r\n\r\n")

    def stop(self) -> None:
        """Take no more connections."""
        self._stopped.set()


@contextmanager
def traps() -> Iterator[Traps]:
    """Listen while the block runs."""
    made = Traps()
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()


def _bind_all() -> tuple[list[socket.socket], int]:
    """The same free port on all addresses; one that the machine lacks is left out."""
    for _ in range(50):
        with contextlib.ExitStack() as stack:
            sockets: list[socket.socket] = []
            try:
                for address in _ADDRESSES:
                    port = int(sockets[0].getsockname()[1]) if sockets else 0
                    sockets += [stack.enter_context(_listen(address, port))]
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                if not sockets:
                    raise
            stack.pop_all()
            return sockets, int(sockets[0].getsockname()[1])
    raise OSError("no port is free on all loopback addresses")


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.bind((address, port))
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener

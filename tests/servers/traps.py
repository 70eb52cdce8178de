"""Listeners on loopback addresses that nobody may reach; they count who does."""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LOOPBACK = ("127.0.0.1", "127.0.0.2", "::1")


class Traps:
    """One port on several addresses; every connection is counted, answered and closed.

    Attributes:
        port: the same on all addresses.
        accepted: the address of each connection, in order.
    """

    def __init__(self, addresses: Sequence[str], port: int) -> None:
        """Listen; port 0 takes one that is free on all addresses."""
        self.accepted: list[str] = []
        self._stopped = threading.Event()
        self._sockets = _bind_all(addresses, port)
        self.port = int(self._sockets[0].getsockname()[1])

    def serve(self) -> None:
        """Accept until stopped."""
        with selectors.DefaultSelector() as selector:
            for listener in self._sockets:
                selector.register(listener, selectors.EVENT_READ)
            while not self._stopped.is_set():
                for key, _ in selector.select(0.02):
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
def traps(addresses: Sequence[str] = LOOPBACK, port: int = 0) -> Iterator[Traps]:
    """Listen while the block runs."""
    made = Traps(addresses, port)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join()


def _bind_all(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """The same port on all addresses; one that the machine lacks is left out."""
    for _ in range(50):
        with contextlib.ExitStack() as stack:
            sockets: list[socket.socket] = []
            try:
                for address in addresses:
                    same = int(sockets[0].getsockname()[1]) if sockets else port
                    sockets += [stack.enter_context(_listen(address, same))]
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                if not sockets:
                    raise
            stack.pop_all()
            return sockets
    raise OSError(f"no port is free on {', '.join(addresses)}")


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

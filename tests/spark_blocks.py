"""Reads what a Spark process holds by Spark's own protocol, as everybody can who reaches a port."""

from __future__ import annotations

import socket
import struct

_CHUNK_REQUEST, _CHUNK, _CALL, _ANSWER = 0, 1, 3, 4
"""Types of messages in Spark's network-common."""
_OPEN_BLOCKS = 0
_MAX_BYTES = 64 << 20


def read_block(port: int, name: str, timeout_s: float = 5) -> bytes | None:
    """A block by its name; None if there is none. An OSError if the port does not answer."""
    with socket.create_connection(("127.0.0.1", port), timeout_s) as line:
        words = _text("application") + _text("executor") + struct.pack(">i", 1) + _text(name)
        call = bytes([_OPEN_BLOCKS]) + words
        _send(line, _CALL, struct.pack(">qi", 1, len(call)) + call)
        kind, answer = _receive(line)
        if kind != _ANSWER:
            return None
        (stream,) = struct.unpack_from(">q", answer, 13)  # behind number, length and type
        _send(line, _CHUNK_REQUEST, struct.pack(">qi", stream, 0))
        kind, chunk = _receive(line)
        return chunk[12:] if kind == _CHUNK else None


def _text(value: str) -> bytes:
    return struct.pack(">i", len(value)) + value.encode()


def _send(line: socket.socket, kind: int, body: bytes) -> None:
    line.sendall(struct.pack(">qb", len(body) + 9, kind) + body)


def _receive(line: socket.socket) -> tuple[int, bytes]:
    length, kind = struct.unpack(">qb", _exactly(line, 9))
    if not 9 <= length < _MAX_BYTES:
        raise ConnectionError("another protocol")
    return kind, _exactly(line, length - 9)


def _exactly(line: socket.socket, n_bytes: int) -> bytes:
    received = b""
    while len(received) < n_bytes:
        part = line.recv(n_bytes - len(received))
        if not part:
            raise ConnectionError("closed")
        received += part
    return received

"""A replica set that says where its members are, and does nothing else."""

from __future__ import annotations

import contextlib
import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import bson

PRIMARY = "elsewhere.test"
"""Whoever would reach it must resolve it to loopback."""

_HEADER = struct.Struct("<iiii")
_OP_REPLY, _OP_QUERY, _OP_MSG = 1, 2004, 2013


class _Member(socketserver.ThreadingTCPServer):
    """Tells everybody who is in the set; takes down what else it was asked."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.hello: dict[str, object] = {}
        self.asked: list[str] = []


class _Answers(socketserver.StreamRequestHandler):
    server: _Member

    def handle(self) -> None:
        with contextlib.suppress(OSError, struct.error):  # the client went away
            while True:
                length, request_id, _, kind = _HEADER.unpack(self.rfile.read(_HEADER.size))
                self._answer(kind, request_id, self.rfile.read(length - _HEADER.size))

    def _answer(self, kind: int, request_id: int, body: bytes) -> None:
        # Flags, then a name that ends with 0 and two numbers, or the number of a section.
        start = body.index(b"\0", 4) + 9 if kind == _OP_QUERY else 5
        (length,) = struct.unpack_from("<i", body, start)
        command = next(iter(bson.decode(body[start : start + length])))
        if command.lower() not in ("hello", "ismaster"):
            self.server.asked.append(command)
        content = bson.encode({"ok": 1.0, **self.server.hello})
        if kind == _OP_QUERY:
            kind, content = _OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1) + content
        else:
            content = struct.pack("<ib", 0, 0) + content
        header = _HEADER.pack(_HEADER.size + len(content), 1, request_id, kind)
        self.wfile.write(header + content)


@contextmanager
def replica_set() -> Iterator[tuple[str, list[str]]]:
    """Run a set whose secondary is on this machine, and whose primary is said to be elsewhere.

    Yields:
        The address of the secondary, and the commands that the primary got.
    """
    secondary, primary = _Member(), _Member()
    names = {
        secondary: f"127.0.0.1:{secondary.server_address[1]}",
        primary: f"{PRIMARY}:{primary.server_address[1]}",
    }
    with ExitStack() as stack:
        for member, name in names.items():
            stack.enter_context(member)
            member.hello = {
                "helloOk": True,
                "setName": "rs0",
                "hosts": list(names.values()),
                "me": name,
                "isWritablePrimary": member is primary,
                "ismaster": member is primary,
                "secondary": member is secondary,
                "minWireVersion": 0,
                "maxWireVersion": 21,
                "maxBsonObjectSize": 16 * 1024 * 1024,
                "maxMessageSizeBytes": 48_000_000,
                "maxWriteBatchSize": 100_000,
                "logicalSessionTimeoutMinutes": 30,
            }
            threading.Thread(target=member.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(member.shutdown)
        yield f"mongodb://{names[secondary]}", primary.asked

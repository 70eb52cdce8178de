"""A server that speaks MongoDB's wire protocol and may answer anything, or nothing."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import bson

Command = dict[str, Any]
Reply = Mapping[str, Any] | bytes | None
"""A document, raw bytes of the message's body, or silence."""
Answer = Callable[[Command], Reply]

_HEADER = struct.Struct("<iiii")
_MESSAGE, _QUERY, _REPLY = 2013, 2004, 1


class WireServer:
    """Keeps documents as a sound server does, except for the commands that `answers` names."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        """Listen on a free port of loopback."""
        self.answers = dict(answers)
        self.commands: list[str] = []
        self.documents: dict[str, dict[object, Command]] = {}
        self._numbers = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        port = self._listener.getsockname()[1]
        self.uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
        threading.Thread(target=self._accept, daemon=True).start()

    def find_metadata(self, command: Command) -> Reply:
        """Answer where the metadata is looked for, and nothing else."""
        return self._answer(command) if command["find"].endswith("_meta") else None

    def close(self) -> None:
        """Take no connection any more; silent connections end."""
        self._closed.set()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, struct.error):
            while header := _read(client, _HEADER.size):
                length, request, _, code = _HEADER.unpack(header)
                command = _parse(code, _read(client, length - _HEADER.size))
                name = next(iter(command))
                self.commands.append(name)
                reply = self.answers.get(name, self._answer)(command)
                if reply is None:
                    self._closed.wait()
                    return
                body = reply if isinstance(reply, bytes) else bson.encode(reply)
                if code == _QUERY:
                    client.sendall(
                        _message(_REPLY, request, struct.pack("<iqii", 8, 0, 0, 1) + body)
                    )
                else:
                    client.sendall(_message(_MESSAGE, request, b"\0\0\0\0\0" + body))

    def _answer(self, command: Command) -> Reply:
        name = next(iter(command))
        documents = self.documents.setdefault(str(command[name]), {})
        match name:
            case "hello" | "ismaster" | "isMaster":
                return HELLO
            case "find":
                return cursor([d for d in documents.values() if _matches(d, command["filter"])])
            case "insert":
                documents.update({each["_id"]: each for each in command["documents"]})
                return {"n": len(command["documents"]), "ok": 1}
            case "update":
                return self._update(documents, command["updates"])
            case "delete":
                (query,) = (each["q"] for each in command["deletes"])
                found = [i for i, each in documents.items() if _matches(each, query)]
                for document_id in found:
                    del documents[document_id]
                return {"n": len(found), "ok": 1}
            case "aggregate":
                query = command["pipeline"][0].get("$match", {})
                n = sum(_matches(each, query) for each in documents.values())
                return cursor([{"_id": 1, "n": n}] if n else [])
            case "count":
                return {"n": len(documents), "ok": 1}
            case "listIndexes":
                return {"ok": 0, "code": 26, "errmsg": "ns does not exist"}
        return {"ok": 1}

    def _update(self, documents: dict[object, Command], updates: list[Command]) -> Reply:
        upserted, n_modified = [], 0
        for index, update in enumerate(updates):
            document = update["u"]
            if document["_id"] not in documents:
                upserted.append({"index": index, "_id": document["_id"]})
            n_modified += documents.get(document["_id"], document) != document
            documents[document["_id"]] = document
        return {"n": len(updates), "nModified": n_modified, "upserted": upserted, "ok": 1}


HELLO = {
    "isWritablePrimary": True,
    "ismaster": True,
    "helloOk": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "minWireVersion": 0,
    "maxWireVersion": 21,
    "ok": 1,
}
"""Of a server of its own, without sessions."""


def cursor(documents: list[Any], *, number: int = 0, name: str = "firstBatch") -> Command:
    """An answer with documents; `number` names the cursor of those that follow."""
    return {"cursor": {"id": bson.Int64(number), "ns": "t.frames", name: documents}, "ok": 1}


@contextmanager
def serve_wire(answers: Mapping[str, Answer]) -> Iterator[WireServer]:
    """Run such a server."""
    server = WireServer(answers)
    try:
        yield server
    finally:
        server.close()


def _matches(document: Command, query: Command) -> bool:
    for key, wanted in query.items():
        value = document.get(key)
        conditions = wanted if isinstance(wanted, dict) else {"$in": [wanted]}
        if "$in" in conditions and value not in conditions["$in"]:
            return False
        if value in conditions.get("$nin", ()):
            return False
    return True


def _read(client: socket.socket, n: int) -> bytes:
    content = b""
    while len(content) < n and (more := client.recv(n - len(content))):
        content += more
    return content


def _parse(code: int, body: bytes) -> Command:
    """The command with its sequences of documents."""
    if code == _QUERY:
        return bson.decode(body[body.index(b"\0", 4) + 9 :])
    command, at = {}, 4
    while at < len(body):
        kind, size = body[at], struct.unpack_from("<i", body, at + 1)[0]
        section = body[at + 1 : at + 1 + size]
        at += 1 + size
        if kind == 0:
            command |= bson.decode(section)
        else:
            end = section.index(b"\0", 4)
            command[section[4:end].decode()] = bson.decode_all(section[end + 1 :])
    return command


def _message(code: int, request: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), 1, request, code) + body

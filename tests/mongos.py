"""MongoDB servers for tests: one that goes away and comes back, and a line to it that breaks."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from secantus import SecantusDBServer

from runs import make_movies, make_run
from servers.tls import AUTHORITY
from trailergenre.base.config import MongoConfig
from trailergenre.base.storage import Store
from trailergenre.mongo.collections import prepare_collections
from trailergenre.mongo.connection import Destination, Document, parse_address
from trailergenre.mongo.published_links import PublishedLink, plan_publishing, read_links
from trailergenre.mongo.publishing import PublishResult, publish_links, withdraw_links


class Server:
    """SecantusDB that can be stopped and started again with what it held, at the same address."""

    def __init__(self, directory: Path, **options: Any) -> None:
        """Start; `options` are SecantusDB's."""
        self._directory, self._options = directory, options
        self.port = 0
        self.start()

    def start(self) -> None:
        """Start again."""
        self._server = SecantusDBServer(
            port=self.port, storage_path=str(self._directory), **self._options
        )
        self._server.start()
        self.port = self._server.port

    def stop(self) -> None:
        """Close all connections and listen no more."""
        # Its own stop waits two seconds for a thread that only this wakes.
        with contextlib.suppress(OSError):
            self._server._socket.shutdown(socket.SHUT_RDWR)
        self._server.stop()

    @property
    def uri(self) -> str:
        """Its address."""
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true"


@contextmanager
def serve(directory: Path, **options: Any) -> Iterator[Server]:
    """Run a server of one's own; `options` are SecantusDB's."""
    server = Server(directory, **options)
    try:
        yield server
    finally:
        server.stop()


PASSWORD = "canary-9f2"
"""Of `writer`; must not be seen anywhere."""


@contextmanager
def serve_guarded(directory: Path, **options: Any) -> Iterator[Server]:
    """Run a server that demands a user; `writer` may write to the database `ours`."""
    with serve(directory) as server, MongoClient[Document](server.uri) as client:
        roles = [{"role": "readWrite", "db": "ours"}]
        client.admin.command("createUser", "writer", pwd=PASSWORD, roles=roles)
    with serve(directory, require_auth=True, **options) as server:
        yield server


def tls_alone(directory: Path) -> dict[str, str]:
    """Options of a server that speaks TLS alone; clients find who vouches in `authority.pem`."""
    pem = directory / "server.pem"
    AUTHORITY.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    AUTHORITY.cert_pem.write_to_path(str(directory / "authority.pem"))
    return {"tls_cert_file": str(pem), "tls_key_file": str(pem)}


_LARGE = 4096
"""Bytes of a request that only a bulk write of features has."""


class BreakingLine:
    """A TCP line to a server; `breaks` bulk writes reach it, but not their answers."""

    def __init__(self, port: int, breaks: int) -> None:
        """Listen on a free port of loopback; the server listens on `port`."""
        self._server_port, self.breaks, self.broken = port, breaks, 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"mongodb://127.0.0.1:{self._listener.getsockname()[1]}/?directConnection=true"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no connection any more."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        """One connection: requests there, answers back, until one answer is let fall."""
        with client, socket.create_connection(("127.0.0.1", self._server_port)) as server:
            asked = [0]
            there = threading.Thread(target=_pump, args=(client, server, asked), daemon=True)
            there.start()
            with contextlib.suppress(OSError):
                while answer := server.recv(1 << 16):
                    if asked[0] > _LARGE and self._shall_break():
                        break
                    asked[0] = 0
                    client.sendall(answer)
            for end in (client, server):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            there.join()

    def _shall_break(self) -> bool:
        with self._lock:
            if self.broken >= self.breaks:
                return False
            self.broken += 1
            return True


def _pump(client: socket.socket, server: socket.socket, asked: list[int]) -> None:
    with contextlib.suppress(OSError):
        while request := client.recv(1 << 16):
            asked[0] += len(request)
            server.sendall(request)


@contextmanager
def failing(
    destination: Destination, command: str, mode: Document, **how: object
) -> Iterator[None]:
    """The server fails some of our calls of one kind."""
    with MongoClient[Document](destination.address.uri) as client:
        fail = functools.partial(client.admin.command, "configureFailPoint", "failCommand")
        fail(mode=mode, data={"failCommands": [command], "appName": "trailergenre", **how})
        try:
            yield
        finally:
            fail(mode="off")


def destination_at(uri: str, database: str = "", **settings: Any) -> Destination:
    """Collections in a database of one's own, unless it is named."""
    config = MongoConfig(database=database or f"t{uuid4().hex}", **settings)
    return Destination(parse_address(uri), config)


def in_file(destination: Destination, directory: Path) -> Destination:
    """The same, its connection string in a file: Spark's workers may be older than a variable."""
    file = directory / f"uri-{uuid4().hex}"
    file.write_text(destination.address.uri)
    config = destination.config.model_copy(update={"uri_file": str(file)})
    return replace(destination, config=config)


def make_store(directory: Path, **options: int) -> Store:
    """Five links in two features files."""
    store = Store(str(directory))
    make_run(store, make_movies(5, **options), links_per_file=3)
    return store


def links_of(store: Store, fingerprint: str) -> list[PublishedLink]:
    """All links of a run as they are published, sorted."""
    plan = plan_publishing(store, fingerprint)
    links = [link for part in plan.links_by_file() for link in read_links(store, part)]
    return sorted(links, key=lambda link: link.frames.link_id)


def publish(destination: Destination, store: Store, fingerprint: str) -> PublishResult:
    """What the job does, file by file, without Spark."""
    plan = plan_publishing(store, fingerprint)
    prepare_collections(destination, plan.settings)
    done = PublishResult()
    for part in plan.links_by_file():
        done += publish_links(destination, fingerprint, read_links(store, part))
    return done + withdraw_links(destination, plan.withdrawn)


def stored(destination: Destination, collection: str = "frames") -> list[Document]:
    """All documents of a collection, by `_id`."""
    with MongoClient[Document](destination.address.uri) as client:
        documents = list(client[destination.config.database][collection].find())
    return sorted(documents, key=lambda document: str(document["_id"]))


def ids_of(destination: Destination, collection: str = "frames") -> Sequence[str]:
    """The `_id` of all documents of a collection, sorted."""
    return [str(document["_id"]) for document in stored(destination, collection)]


def content_hash(destination: Destination) -> str:
    """Over the bytes of all documents of all collections of the database."""
    digest = hashlib.sha256()
    raw = CodecOptions(document_class=RawBSONDocument)
    with MongoClient[Document](destination.address.uri) as client:
        database = client[destination.config.database]
        for name in sorted(database.list_collection_names()):
            documents = database.get_collection(name, codec_options=raw).find()
            digest.update(name.encode())
            for content in sorted(bytes(document.raw) for document in documents):
                digest.update(content)
    return digest.hexdigest()

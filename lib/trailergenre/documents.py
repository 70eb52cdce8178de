"""One frame's features -> one MongoDB document, and batches of documents -> the server.

A document's `_id` is made of our own ids alone, so publishing again replaces and never adds.
Knows nothing of Spark. pymongo is the extra `mongo` and imported where it is used.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from trailergenre.config import MongoConfig
from trailergenre.errors import ConfigError, StorageError, ToolMissingError, one_line
from trailergenre.floors import check_floors

if TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.errors import PyMongoError

Document = dict[str, object]
"""`_id`, `link_id`, `frame_index`, `frame_time_s`, `title`, `genres`, `features`, `fingerprint`."""


@dataclass(frozen=True, slots=True)
class MongoAddress:
    """A connection string that passed `parse_address`.

    Attributes:
        uri: holds the password, so it is left out of `repr` and of every message.
        hosts: `host:port` of each server; what messages name.
    """

    uri: str = field(repr=False)
    hosts: str


@dataclass(frozen=True, slots=True)
class PublishCounts:
    """What bulk writes did.

    Attributes:
        documents: written, replaced and new ones together.
        matched: stood there before and were replaced.
        upserted: are new.
    """

    documents: int = 0
    matched: int = 0
    upserted: int = 0

    def __add__(self, other: PublishCounts) -> PublishCounts:
        """Add up batches and partitions."""
        return PublishCounts(
            self.documents + other.documents,
            self.matched + other.matched,
            self.upserted + other.upserted,
        )


def parse_address(uri: str) -> MongoAddress:
    """Check a connection string; no server is asked.

    Off this machine it must carry credentials and TLS: features are written with the rights that
    it gives, and both it and they would cross the network in the open.

    Raises:
        ConfigError: it cannot be read or is refused. No part of it but the hosts is repeated:
            where special characters are not encoded, any other part may be the password.
        ToolMissingError: pymongo is not installed.
    """
    try:
        from pymongo.errors import PyMongoError
        from pymongo.uri_parser import parse_uri
    except ImportError as error:
        raise ToolMissingError(
            "Publishing needs pymongo. Install it: pip install 'trailergenre[mongo]'."
        ) from error
    try:
        parsed = parse_uri(uri)
    except (PyMongoError, ValueError):
        raise ConfigError(
            "The MongoDB connection string cannot be read (or its mongodb+srv host not be found). "
            "Write mongodb://USER:PASSWORD@HOST:27017/?tls=true and percent-encode special "
            "characters of the user and the password."
        ) from None
    servers = parsed["nodelist"]
    hosts = ", ".join(f"{host}:{port}" if port else str(host) for host, port in servers)
    options = parsed["options"]
    has_credentials = bool(parsed["username"] or options.get("authMechanism"))
    is_safe = has_credentials and options.get("tls") is True
    if not is_safe and not all(_is_this_machine(host, port) for host, port in servers):
        raise ConfigError(
            f"MongoDB at {hosts} is not on this machine, so the connection string must carry a "
            "user with password and tls=true."
        )
    return MongoAddress(uri=uri, hosts=hosts)


def _is_this_machine(host: str, port: int | None) -> bool:
    if port is None or host == "localhost":  # no port: a Unix socket
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def open_collection(address: MongoAddress, config: MongoConfig) -> Iterator[Collection[Document]]:
    """Connect, and find the server before anything is sent.

    Raises:
        StorageError: the server cannot be reached within `config.timeout_s`, refuses us, or fails
            while the collection is in use; names the hosts and never the credentials.
    """
    check_floors("pymongo")
    from pymongo import MongoClient, WriteConcern
    from pymongo.errors import PyMongoError, ServerSelectionTimeoutError

    timeout_ms = int(config.timeout_s * 1000)
    try:
        with MongoClient[Document](
            address.uri,
            appname="trailergenre",
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
        ) as client:
            client.admin.command("ping")
            # Acknowledged means: on the disks of a majority.
            yield client[config.database].get_collection(
                config.collection, write_concern=WriteConcern(w="majority", j=True)
            )
    except ServerSelectionTimeoutError:
        raise StorageError(
            f"MongoDB at {address.hosts} was not reached within {config.timeout_s:g} s. "
            "Check that it runs and that this machine may connect to it."
        ) from None
    except PyMongoError as error:
        raise StorageError(f"MongoDB at {address.hosts}: {_reason(error)}") from None


def _reason(error: PyMongoError) -> str:
    """Say what the server said; the plain text of a bulk error repeats whole documents."""
    from pymongo.errors import BulkWriteError

    if not isinstance(error, BulkWriteError):
        return one_line(f"{type(error).__name__}: {error}")
    details = error.details
    failures = details.get("writeErrors", []) + details.get("writeConcernErrors", [])
    first = failures[0].get("errmsg", "no reason given") if failures else "no reason given"
    return one_line(f"{len(failures)} documents of a batch were refused, the first: {first}")


def to_documents(rows: pa.RecordBatch, *, fingerprint: str) -> Iterator[Document]:
    """Turn feature rows into documents.

    Args:
        rows: columns link_id, frame_index, frame_time_s, features (float32), title, genres.
        fingerprint: of the features; a collection may be asked which settings made a document.

    Returns:
        One document a row, in order. `features` is a BSON vector of float32, 8 KB for 2,048, where
        an array of BSON doubles would take 32 KB and lose the type.
    """
    from bson.binary import Binary, BinaryVectorDtype

    values = np.asarray(rows["features"].flatten(), dtype=np.float32)
    features = values.reshape(rows.num_rows, len(values) // max(1, rows.num_rows))
    columns = ["link_id", "frame_index", "frame_time_s", "title", "genres"]
    for row, vector in zip(rows.select(columns).to_pylist(), features, strict=True):
        yield {
            "_id": f"{row['link_id']}:{row['frame_index']}",
            **row,
            "features": Binary.from_vector(vector, BinaryVectorDtype.FLOAT32),
            "fingerprint": fingerprint,
        }


def write_documents(
    collection: Collection[Document], documents: Iterable[Document], *, batch_size: int
) -> PublishCounts:
    """Replace or insert documents by `_id`, in unordered bulk writes.

    Unordered, so that one refused document does not hold back the rest of its batch.

    Raises:
        PyMongoError: some were refused or the server failed; `open_collection` translates it.
    """
    from pymongo import ReplaceOne

    total = PublishCounts()
    remaining = iter(documents)
    while batch := list(itertools.islice(remaining, batch_size)):
        result = collection.bulk_write(
            [ReplaceOne({"_id": document["_id"]}, document, upsert=True) for document in batch],
            ordered=False,
        )
        total += PublishCounts(len(batch), result.matched_count, result.upserted_count)
    return total

"""A connection string to a database that answers; no message ever shows the string.

pymongo is the extra `mongo` and imported where it is used.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trailergenre.base.config import MongoConfig
from trailergenre.base.errors import ConfigError, RunError, StorageError, ToolMissingError, one_line
from trailergenre.base.versions import check_minimum_versions

if TYPE_CHECKING:
    from pymongo import MongoClient
    from pymongo.database import Database
    from pymongo.errors import PyMongoError
    from pymongo.server_description import ServerDescription

Document = dict[str, object]
"""What MongoDB stores; `documents.shapes` says which fields there are."""

_UNCHECKED = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
"""Options that take whoever answers for the server."""
_WITHOUT_PASSWORD = ("MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC", "GSSAPI")
"""Mechanisms that have another proof."""
_WRONG_PASSWORD = 18
_NO_RIGHT = 13
_OF_ATLAS = 8000
"""What Atlas says for both, and for a full one; its text tells which."""
_LACKS_RIGHT = re.compile("not (allowed|authorized)")


@dataclass(frozen=True, slots=True)
class MongoAddress:
    """A connection string that passed `parse_address`.

    Attributes:
        uri: holds the password, so it is left out of `repr` and of every message.
        hosts: `host:port` of each server; what messages name.
        is_safe: has a user and checked TLS, so it may lead off this machine.
    """

    uri: str = field(repr=False)
    hosts: str
    is_safe: bool


def read_address(config: MongoConfig) -> MongoAddress:
    """Read the connection string from `uri_file`, where that is set, else from the environment.

    Raises:
        ConfigError: there is none, or `parse_address` refuses it.
    """
    if config.uri_file is not None:
        path = Path(config.uri_file).expanduser()
        try:
            uri = path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise ConfigError(
                f"mongo.uri_file cannot be read: {error.strerror}. Received: {path}."
            ) from error
        where = f"The file {path} (mongo.uri_file)"
    else:
        uri = os.environ.get(config.uri_variable, "")
        where = f"The environment variable {config.uri_variable}"
    if not uri:
        raise ConfigError(
            f"{where} holds no MongoDB connection string.",
            f"Set {config.uri_variable}='mongodb://127.0.0.1:27017', or mongo.uri_file to a file "
            "that holds it.",
        )
    return parse_address(uri)


def parse_address(uri: str) -> MongoAddress:
    """Check a connection string; no server is asked.

    Off this machine it must carry credentials and checked TLS: features are written with the
    rights that it gives, and both it and they would cross the network in the open.

    Raises:
        ConfigError: it cannot be read or is refused. No part of it but the hosts, and a file that
            it names, is repeated: where special characters are not encoded, any other part may be
            the password.
        ToolMissingError: pymongo is not installed.
    """
    try:
        from pymongo.errors import PyMongoError
        from pymongo.uri_parser import parse_uri
    except ImportError as error:
        raise ToolMissingError(
            "MongoDB needs pymongo.", "Install it: pip install 'trailergenre[mongo]'."
        ) from error
    try:
        parsed = parse_uri(uri)
    except OSError as error:
        raise ConfigError(
            "A file that the MongoDB connection string names, e.g. in tlsCAFile, cannot be read: "
            f"{error.strerror}. Received: {error.filename}."
        ) from None
    except (PyMongoError, ValueError):
        raise ConfigError(
            "The MongoDB connection string cannot be read (or its mongodb+srv host not be found).",
            "Write mongodb://USER:PASSWORD@HOST:27017/?tls=true and percent-encode special "
            "characters of the user and the password; or it has an option that pymongo does not "
            "know (tls=true in lower case).",
        ) from None
    servers = parsed["nodelist"]
    hosts = ", ".join(_show(host, port) for host, port in servers)
    options = parsed["options"]
    has_credentials = bool(parsed["password"]) or options.get("authMechanism") in _WITHOUT_PASSWORD
    is_checked = options.get("tls") is True and not any(map(options.get, _UNCHECKED))
    is_safe = has_credentials and is_checked
    if not is_safe and not all(_is_this_machine(host, port) for host, port in servers):
        raise ConfigError(
            f"MongoDB at {hosts} is not on this machine, so the connection string must carry a "
            "user with password and tls=true, and no option that leaves certificates unchecked."
        )
    return MongoAddress(uri, hosts, is_safe)


def _show(host: str, port: int | None) -> str:
    if port is None:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_this_machine(host: str, port: int | None) -> bool:
    if port is None or host == "localhost":  # no port: a Unix socket
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def open_database(address: MongoAddress, config: MongoConfig) -> Iterator[Database[Document]]:
    """Connect, and find the server before anything is sent.

    Raises:
        ConfigError: the server refuses the user, does not let it do what it is asked, or leads off
            this machine by an address that must not.
        StorageError: the server cannot be reached within `config.timeout_s`, or fails while the
            database is in use; names the hosts and never the credentials.
    """
    check_minimum_versions("pymongo")
    from pymongo import ReadPreference, WriteConcern
    from pymongo.errors import PyMongoError

    timeout_ms = int(config.timeout_s * 1000)
    try:
        with _make_client(address, timeout_ms) as client:
            client.admin.command("ping")
            yield client.get_database(
                config.database,
                # Contracts and counts must not be read from a server that lags behind.
                read_preference=ReadPreference.PRIMARY,
                # Acknowledged means: on the disks of a majority. A set that has none answers, too.
                write_concern=WriteConcern(w="majority", j=True, wtimeout=timeout_ms),
            )
    except PyMongoError as error:
        raise _explain(error, address, config) from None


def _make_client(address: MongoAddress, timeout_ms: int) -> MongoClient[Document]:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        return MongoClient[Document](
            address.uri,
            appname="trailergenre",
            serverSelectionTimeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,
            server_selector=functools.partial(_refuse_elsewhere, address),
        )
    # Options that do not go together, and files that cannot be used; no server was asked yet.
    except (PyMongoError, ValueError, OSError) as error:
        raise ConfigError(
            f"The connection string of MongoDB at {address.hosts} cannot be used: "
            f"{tell_reason(error)}."
        ) from None


def _refuse_elsewhere(
    address: MongoAddress, chosen: list[ServerDescription]
) -> list[ServerDescription]:
    """Let an address that is not safe lead to no other machine.

    The driver goes to the members that a replica set names, not to those of the string, and to
    others when the set changes; it asks here before it sends one anything but its greeting.
    """
    for server in chosen:
        if not (address.is_safe or _is_this_machine(*server.address)):
            raise ConfigError(
                f"MongoDB at {address.hosts} leads to {server.address[0]}, which is not on this "
                "machine.",
                "Add directConnection=true to the connection string, or a user with password and "
                "tls=true.",
            )
    return chosen


def _explain(error: PyMongoError, address: MongoAddress, config: MongoConfig) -> RunError:
    from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

    if isinstance(error, ServerSelectionTimeoutError):
        # What follows are the timeout and the driver's picture of the servers.
        found = one_line(str(error).partition(", Timeout:")[0].partition(" (configured")[0])
        return StorageError(
            f"MongoDB at {address.hosts} was not reached within {config.timeout_s:g} s ({found}).",
            "Check that it runs, that this machine may connect to it, and tls=true.",
        )
    code = error.code if isinstance(error, OperationFailure) else None
    reason = tell_reason(error)
    if code == _WRONG_PASSWORD or (code == _OF_ATLAS and "bad auth" in reason):
        return ConfigError(
            f"MongoDB at {address.hosts} refuses the user or the password of the connection "
            "string.",
            "Check both, and authSource, the database that the user was made in.",
        )
    if code == _NO_RIGHT or (code == _OF_ATLAS and _LACKS_RIGHT.search(reason)):
        return ConfigError(
            f"MongoDB at {address.hosts} does not allow this: {reason}.",
            "Name a user in the connection string who has the role readWrite on "
            f"{config.database!r}.",
        )
    return StorageError(f"MongoDB at {address.hosts}: {reason}")


def tell_reason(error: Exception) -> str:
    """Say what the server said in one line; a bulk error's own text repeats whole documents."""
    from pymongo.errors import BulkWriteError, OperationFailure, WriteConcernError

    unacknowledged = "a majority of its replica set did not acknowledge a write; check its members"
    if isinstance(error, BulkWriteError):
        refused, unsure = error.details["writeErrors"], error.details["writeConcernErrors"]
        first = (refused or unsure or [{}])[0].get("errmsg", "no reason given")
        if unsure and not refused:
            return one_line(f"{unacknowledged}: {first}")
        return one_line(f"{len(refused)} writes of a batch were refused, the first: {first}")
    if isinstance(error, OperationFailure) and error.details:
        reason = one_line(str(error.details.get("errmsg", error)))
        return f"{unacknowledged}: {reason}" if isinstance(error, WriteConcernError) else reason
    return one_line(f"{type(error).__name__}: {error}")

"""From a connection string to a database that answers. No message ever contains the string.

pymongo belongs to the extra `mongo` and is imported where it is used.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import re
import traceback
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
"""What MongoDB stores; see `mongo.documents` for the fields."""

_INSECURE_OPTIONS = ("tlsInsecure", "tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
_PASSWORDLESS = ("MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC", "GSSAPI")

_UNAUTHORIZED = 13
_AUTHENTICATION_FAILED = 18
_ATLAS_ERROR = 8000
"""Atlas's code for many errors; only the text tells them apart."""
_CHECK_SERVER = "Check that a MongoDB server listens there, and its log."
_ATLAS_UNAUTHORIZED = re.compile("not (allowed|authorized)")


@dataclass(frozen=True, slots=True)
class MongoAddress:
    """A connection string that passed `parse_address`."""

    uri: str = field(repr=False)  # contains the password, so it is left out of every message
    hosts: str  # `host:port` of each server, sorted
    is_safe: bool  # has credentials and verified TLS, so it may lead to another machine


@dataclass(frozen=True, slots=True)
class Destination:
    """Where documents go: the server, its database and collections."""

    address: MongoAddress
    config: MongoConfig


def read_destination(config: MongoConfig) -> Destination:
    """Read the connection string from `uri_file` if it is set, else from the environment."""
    if config.uri_file is not None:
        # Absolute for the workers, which have another working directory.
        path = Path(config.uri_file).expanduser().absolute()
        config = config.model_copy(update={"uri_file": str(path)})
        try:
            uri = path.read_text(encoding="utf-8", errors="replace").strip()
        except OSError as error:
            raise ConfigError(
                f"mongo.uri_file cannot be read: {error.strerror}. Received: {path}."
            ) from error
        origin = f"The file {path} (mongo.uri_file)"
    else:
        uri = os.environ.get(config.uri_variable, "")
        origin = f"The environment variable {config.uri_variable}"
    if not uri:
        raise ConfigError(
            f"{origin} holds no MongoDB connection string.",
            f"Set {config.uri_variable}='mongodb://127.0.0.1:27017', or set mongo.uri_file to a "
            "file that contains it.",
        )
    return Destination(parse_address(uri), config)


def parse_address(uri: str) -> MongoAddress:
    """Check a connection string without contacting a server.

    Servers on other machines need credentials and verified TLS: otherwise features and credentials
    would cross the network unprotected.

    Raises:
        ConfigError: it cannot be parsed or is unsafe. The message repeats only the hosts and the
            name of an unreadable file: any other part may be a badly encoded password.
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
            "The MongoDB connection string cannot be parsed, or its mongodb+srv host was not "
            "found.",
            "Write mongodb://USER:PASSWORD@HOST:27017/?tls=true and percent-encode special "
            "characters in the user name and password. Perhaps it has an option that pymongo does "
            "not know (tls=true is lower case).",
        ) from None
    servers = parsed["nodelist"]
    # Sorted, because DNS gives those of a mongodb+srv host in any order.
    hosts = ", ".join(sorted(_format_host(host, port) for host, port in servers))
    options = parsed["options"]
    has_credentials = bool(parsed["password"]) or options.get("authMechanism") in _PASSWORDLESS
    has_verified_tls = options.get("tls") is True and not any(map(options.get, _INSECURE_OPTIONS))
    is_safe = has_credentials and has_verified_tls
    if not is_safe and not all(_is_this_machine(host, port) for host, port in servers):
        raise ConfigError(
            f"MongoDB at {hosts} is on another machine, so the connection string must contain a "
            "user with password and tls=true, and no option that disables certificate checks."
        )
    return MongoAddress(uri, hosts, is_safe)


def _format_host(host: str, port: int | None) -> str:
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
def open_database(destination: Destination) -> Iterator[Database[Document]]:
    """Connect, and ping the server before anything is sent. No call takes longer than `timeout_s`.

    Raises:
        ConfigError: the server rejects the user or lacks its permission, or the address leads to
            another machine without being safe.
        StorageError: the server is not reached or does not answer within `timeout_s`, fails while
            the database is in use, or gives answers that make no sense. Names the hosts and never
            the credentials.
    """
    check_minimum_versions("pymongo")
    from pymongo import ReadPreference, WriteConcern
    from pymongo.errors import PyMongoError

    address, config = destination.address, destination.config
    timeout_ms = int(config.timeout_s * 1000)
    try:
        with _make_client(address, timeout_ms) as client:
            client.admin.command("ping")
            yield client.get_database(
                config.database,
                # A lagging secondary would give old metadata and counts.
                read_preference=ReadPreference.PRIMARY,
                # Acknowledged only once on the disks of a majority.
                write_concern=WriteConcern(w="majority", j=True),
            )
    except PyMongoError as error:
        raise _translate(error, address, config) from None
    except RunError:
        raise
    except Exception as error:
        # The driver trusts the fields of an answer, and breaks where they are wrong.
        if not _is_in_driver(error):
            raise
        raise StorageError(
            f"MongoDB at {address.hosts} gave an answer that is not MongoDB's: "
            f"{describe_error(error)}.",
            _CHECK_SERVER,
        ) from error


def _make_client(address: MongoAddress, timeout_ms: int) -> MongoClient[Document]:
    from pymongo import MongoClient
    from pymongo.errors import PyMongoError

    try:
        return MongoClient[Document](
            address.uri,
            appname="trailergenre",
            # Of a whole call: to find the server, to send, and to be answered. It takes the place
            # of the driver's other timeouts, and the server gives up as well.
            timeoutMS=timeout_ms,
            connectTimeoutMS=timeout_ms,  # of the threads that look for servers
            server_selector=functools.partial(_refuse_other_machines, address),
        )
    # Contradictory options and unusable files; no server was contacted yet.
    except (PyMongoError, ValueError, OSError) as error:
        raise ConfigError(
            f"The connection string of MongoDB at {address.hosts} cannot be used: "
            f"{describe_error(error)}."
        ) from None


def _refuse_other_machines(
    address: MongoAddress, servers: list[ServerDescription]
) -> list[ServerDescription]:
    """Keep an unsafe address on this machine.

    The driver connects to the members that a replica set announces, not to those of the connection
    string. It calls this before it sends a server anything but its greeting.
    """
    for server in servers:
        if not (address.is_safe or _is_this_machine(*server.address)):
            raise ConfigError(
                f"MongoDB at {address.hosts} leads to {server.address[0]}, which is another "
                "machine.",
                "Add directConnection=true to the connection string, or a user with password and "
                "tls=true.",
            )
    return servers


def _is_in_driver(error: Exception) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__", "").startswith("pymongo.") for frame, _ in frames)


def _translate(error: PyMongoError, address: MongoAddress, config: MongoConfig) -> RunError:
    from pymongo.errors import (
        ExecutionTimeout,
        NetworkTimeout,
        OperationFailure,
        ProtocolError,
        ServerSelectionTimeoutError,
    )

    if isinstance(error, ServerSelectionTimeoutError):
        # Cut the timeout and the dump of the topology that follow the reason.
        reason = one_line(str(error).partition(", Timeout:")[0].partition(" (configured")[0])
        return StorageError(
            f"MongoDB at {address.hosts} was not reached within {config.timeout_s:g} s ({reason}).",
            "Check that it runs, that this machine may connect to it, and tls=true.",
        )
    reason = describe_error(error)
    if isinstance(error, ExecutionTimeout | NetworkTimeout):
        return StorageError(
            f"MongoDB at {address.hosts} did not answer within {config.timeout_s:g} s ({reason}).",
            "Check the server. On a slow line raise mongo.timeout_s or lower mongo.batch_size.",
        )
    if isinstance(error, ProtocolError):
        return StorageError(
            f"MongoDB at {address.hosts} gave an answer that is not MongoDB's: {reason}.",
            _CHECK_SERVER,
        )
    code = error.code if isinstance(error, OperationFailure) else None
    if code == _AUTHENTICATION_FAILED or (code == _ATLAS_ERROR and "bad auth" in reason):
        return ConfigError(
            f"MongoDB at {address.hosts} refuses the user or the password of the connection "
            "string.",
            "Check both, and authSource, the database in which the user was created.",
        )
    if code == _UNAUTHORIZED or (code == _ATLAS_ERROR and _ATLAS_UNAUTHORIZED.search(reason)):
        return ConfigError(
            f"MongoDB at {address.hosts} does not allow this: {reason}.",
            f"Use a user who has the role readWrite on {config.database!r}.",
        )
    return StorageError(f"MongoDB at {address.hosts}: {reason}")


def describe_error(error: Exception) -> str:
    """Give the server's reason in one line; the text of a bulk error repeats whole documents."""
    from pymongo.errors import BulkWriteError, OperationFailure, WriteConcernError

    no_majority = "a majority of its replica set did not acknowledge a write; check its members"
    if isinstance(error, BulkWriteError):
        refused = error.details["writeErrors"]
        unacknowledged = error.details["writeConcernErrors"]
        first = (refused or unacknowledged)[0]
        first = first.get("errmsg", "no reason given") if isinstance(first, dict) else first
        if unacknowledged and not refused:
            return one_line(f"{no_majority}: {first}")
        return one_line(f"{len(refused)} writes of a batch were refused, the first: {first}")
    if isinstance(error, OperationFailure) and error.details:
        reason = one_line(str(error.details.get("errmsg", error)))
        return f"{no_majority}: {reason}" if isinstance(error, WriteConcernError) else reason
    return one_line(f"{type(error).__name__}: {error}")

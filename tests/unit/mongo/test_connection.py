from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import ReadPreference
from pymongo.errors import OperationFailure

from mongos import PASSWORD, Server, serve, serve_guarded, tls_alone
from servers import replicas
from servers.tls import AUTHORITY
from trailergenre.base.config import MongoConfig
from trailergenre.base.errors import ConfigError, RunError, StorageError
from trailergenre.mongo.connection import (
    Destination,
    open_database,
    parse_address,
    read_destination,
)

ON_LOOPBACK = "mongodb://127.0.0.1:27017"


@pytest.mark.parametrize(
    "uri",
    [
        ON_LOOPBACK,
        "mongodb://localhost,127.0.0.2:5/x",
        "mongodb://[::1]:27017",
        "mongodb://%2Frun%2Fmongodb.sock",
        "mongodb://127.0.0.1/?tls=true&tlsInsecure=true",
        "mongodb://u:p@db.example.org/?tls=true",
        "mongodb://db.example.org/?tls=true&authMechanism=MONGODB-X509",
    ],
)
def test_addresses_on_this_machine_or_with_tls_and_user_are_taken(uri: str) -> None:
    assert parse_address(uri).hosts


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://db.example.org:27017",
        f"mongodb://u:{PASSWORD}@db.example.org",
        f"mongodb://u:{PASSWORD}@db.example.org/?tls=false",
        "mongodb://db.example.org/?tls=true",
        "mongodb://u@db.example.org/?tls=true",
        "mongodb://db.example.org/?tls=true&authMechanism=SCRAM-SHA-256",
        f"mongodb://u:{PASSWORD}@127.0.0.1,db.example.org",
        "mongodb://localhost.example.org",
        f"mongodb://u:{PASSWORD}@db.example.org/?tls=true&tlsInsecure=true",
        f"mongodb://u:{PASSWORD}@db.example.org/?tls=true&tlsAllowInvalidCertificates=true",
        f"mongodb://u:{PASSWORD}@db.example.org/?tls=true&tlsAllowInvalidHostnames=true",
    ],
)
def test_addresses_elsewhere_without_checked_tls_and_user_are_refused(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"example\.org:27017.*tls=true") as caught:
        parse_address(uri)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "not a connection string",
        f"mongodb://u:{PASSWORD}/x@h:1",
        f"mongodb://u:p{PASSWORD}@x@h",
        f"mongodb://u:p?{PASSWORD}=1@h",
        "mongodb://h:99999999",
        f"mongodb://u:{PASSWORD}@h/?tls=True",
    ],
)
def test_a_broken_address_is_refused_without_being_repeated(uri: str) -> None:
    with pytest.raises(
        ConfigError, match=r"percent-encode .* option that pymongo does not"
    ) as caught:
        parse_address(uri)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_file_that_the_address_names_and_that_is_not_there_is_told(tmp_path: Path) -> None:
    uri = f"mongodb://u:{PASSWORD}@db.example.org/?tls=true&tlsCAFile={tmp_path}/absent"
    with pytest.raises(ConfigError, match=r"No such file.* Received: .*/absent\.$") as caught:
        parse_address(uri)
    assert PASSWORD not in str(caught.value)


def test_the_address_is_read_from_the_variable_or_a_file_that_goes_before_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_MONGO", ON_LOOPBACK)
    config = MongoConfig(uri_variable="MY_MONGO")
    assert read_destination(config).address.uri == ON_LOOPBACK
    secret = tmp_path / "uri"
    secret.write_text(f"mongodb://u:{PASSWORD}@[::1]:5\n")
    address = read_destination(config.model_copy(update={"uri_file": str(secret)})).address
    assert (address.uri, address.hosts) == (f"mongodb://u:{PASSWORD}@[::1]:5", "[::1]:5")
    assert PASSWORD not in repr(address)


def test_an_address_that_is_nowhere_is_told_with_both_places(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TRAILERGENRE_MONGO_URI", raising=False)
    with pytest.raises(ConfigError, match=r"variable TRAILERGENRE_MONGO_URI holds no .*uri_file"):
        read_destination(MongoConfig())
    empty = tmp_path / "uri"
    empty.write_text("\n")
    with pytest.raises(ConfigError, match=r"uri \(mongo.uri_file\) holds no"):
        read_destination(MongoConfig(uri_file=str(empty)))
    with pytest.raises(ConfigError, match=r"cannot be read: No such file.*/absent"):
        read_destination(MongoConfig(uri_file=str(tmp_path / "absent")))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("minPoolSize=9&maxPoolSize=3", "minPoolSize must be smaller"),
        ("tls=true&tlsCRLFile={file}", "no certificate or crl found"),
        ("tls=true&tlsCertificateKeyFile={file}", "SSL"),
    ],
)
def test_options_that_the_driver_cannot_use_are_told_without_the_address(
    tmp_path: Path, options: str, reason: str
) -> None:
    file = tmp_path / "empty.pem"
    file.touch()
    address = parse_address(f"mongodb://u:{PASSWORD}@127.0.0.1:1/?{options.format(file=file)}")
    unusable = pytest.raises(ConfigError, match=rf"127\.0\.0\.1:1 cannot be used: .*{reason}")
    with unusable as caught, open_database(Destination(address, MongoConfig(timeout_s=0.2))):
        pass
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_absent_server_is_named_without_the_password(free_port: int) -> None:
    address = parse_address(f"mongodb://user:{PASSWORD}@127.0.0.1:{free_port}")
    absent = rf"127\.0\.0\.1:{free_port} was not reached within 0\.2 s \(.*refused\)"
    with (
        pytest.raises(StorageError, match=absent) as caught,
        open_database(Destination(address, MongoConfig(timeout_s=0.2))),
    ):
        pass
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(address)


@pytest.fixture
def set_elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, list[str]]]:
    """The address of a set's member here, and what its primary elsewhere was asked."""
    look_up = socket.getaddrinfo

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        return look_up("127.0.0.1" if host == replicas.PRIMARY else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with replicas.replica_set() as started:
        yield started


def test_a_server_on_this_machine_cannot_lead_elsewhere_without_tls_and_user(
    set_elsewhere: tuple[str, list[str]],
) -> None:
    uri, asked = set_elsewhere
    leads = r"127\.0\.0\.1:\d+ leads to elsewhere\.test, .*directConnection=true .*tls=true"
    with (
        pytest.raises(ConfigError, match=leads),
        open_database(Destination(parse_address(uri), MongoConfig(timeout_s=5))),
    ):
        pass
    assert asked == []


def test_a_member_of_a_set_that_is_asked_for_directly_leads_nowhere(
    set_elsewhere: tuple[str, list[str]],
) -> None:
    uri, asked = set_elsewhere
    address = parse_address(f"{uri}/?directConnection=true")
    with open_database(Destination(address, MongoConfig(timeout_s=5))) as database:
        assert database.client.nodes == {database.client.address}
    assert asked == []


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve_guarded(tmp_path_factory.mktemp("guarded")) as server:
        yield server


def count_documents(server: Server, user: str, database: str) -> int:
    uri = server.uri.replace("mongodb://", f"mongodb://{user}")
    config = MongoConfig(database=database, timeout_s=5)
    with open_database(Destination(parse_address(uri), config)) as opened:
        return opened["frames"].count_documents({})


def test_a_user_with_the_right_password_is_let_in(guarded: Server) -> None:
    assert count_documents(guarded, f"writer:{PASSWORD}@", "ours") == 0


@pytest.mark.parametrize("user", ["writer:wrong-4c1@", f"nobody:{PASSWORD}@"])
def test_a_wrong_user_or_password_is_told_without_either(guarded: Server, user: str) -> None:
    with pytest.raises(ConfigError, match=r"127\.0\.0\.1:\d+ refuses the user or") as caught:
        count_documents(guarded, user, "ours")
    assert PASSWORD not in str(caught.value)
    assert "wrong-4c1" not in str(caught.value)


@pytest.mark.parametrize(("user", "database"), [("", "ours"), (f"writer:{PASSWORD}@", "theirs")])
def test_who_may_not_do_it_is_told_the_role_to_ask_for(
    guarded: Server, user: str, database: str
) -> None:
    with pytest.raises(ConfigError, match=f"role readWrite on '{database}'") as caught:
        count_documents(guarded, user, database)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("bad auth : Authentication failed.", ConfigError, "refuses the user or the password"),
        ("user is not allowed to do action [find]", ConfigError, r"this: user is .*readWrite"),
        ("not authorized on ours to execute command", ConfigError, r"this: not auth.*readWrite"),
        (
            "you are over your space quota, using 517 MB of 512 MB",
            StorageError,
            r"127\.0\.0\.1:\d+: you are over your space quota, using 517 MB of 512 MB$",
        ),
    ],
)
def test_atlas_has_one_number_for_all_that_it_refuses_and_its_text_tells_which(
    mongo_uri: str, said: str, kind: type[RunError], message: str
) -> None:
    refused = pytest.raises(kind, match=message)
    with refused, open_database(Destination(parse_address(mongo_uri), MongoConfig())):
        raise OperationFailure(said, 8000, {"errmsg": said})


def test_no_address_weakens_what_a_write_or_a_read_means(mongo_uri: str) -> None:
    weak = "?w=0&timeoutMS=0&readPreference=secondaryPreferred"
    address = parse_address(f"{mongo_uri}{weak}")
    with open_database(Destination(address, MongoConfig(timeout_s=7))) as database:
        assert database.write_concern.document == {"w": "majority", "j": True}
        assert database.client.options.timeout == 7
        assert database.read_preference == ReadPreference.PRIMARY


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("encrypted")
    with serve(directory / "db", **tls_alone(directory)) as server:
        yield server


def test_a_certificate_that_nobody_vouches_for_is_refused_by_its_reason(encrypted: Server) -> None:
    address = parse_address(f"{encrypted.uri}&tls=true")
    refused = pytest.raises(StorageError, match=r"was not reached .*CERTIFICATE_VERIFY_FAILED")
    with refused, open_database(Destination(address, MongoConfig(timeout_s=1))):
        pass


def test_tls_works_and_a_client_without_it_is_told_to_use_it(
    encrypted: Server, tmp_path: Path
) -> None:
    authority = tmp_path / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(str(authority))
    address = parse_address(f"{encrypted.uri}&tls=true&tlsCAFile={authority}")
    with open_database(Destination(address, MongoConfig(timeout_s=5))) as database:
        assert database["frames"].count_documents({}) == 0
    refused = pytest.raises(StorageError, match=r"was not reached .*and tls=true")
    with (
        refused,
        open_database(Destination(parse_address(encrypted.uri), MongoConfig(timeout_s=1))),
    ):
        pass


@pytest.fixture
def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from pymongo import MongoClient

from trailergenre.config import MongoConfig
from trailergenre.documents import (
    Document,
    PublishCounts,
    open_collection,
    parse_address,
    to_documents,
    write_documents,
)
from trailergenre.errors import ConfigError, StorageError
from trailergenre.records import N_FEATURES

LINK_ID = "ab" * 32
PASSWORD = "canary-9f2"


def feature_rows(
    *, titles: Sequence[str], first_value: float = 0.5, width: int = N_FEATURES
) -> pa.RecordBatch:
    """One row a title; row i holds first_value + i in every feature."""
    n = len(titles)
    values = np.repeat(np.arange(n, dtype=np.float32) + np.float32(first_value), width)
    return pa.RecordBatch.from_pydict(
        {
            "link_id": pa.array([LINK_ID] * n, pa.string()),
            "frame_index": pa.array(range(n), pa.int32()),
            "frame_time_s": pa.array([float(i) for i in range(n)], pa.float64()),
            "features": pa.ListArray.from_arrays(
                pa.array(range(0, (n + 1) * width, width), pa.int32()), values
            ),
            "title": pa.array(titles, pa.string()),
            "genres": pa.array([["Drama", "War"]] * n, pa.list_(pa.string())),
        }
    )


def stored_documents(uri: str, config: MongoConfig) -> list[Document]:
    with MongoClient[Document](uri) as client:
        return list(client[config.database][config.collection].find().sort("frame_index"))


def test_a_row_becomes_a_document_with_our_ids_and_a_float32_vector() -> None:
    (first, second) = to_documents(feature_rows(titles=["Up", "Up"]), fingerprint="f1")
    features = second.pop("features")
    assert second == {
        "_id": f"{LINK_ID}:1",
        "link_id": LINK_ID,
        "frame_index": 1,
        "frame_time_s": 1.0,
        "title": "Up",
        "genres": ["Drama", "War"],
        "fingerprint": "f1",
    }
    assert len(features) == 2 + 4 * N_FEATURES  # type: ignore[arg-type]
    assert features.as_vector().data == [1.5] * N_FEATURES  # type: ignore[attr-defined]
    assert first["_id"] == f"{LINK_ID}:0"


def test_features_of_another_width_are_published_as_they_are() -> None:
    _, second = to_documents(feature_rows(titles=["Up", "Up"], width=3), fingerprint="f1")
    assert second["features"].as_vector().data == [1.5] * 3  # type: ignore[attr-defined]
    assert not list(to_documents(feature_rows(titles=[]), fingerprint="f1"))


def test_a_slice_of_a_batch_keeps_each_rows_own_features() -> None:
    rows = feature_rows(titles=["Up"] * 3).slice(1, 2)
    values = [d["features"].as_vector().data[0] for d in to_documents(rows, fingerprint="f")]  # type: ignore[attr-defined]
    assert values == [1.5, 2.5]


def test_no_rows_give_no_documents() -> None:
    assert list(to_documents(feature_rows(titles=[]), fingerprint="f")) == []


def test_writing_twice_replaces_and_adds_nothing(mongo_uri: str) -> None:
    config = MongoConfig(database="twice")
    address = parse_address(mongo_uri)
    counts, stored = [], []
    for _ in range(2):
        with open_collection(address, config) as collection:
            documents = to_documents(feature_rows(titles=["Up"] * 5), fingerprint="f")
            counts.append(write_documents(collection, documents, batch_size=2))
        stored.append(stored_documents(mongo_uri, config))
    assert counts == [PublishCounts(5, 0, 5), PublishCounts(5, 5, 0)]
    assert len(stored[0]) == 5
    assert stored[0] == stored[1]


def test_writing_again_takes_the_new_features_and_titles(mongo_uri: str) -> None:
    config = MongoConfig(database="again")
    for rows in (feature_rows(titles=["Up"]), feature_rows(titles=["Heat"], first_value=9)):
        with open_collection(parse_address(mongo_uri), config) as collection:
            write_documents(collection, to_documents(rows, fingerprint="f"), batch_size=8)
    (document,) = stored_documents(mongo_uri, config)
    assert document["title"] == "Heat"
    assert document["features"].as_vector().data[0] == 9  # type: ignore[attr-defined]


def test_a_title_that_looks_like_an_operator_stays_text(mongo_uri: str) -> None:
    config = MongoConfig(database="operator")
    title = '{"$where": "sleep(1000)"}'
    with open_collection(parse_address(mongo_uri), config) as collection:
        write_documents(
            collection, to_documents(feature_rows(titles=[title]), fingerprint="f"), batch_size=8
        )
    assert [d["title"] for d in stored_documents(mongo_uri, config)] == [title]


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://127.0.0.1:27017",
        "mongodb://localhost,127.0.0.2:5/x",
        "mongodb://[::1]:27017",
        "mongodb://%2Frun%2Fmongodb.sock",
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
        f"mongodb://u:{PASSWORD}@127.0.0.1,db.example.org",
        "mongodb://localhost.example.org",
    ],
)
def test_addresses_elsewhere_without_tls_and_user_are_refused(uri: str) -> None:
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
    ],
)
def test_a_broken_address_is_refused_without_being_repeated(uri: str) -> None:
    with pytest.raises(ConfigError, match="percent-encode") as caught:
        parse_address(uri)
    assert PASSWORD not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_absent_server_is_named_without_the_password(free_port: int) -> None:
    address = parse_address(f"mongodb://user:{PASSWORD}@127.0.0.1:{free_port}")
    with (
        pytest.raises(StorageError, match=rf"127\.0\.0\.1:{free_port} was not reached") as caught,
        open_collection(address, MongoConfig(timeout_s=0.2)),
    ):
        pass
    assert PASSWORD not in str(caught.value)
    assert PASSWORD not in repr(address)


def test_a_refused_document_is_told_by_its_reason_and_the_rest_is_kept(mongo_uri: str) -> None:
    config = MongoConfig(database="refused")
    documents = to_documents(feature_rows(titles=["Up", "Up", "Heat"]), fingerprint="f")
    with (
        pytest.raises(StorageError, match="1 documents of a batch were refused") as caught,
        open_collection(parse_address(mongo_uri), config) as collection,
    ):
        collection.create_index("title", unique=True)
        write_documents(collection, documents, batch_size=8)
    assert len(str(caught.value)) < 500
    assert [d["title"] for d in stored_documents(mongo_uri, config)] == ["Up", "Heat"]


@pytest.fixture
def free_port() -> int:
    """A port of loopback that nothing listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

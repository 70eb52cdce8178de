from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient

from mongos import content_hash, destination_at, stored
from runs import SETTINGS
from trailergenre.base.errors import ConfigError
from trailergenre.mongo import collections
from trailergenre.mongo.collections import prepare_collections
from trailergenre.mongo.connection import Destination, Document
from trailergenre.runs.fingerprint import FeatureSettings

FP = SETTINGS.fingerprint
TWICE_A_SECOND = replace(SETTINGS, frames_per_s=2.0)


@pytest.fixture
def destination(mongo_uri: str) -> Destination:
    return destination_at(mongo_uri)


def insert(destination: Destination, document: Document, collection: str = "frames") -> None:
    with MongoClient[Document](destination.address.uri) as client:
        client[destination.config.database][collection].insert_one(document)


def index_keys(destination: Destination, collection: str) -> set[tuple[str, ...]]:
    with MongoClient[Document](destination.address.uri) as client:
        indexes = client[destination.config.database][collection].index_information()
    return {tuple(name for name, _ in index["key"]) for index in indexes.values()}


def test_a_collection_says_in_one_of_its_own_what_it_holds(destination: Destination) -> None:
    prepare_collections(destination, SETTINGS)
    (collections,) = stored(destination, "frames_meta")
    assert (collections["_id"], collections["shape"]) == ("features", "frames")
    assert (collections["fingerprint"], collections["frames_per_s"]) == (SETTINGS.fingerprint, 1.0)
    assert collections["backbone_id"] == SETTINGS.backbone_id
    assert stored(destination) == []


def test_preparing_again_changes_nothing(destination: Destination) -> None:
    prepare_collections(destination, SETTINGS)
    before = content_hash(destination)
    keys = index_keys(destination, "frames")
    prepare_collections(destination, SETTINGS)
    assert (content_hash(destination), index_keys(destination, "frames")) == (before, keys)


def test_what_is_asked_for_has_an_index(destination: Destination) -> None:
    prepare_collections(destination, SETTINGS)
    assert index_keys(destination, "frames") == {("_id",), ("link_id", "frame_index"), ("genres",)}
    expected = {("_id",), ("genres",), ("title",), ("movie_id",)}
    assert index_keys(destination, "frames_trailers") == expected


@pytest.mark.parametrize("collection", ["frames", "frames_trailers"])
def test_an_index_that_somebody_made_under_another_name_will_do(
    destination: Destination, collection: str
) -> None:
    with MongoClient[Document](destination.address.uri) as client:
        client[destination.config.database][collection].create_index("genres", name="mine")
    prepare_collections(destination, SETTINGS)
    assert (
        len(index_keys(destination, collection)) == {"frames": 3, "frames_trailers": 4}[collection]
    )


def test_other_features_are_refused_and_a_new_collection_is_named(destination: Destination) -> None:
    prepare_collections(destination, TWICE_A_SECOND)
    before = content_hash(destination)
    with pytest.raises(ConfigError) as caught:
        prepare_collections(destination, SETTINGS)
    said = str(caught.value)
    assert f"holds features {TWICE_A_SECOND.fingerprint} (2.0 frames/s" in said
    assert f"Received: {SETTINGS.fingerprint} (1.0 frames/s" in said
    free = f"frames_{SETTINGS.fingerprint[:8]}"
    assert f"--set mongo.collection={free}" in said
    assert content_hash(destination) == before
    prepare_collections(
        replace(destination, config=destination.config.model_copy(update={"collection": free})),
        SETTINGS,
    )


def test_metadata_of_a_version_with_more_or_fewer_settings_is_accepted(
    destination: Destination,
) -> None:
    collections = {"_id": "features", "shape": "frames", "fingerprint": SETTINGS.fingerprint}
    insert(destination, collections, "frames_meta")
    prepare_collections(destination, SETTINGS)
    assert stored(destination, "frames_meta") == [collections]


@pytest.mark.parametrize("collection", ["frames", "frames_trailers"])
@pytest.mark.parametrize("document", [{"_id": 7}, {"_id": "a:0", "fingerprint": FP}])
def test_a_collection_that_somebody_else_filled_is_left_alone(
    destination: Destination, collection: str, document: Document
) -> None:
    insert(destination, document, collection)
    told = rf"{collection} holds documents, .*frames_meta does not say .*mongo\.collection="
    with pytest.raises(ConfigError, match=told):
        prepare_collections(destination, SETTINGS)
    assert stored(destination, "frames_meta") == []


def test_a_collection_that_another_publisher_claims_and_fills_meanwhile_is_taken(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = collections.read_metadata

    def read_before(*args: Any) -> Document | None:
        """Before another publisher comes, for the first time."""
        monkeypatch.setattr(collections, "read_metadata", read)
        found = read(*args)
        prepare_collections(destination, SETTINGS)
        insert(destination, {"_id": "a:0"})
        return found

    monkeypatch.setattr(collections, "read_metadata", read_before)
    prepare_collections(destination, SETTINGS)
    assert len(stored(destination, "frames_meta")) == 1


def claim_together(destination: Destination, *claims: FeatureSettings) -> dict[str, str]:
    """Prepare side by side; gives what those who were refused were told, by fingerprint."""
    refused: dict[str, str] = {}
    together = threading.Barrier(len(claims))

    def claim(settings: FeatureSettings) -> None:
        together.wait()
        try:
            prepare_collections(destination, settings)
        except ConfigError as error:
            refused[settings.fingerprint] = str(error)

    threads = [threading.Thread(target=claim, args=(settings,)) for settings in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return refused


def test_of_two_first_publishers_at_once_one_wins_and_the_other_is_told(mongo_uri: str) -> None:
    both = {SETTINGS.fingerprint, TWICE_A_SECOND.fingerprint}
    for _ in range(5):
        destination = destination_at(mongo_uri)
        refused = claim_together(destination, SETTINGS, TWICE_A_SECOND)
        (collections,) = stored(destination, "frames_meta")
        (loser,) = refused
        assert {loser, collections["fingerprint"]} == both
        assert "Publish these to a new one" in refused[loser]


def test_of_two_first_publishers_of_the_same_features_none_is_refused(mongo_uri: str) -> None:
    for _ in range(5):
        destination = destination_at(mongo_uri)
        assert claim_together(destination, SETTINGS, SETTINGS) == {}
        assert len(stored(destination, "frames_meta")) == 1

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from pymongo import MongoClient

from mongos import content_hash, stored, target_at
from runs import SETTINGS
from trailergenre.base.config import MongoConfig
from trailergenre.base.errors import ConfigError
from trailergenre.mongo import Document, Target, choose_target, collections, prepare_collections
from trailergenre.runs.fingerprint import FeatureSettings

FP = SETTINGS.fingerprint
TWICE_A_SECOND = replace(SETTINGS, frames_per_s=2.0)


@pytest.fixture
def target(mongo_uri: str) -> Target:
    return target_at(mongo_uri)


def insert(target: Target, document: Document, collection: str = "frames") -> None:
    with MongoClient[Document](target.address.uri) as client:
        client[target.config.database][collection].insert_one(document)


def index_keys(target: Target, collection: str) -> set[tuple[str, ...]]:
    with MongoClient[Document](target.address.uri) as client:
        indexes = client[target.config.database][collection].index_information()
    return {tuple(name for name, _ in index["key"]) for index in indexes.values()}


def test_a_collection_says_in_one_of_its_own_what_it_holds(target: Target) -> None:
    prepare_collections(target, SETTINGS)
    (collections,) = stored(target, "frames_meta")
    assert (collections["_id"], collections["shape"]) == ("features", "frames")
    assert (collections["fingerprint"], collections["frames_per_s"]) == (SETTINGS.fingerprint, 1.0)
    assert collections["backbone_id"] == SETTINGS.backbone_id
    assert stored(target) == []


def test_preparing_again_changes_nothing(target: Target) -> None:
    prepare_collections(target, SETTINGS)
    before = content_hash(target)
    keys = index_keys(target, "frames")
    prepare_collections(target, SETTINGS)
    assert (content_hash(target), index_keys(target, "frames")) == (before, keys)


def test_what_is_asked_for_has_an_index(target: Target) -> None:
    prepare_collections(target, SETTINGS)
    assert index_keys(target, "frames") == {("_id",), ("link_id", "frame_index"), ("genres",)}
    expected = {("_id",), ("genres",), ("title",), ("movie_id",)}
    assert index_keys(target, "frames_trailers") == expected


@pytest.mark.parametrize("collection", ["frames", "frames_trailers"])
def test_an_index_that_somebody_made_under_another_name_will_do(
    target: Target, collection: str
) -> None:
    with MongoClient[Document](target.address.uri) as client:
        client[target.config.database][collection].create_index("genres", name="mine")
    prepare_collections(target, SETTINGS)
    assert len(index_keys(target, collection)) == {"frames": 3, "frames_trailers": 4}[collection]


def test_other_features_are_refused_and_a_new_collection_is_named(target: Target) -> None:
    prepare_collections(target, TWICE_A_SECOND)
    before = content_hash(target)
    with pytest.raises(ConfigError) as caught:
        prepare_collections(target, SETTINGS)
    said = str(caught.value)
    assert f"holds features {TWICE_A_SECOND.fingerprint} (2.0 frames/s" in said
    assert f"Received: {SETTINGS.fingerprint} (1 frames/s" in said
    free = f"frames_{SETTINGS.fingerprint[:8]}"
    assert f"--set mongo.collection={free}" in said
    assert content_hash(target) == before
    prepare_collections(
        replace(target, config=target.config.model_copy(update={"collection": free})), SETTINGS
    )


def test_a_contract_of_a_version_that_knew_more_or_fewer_settings_is_the_same(
    target: Target,
) -> None:
    collections = {"_id": "features", "shape": "frames", "fingerprint": SETTINGS.fingerprint}
    insert(target, collections, "frames_meta")
    prepare_collections(target, SETTINGS)
    assert stored(target, "frames_meta") == [collections]


@pytest.mark.parametrize("collection", ["frames", "frames_trailers"])
@pytest.mark.parametrize("document", [{"_id": 7}, {"_id": "a:0", "fingerprint": FP}])
def test_a_collection_that_somebody_else_filled_is_left_alone(
    target: Target, collection: str, document: Document
) -> None:
    insert(target, document, collection)
    told = rf"{collection} holds documents, .*frames_meta does not say .*mongo\.collection="
    with pytest.raises(ConfigError, match=told):
        prepare_collections(target, SETTINGS)
    assert stored(target, "frames_meta") == []


def test_a_collection_that_another_publisher_claims_and_fills_meanwhile_is_taken(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = collections.read_contract

    def read_before(*args: Any) -> Document | None:
        """Before another publisher comes, for the first time."""
        monkeypatch.setattr(collections, "read_contract", read)
        found = read(*args)
        prepare_collections(target, SETTINGS)
        insert(target, {"_id": "a:0"})
        return found

    monkeypatch.setattr(collections, "read_contract", read_before)
    prepare_collections(target, SETTINGS)
    assert len(stored(target, "frames_meta")) == 1


def claim_together(target: Target, *claims: FeatureSettings) -> dict[str, str]:
    """Prepare side by side; gives what those who were refused were told, by fingerprint."""
    refused: dict[str, str] = {}
    together = threading.Barrier(len(claims))

    def claim(settings: FeatureSettings) -> None:
        together.wait()
        try:
            prepare_collections(target, settings)
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
        target = target_at(mongo_uri)
        refused = claim_together(target, SETTINGS, TWICE_A_SECOND)
        (collections,) = stored(target, "frames_meta")
        (loser,) = refused
        assert {loser, collections["fingerprint"]} == both
        assert "Publish these into a new one" in refused[loser]


def test_of_two_first_publishers_of_the_same_features_none_is_refused(mongo_uri: str) -> None:
    for _ in range(5):
        target = target_at(mongo_uri)
        assert claim_together(target, SETTINGS, SETTINGS) == {}
        assert len(stored(target, "frames_meta")) == 1


def test_the_originals_shape_has_a_collection_of_its_own(
    mongo_uri: str, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", mongo_uri)
    config = MongoConfig(database=target.config.database)
    original = choose_target(config, "original")
    assert original.config.collection == "frames_original"
    prepare_collections(original, SETTINGS)
    prepare_collections(choose_target(config), SETTINGS)
    assert stored(target, "frames_original_meta")[0]["shape"] == "original"
    # Nobody mixes shapes by naming it.
    mixed = choose_target(config.model_copy(update={"collection": "frames_original"}))
    with pytest.raises(ConfigError, match=r"shape original\)\. Received: .*shape frames\)"):
        prepare_collections(mixed, SETTINGS)
    with pytest.raises(ConfigError, match=r"mongo\.collection=frames_\w{8}$"):
        prepare_collections(original, TWICE_A_SECOND)

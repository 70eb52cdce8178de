from __future__ import annotations

from datetime import UTC, datetime

import bson
import numpy as np
import pytest
from bson.binary import Binary, BinaryVectorDtype

from runs import link_id
from trailergenre.base.records import N_FEATURES, LinkFrames
from trailergenre.mongo import PublishedLink
from trailergenre.mongo.documents import (
    frame_documents,
    of_links,
    original_documents,
    trailer_document,
)

LINK_ID = link_id("up")
MADE_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_link(*, n_frames: int = 2, width: int = N_FEATURES, title: str = "Up") -> PublishedLink:
    """Frame i holds i + 0.5 in every feature and was shown at i / 2 seconds."""
    values = np.repeat(np.arange(n_frames, dtype=np.float32) + np.float32(0.5), width)
    return PublishedLink(
        frames=LinkFrames(LINK_ID, values.reshape(n_frames, width), np.arange(n_frames) / 2),
        url="https://example.org/up.mp4",
        movie_id="tt1049413",
        title=title,
        genres=["Drama", "War"],
        duration_s=1.25,
        commit="c0" * 32,
        finished_at=MADE_AT,
    )


def floats(packed: object) -> list[float]:
    assert isinstance(packed, Binary)
    vector = packed.as_vector()
    assert vector.dtype is BinaryVectorDtype.FLOAT32
    return list(vector.data)


def test_a_frame_becomes_a_document_with_our_ids_and_a_float32_vector() -> None:
    (first, second) = frame_documents(make_link(), "f1")
    features = second.pop("features")
    assert second == {
        "_id": f"{LINK_ID}:1",
        "link_id": LINK_ID,
        "frame_index": 1,
        "frame_time_s": 0.5,
        "title": "Up",
        "genres": ["Drama", "War"],
        "fingerprint": "f1",
        "commit": "c0" * 32,
    }
    assert floats(features) == [1.5] * N_FEATURES
    assert first["_id"] == f"{LINK_ID}:0"
    assert floats(first["features"])[0] == 0.5


def test_a_trailer_has_the_mean_of_its_frames_and_what_a_reader_wants() -> None:
    document = trailer_document(make_link(n_frames=4), "f1")
    features = document.pop("features")
    assert document == {
        "_id": LINK_ID,
        "url": "https://example.org/up.mp4",
        "movie_id": "tt1049413",
        "title": "Up",
        "genres": ["Drama", "War"],
        "frames": 4,
        "duration_s": 1.25,
        "fingerprint": "f1",
        "commit": "c0" * 32,
        "finished_at": MADE_AT,
    }
    assert floats(features) == [2.0] * N_FEATURES


def test_the_originals_documents_have_a_double_for_each_feature_and_nothing_else() -> None:
    (_, second) = original_documents(make_link(width=3))
    frame_id = f"{LINK_ID}:1"
    assert second == {"_id": frame_id, "frame_id": frame_id, "0": 1.5, "1": 1.5, "2": 1.5}
    (document,) = original_documents(make_link(n_frames=1))
    assert list(document) == ["_id", "frame_id", *(str(n) for n in range(N_FEATURES))]
    assert {type(document[str(n)]) for n in range(N_FEATURES)} == {float}


def test_sizes_are_those_of_the_docs() -> None:
    link = make_link(n_frames=1, title="A title of some thirty letters")
    (frame,), (original,) = frame_documents(link, "f" * 16), original_documents(link)
    assert len(bson.encode(frame)) == pytest.approx(8_530, abs=100)
    assert len(bson.encode(original)) == pytest.approx(27_750, abs=100)


def test_features_of_another_width_are_published_as_they_are() -> None:
    (_, second) = frame_documents(make_link(width=3), "f1")
    assert floats(second["features"]) == [1.5] * 3


def test_a_link_is_found_by_its_id_or_by_the_beginning_of_its_frames() -> None:
    assert of_links("frames", ["a", "b"]) == {"link_id": {"$in": ["a", "b"]}}
    (part,) = of_links("original", ["ab"])["$or"]
    assert part == {"_id": {"$gte": "ab:", "$lt": "ab;"}}
    assert "ab:" <= "ab:0" < "ab:12" < "ab;"
    assert not "ab:" <= "abc:0" < "ab;"

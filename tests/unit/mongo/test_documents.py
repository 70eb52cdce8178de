from __future__ import annotations

from datetime import UTC, datetime

import bson
import numpy as np
import pytest
from bson.binary import Binary, BinaryVectorDtype

from runs import link_id
from trailergenre.base.records import INCEPTION_V3_WIDTH, LinkFrames
from trailergenre.mongo.documents import frame_documents, trailer_document
from trailergenre.mongo.published_links import PublishedLink

LINK_ID = link_id("up")
MADE_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


def make_link(
    *, n_frames: int = 2, width: int = INCEPTION_V3_WIDTH, title: str = "Up"
) -> PublishedLink:
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
    assert floats(features) == [1.5] * INCEPTION_V3_WIDTH
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
    assert floats(features) == [2.0] * INCEPTION_V3_WIDTH


def test_a_frame_takes_what_the_docs_say() -> None:
    (frame,) = frame_documents(
        make_link(n_frames=1, title="A title of some thirty letters"), "f" * 16
    )
    assert len(bson.encode(frame)) == pytest.approx(8_530, abs=100)


def test_features_of_another_width_are_published_as_they_are() -> None:
    (_, second) = frame_documents(make_link(width=3), "f1")
    assert floats(second["features"]) == [1.5] * 3

"""The documents of one published link; the same tables give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from trailergenre.models.pooling import pool_frames
from trailergenre.mongo.connection import Document
from trailergenre.mongo.published_links import PublishedLink

if TYPE_CHECKING:
    from bson.binary import Binary

    from trailergenre.base.records import FeatureArray


def frame_documents(link: PublishedLink, fingerprint: str) -> Iterator[Document]:
    """Yield one document per frame, in order; `_id` is `link_id:frame_index`.

    `features` is a BSON vector of float32: 8 KB for 2,048 features. An array of BSON doubles would
    take 28 KB and lose the type.
    """
    link_id = link.frames.link_id
    times = link.frames.frame_time_s.tolist()
    for index, (vector, time_s) in enumerate(zip(link.frames.features, times, strict=True)):
        yield {
            "_id": f"{link_id}:{index}",
            "link_id": link_id,
            "frame_index": index,
            "frame_time_s": time_s,
            "title": link.title,
            "genres": link.genres,
            "features": _to_vector(vector),
            "fingerprint": fingerprint,
            "commit": link.commit,
        }


def trailer_document(link: PublishedLink, fingerprint: str) -> Document:
    """Make the document of a trailer; `features` is the mean over its frames (float32)."""
    return {
        "_id": link.frames.link_id,
        "url": link.url,
        "movie_id": link.movie_id,
        "title": link.title,
        "genres": link.genres,
        "frames": len(link.frames.features),
        "duration_s": link.duration_s,
        "features": _to_vector(pool_frames(link.frames.features, ["mean"])),
        "fingerprint": fingerprint,
        "commit": link.commit,
        "finished_at": link.finished_at,
    }


def frames_query(link_ids: Iterable[str]) -> Document:
    """Make the query that matches all frames of some links."""
    return {"link_id": {"$in": list(link_ids)}}


def _to_vector(values: FeatureArray) -> Binary:
    from bson.binary import Binary, BinaryVectorDtype

    return Binary.from_vector(values, BinaryVectorDtype.FLOAT32)

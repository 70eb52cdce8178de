"""One published link to documents.

All that is in a document follows from the run's tables, so publishing again gives the same bytes.
bson is pymongo's, which is the extra `mongo`, and imported where it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

from trailergenre.models.pooling import pool_frames
from trailergenre.mongo.connection import Document
from trailergenre.mongo.published_links import PublishedLink

if TYPE_CHECKING:
    from bson.binary import Binary

    from trailergenre.base.records import FeatureArray

Shape = Literal["frames", "original"]
"""frames: ours, one document a frame and one a trailer; original: that of the notebooks that this
project began with."""


def frame_documents(link: PublishedLink, fingerprint: str) -> Iterator[Document]:
    """Make one document a frame.

    Args:
        link: from `source.read_links`.
        fingerprint: of the features.

    Yields:
        In the order of the frames; `_id` is `link_id:frame_index`. `features` is a BSON vector of
        float32, 8 KB for 2,048, where an array of BSON doubles would take 28 KB and lose the type.
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
    """Make the one document of a trailer; `features` is the mean of its frames' (float32)."""
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


def original_documents(link: PublishedLink) -> Iterator[Document]:
    """Make one document a frame as the original notebooks read them: no field but these.

    Yields:
        `_id` and `frame_id`, both `link_id:frame_index`, and a double for each feature under its
        number, from "0".
    """
    names = [str(number) for number in range(link.frames.features.shape[1])]
    for index, values in enumerate(link.frames.features.tolist()):
        frame_id = f"{link.frames.link_id}:{index}"
        yield {"_id": frame_id, "frame_id": frame_id, **dict(zip(names, values, strict=True))}


def of_links(shape: Shape, link_ids: Iterable[str]) -> Document:
    """The filter that finds all documents of these links in a collection of frames."""
    if shape == "frames":
        return {"link_id": {"$in": list(link_ids)}}
    # ";" comes after ":".
    return {"$or": [{"_id": {"$gte": f"{link}:", "$lt": f"{link};"}} for link in link_ids]}


def _to_vector(values: FeatureArray) -> Binary:
    from bson.binary import Binary, BinaryVectorDtype

    return Binary.from_vector(values, BinaryVectorDtype.FLOAT32)

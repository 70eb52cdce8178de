"""Bring the collections to what the links of a run are: one document per frame and per trailer.

Writes replace and deletes remove stale frames, so publishing the same links again, or twice at the
same time, ends with the same collections.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailergenre.base.errors import StorageError
from trailergenre.base.fault_injection import Point, reach
from trailergenre.mongo.bulk_writes import (
    WriteCounts,
    count_documents,
    delete_documents,
    write_documents,
)
from trailergenre.mongo.connection import Destination, Document, open_database
from trailergenre.mongo.documents import frame_documents, frames_query, trailer_document
from trailergenre.mongo.published_links import PublishedLink

if TYPE_CHECKING:
    from pymongo.collection import Collection

_LINKS_PER_DELETE = 100  # a call's time is bounded


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What happened to the collection of frames and to that of trailers."""

    frames: WriteCounts = field(default_factory=WriteCounts)
    trailers: WriteCounts = field(default_factory=WriteCounts)

    def __add__(self, other: PublishResult) -> PublishResult:
        """Add up tasks."""
        return PublishResult(self.frames + other.frames, self.trailers + other.trailers)


def publish_links(
    destination: Destination, fingerprint: str, links: Sequence[PublishedLink]
) -> PublishResult:
    """Publish the links of one features file.

    Frames are written first, then stale frames deleted, then trailers written: if a trailer's
    document exists, so do its frames.

    Raises:
        ConfigError: as `open_database`; what was written stays.
        StorageError: as `open_database`, or another run changes these links at the same time.
    """
    reach(Point.FEATURES_READ)
    config = destination.config
    with open_database(destination) as database:
        collection = database[config.collection]
        documents = (frame_documents(link, fingerprint) for link in links)
        frames = write_documents(
            collection, itertools.chain.from_iterable(documents), batch_size=config.batch_size
        )
        deleted = _delete_stale_frames(collection, links, is_complete=not frames.refused)
        trailers = write_documents(
            database[config.trailers_collection],
            (trailer_document(link, fingerprint) for link in links),
            batch_size=config.batch_size,
        )
    reach(Point.PUBLISHED)
    return PublishResult(frames + WriteCounts(deleted=deleted), trailers)


def withdraw_links(destination: Destination, link_ids: Sequence[str]) -> PublishResult:
    """Delete all documents of links that failed or left the list, trailers first."""
    result = PublishResult()
    if not link_ids:
        return result
    config = destination.config
    with open_database(destination) as database:
        for start in range(0, len(link_ids), _LINKS_PER_DELETE):
            batch = link_ids[start : start + _LINKS_PER_DELETE]
            trailers = delete_documents(
                database[config.trailers_collection], {"_id": {"$in": batch}}
            )
            frames = delete_documents(database[config.collection], frames_query(batch))
            result += PublishResult(WriteCounts(deleted=frames), WriteCounts(deleted=trailers))
    return result


def _delete_stale_frames(
    collection: Collection[Document], links: Sequence[PublishedLink], *, is_complete: bool
) -> int:
    """Delete the documents of just written links that are none of their frames.

    `is_complete` means that the server accepted every frame.

    Raises:
        StorageError: another run changed them meanwhile.
    """
    frames_of = {link.frames.link_id: len(link.frames.features) for link in links}
    query, n_expected = frames_query(frames_of), sum(frames_of.values())
    # Answered by the index alone. All frames were written, so the right number means no others.
    if not links or (is_complete and count_documents(collection, query) == n_expected):
        return 0
    deleted = 0
    for link_id, n_frames in frames_of.items():
        ids = [f"{link_id}:{index}" for index in range(n_frames)]
        deleted += delete_documents(collection, frames_query([link_id]) | {"_id": {"$nin": ids}})
    # A second attempt of this task writes the same documents and deletes the same ones.
    if is_complete and count_documents(collection, query) != n_expected:
        raise StorageError(
            f"Another run published or withdrew links in {collection.full_name} while this one "
            "was publishing them. Publish again when it has ended."
        )
    return deleted

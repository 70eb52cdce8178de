"""The links of one features file to the collections: frames, and one document a trailer.

Writes replace, and deletes take what is none of a link's frames, so the same links published again,
or by two at once, end as the same collections.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailergenre.base.errors import StorageError
from trailergenre.base.fault_injection import Point, reach
from trailergenre.mongo.bulk_writes import (
    PublishCounts,
    count_documents,
    delete_documents,
    write_documents,
)
from trailergenre.mongo.collections import Target
from trailergenre.mongo.connection import Document, open_database
from trailergenre.mongo.documents import (
    frame_documents,
    of_links,
    original_documents,
    trailer_document,
)
from trailergenre.mongo.published_links import PublishedLink

if TYPE_CHECKING:
    from pymongo.database import Database

_LINKS_A_DELETE = 1000


@dataclass(frozen=True, slots=True)
class Published:
    """What was done to the collection of frames and to that of trailers."""

    frames: PublishCounts = field(default_factory=PublishCounts)
    trailers: PublishCounts = field(default_factory=PublishCounts)

    def __add__(self, other: Published) -> Published:
        """Add up tasks."""
        return Published(self.frames + other.frames, self.trailers + other.trailers)


def publish_links(target: Target, fingerprint: str, links: Sequence[PublishedLink]) -> Published:
    """Bring the collections to what these links are.

    First the frames, then what is none of them is deleted, and the trailers come last: who finds a
    trailer's document finds its frames.

    Args:
        target: from `contract.prepare_collections`.
        fingerprint: of the features.
        links: with their features.

    Raises:
        ConfigError: as `open_database`; what was written stays.
        StorageError: as `open_database`, or another run changes these links at the same time.
    """
    reach(Point.FEATURES_READ)
    config, is_original = target.config, target.shape == "original"
    with open_database(target.address, config) as database:
        made = (
            original_documents(link) if is_original else frame_documents(link, fingerprint)
            for link in links
        )
        frames = write_documents(
            database[config.collection],
            itertools.chain.from_iterable(made),
            batch_size=config.batch_size,
        )
        is_whole = not frames.refused
        deleted = _delete_others(database, target, links, is_whole=is_whole)
        frames += PublishCounts(deleted=deleted)
        trailers = PublishCounts()
        if not is_original:
            trailers = write_documents(
                database[config.trailers_collection],
                (trailer_document(link, fingerprint) for link in links),
                batch_size=config.batch_size,
            )
    reach(Point.PUBLISHED)
    return Published(frames, trailers)


def withdraw_links(target: Target, link_ids: Sequence[str]) -> Published:
    """Delete all documents of links, trailers first: those that failed, or left the list.

    Raises:
        ConfigError, StorageError: as `open_database`.
    """
    if not link_ids:
        return Published()
    frames = trailers = 0
    config = target.config
    with open_database(target.address, config) as database:
        for start in range(0, len(link_ids), _LINKS_A_DELETE):
            part = link_ids[start : start + _LINKS_A_DELETE]
            if target.shape == "frames":
                mine: Document = {"_id": {"$in": part}}
                trailers += delete_documents(database[config.trailers_collection], mine)
            frames += delete_documents(database[config.collection], of_links(target.shape, part))
    return Published(PublishCounts(deleted=frames), PublishCounts(deleted=trailers))


def _delete_others(
    database: Database[Document],
    target: Target,
    links: Sequence[PublishedLink],
    *,
    is_whole: bool,
) -> int:
    """Delete what stands under these links and is none of their frames.

    Args:
        database: where.
        target: where.
        links: just written.
        is_whole: whether every frame was taken.

    Raises:
        StorageError: another run changed them meanwhile.
    """
    collection = database[target.config.collection]
    counts = {link.frames.link_id: len(link.frames.features) for link in links}
    if not counts:
        return 0
    # Read from the index alone; where all are there and the number is right, there is no other.
    mine, n_expected = of_links(target.shape, counts), sum(counts.values())
    if is_whole and count_documents(collection, mine) == n_expected:
        return 0
    deleted = 0
    for link_id, n_frames in counts.items():
        ids = [f"{link_id}:{index}" for index in range(n_frames)]
        others = of_links(target.shape, [link_id]) | {"_id": {"$nin": ids}}
        deleted += delete_documents(collection, others)
    # A twin of this task writes the same documents and deletes the same others.
    if is_whole and count_documents(collection, mine) != n_expected:
        raise StorageError(
            f"Another run published or withdrew links in {database.name}.{collection.name} that "
            "this one was publishing. Publish again when it has ended."
        )
    return deleted

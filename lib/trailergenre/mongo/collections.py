"""The collections of one fingerprint: who made them, what features they hold, their indexes.

The metadata is a document in a collection of its own (`frames_meta` beside `frames`), so that
queries, counts and indexes of the features need not skip it.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING

from trailergenre.base.config import MongoConfig
from trailergenre.base.errors import ConfigError
from trailergenre.mongo.connection import Destination, Document, open_database
from trailergenre.runs.fingerprint import FeatureSettings

if TYPE_CHECKING:
    from pymongo.database import Database

_METADATA_ID = "features"
_FRAME_INDEXES = (("link_id", "frame_index"), ("genres",))
_TRAILER_INDEXES = (("genres",), ("title",), ("movie_id",))


def is_initialized(destination: Destination) -> bool:
    """Whether anything was ever published there."""
    with open_database(destination) as database:
        return read_metadata(database, destination.config) is not None


def prepare_collections(destination: Destination, settings: FeatureSettings) -> None:
    """Create the metadata and the indexes unless they exist.

    Of two first publishers at the same moment one creates the metadata, whose `_id` is unique, and
    the other reads it.

    Raises:
        ConfigError: the collections hold other features, or documents of unknown origin.
    """
    from pymongo.errors import DuplicateKeyError

    config = destination.config
    with open_database(destination) as database:
        if read_metadata(database, config) is None:
            _check_ownership(database, config, settings)
            # Another publisher may just have created it, or this call whose answer was lost.
            with contextlib.suppress(DuplicateKeyError):
                database[config.meta_collection].insert_one(_make_metadata(settings))
        mismatch = find_mismatch(database, config, settings)
        if mismatch is not None:
            raise ConfigError(f"{mismatch} {_advice(config, settings)}")
        _create_indexes(database, config.collection, _FRAME_INDEXES, config.timeout_s)
        _create_indexes(database, config.trailers_collection, _TRAILER_INDEXES, config.timeout_s)


def find_mismatch(
    database: Database[Document], config: MongoConfig, settings: FeatureSettings
) -> str | None:
    """Describe how the metadata differs from that of these features; None if it does not."""
    stored, expected = read_metadata(database, config), _make_metadata(settings)
    name = f"{config.database}.{config.collection}"
    if stored is None:
        return f"Nothing was published to the collection {name} yet."
    if all(stored.get(key) == expected[key] for key in ("fingerprint", "shape")):
        return None
    return (
        f"The collection {name} holds features {_describe(stored)}. "
        f"Received: {_describe(expected)}."
    )


def read_metadata(database: Database[Document], config: MongoConfig) -> Document | None:
    """Read what the collections hold; None if nothing was published."""
    from pymongo.errors import ProtocolError

    metadata = database[config.meta_collection].find_one({"_id": _METADATA_ID})
    if metadata is not None and not isinstance(metadata, dict):
        raise ProtocolError(f"a document is {metadata!r}")
    return metadata


def _make_metadata(settings: FeatureSettings) -> Document:
    return {
        "_id": _METADATA_ID,
        "shape": "frames",
        "fingerprint": settings.fingerprint,
        **asdict(settings),
    }


def _describe(metadata: Document) -> str:
    return (
        f"{metadata.get('fingerprint')} ({metadata.get('frames_per_s')} frames/s, backbone "
        f"{str(metadata.get('backbone_id'))[:12]}, {metadata.get('precision')}, shape "
        f"{metadata.get('shape')})"
    )


def _check_ownership(
    database: Database[Document], config: MongoConfig, settings: FeatureSettings
) -> None:
    """Refuse collections that hold documents but have no metadata: somebody else made them."""
    for name in (config.collection, config.trailers_collection):
        document = database[name].find_one({}, {"_id": 1})
        # Another publisher may just have created the metadata and begun.
        if document is not None and read_metadata(database, config) is None:
            raise ConfigError(
                f"The collection {config.database}.{name} holds documents, e.g. "
                f"{document.get('_id')!r}, and {config.meta_collection} does not say that this "
                f"package made them. {_advice(config, settings)}"
            )


def _advice(config: MongoConfig, settings: FeatureSettings) -> str:
    return (
        "A collection holds features of one fingerprint. Publish these to a new one: "
        f"--set mongo.collection={config.collection}_{settings.fingerprint[:8]}"
    )


def _create_indexes(
    database: Database[Document],
    collection: str,
    wanted: tuple[tuple[str, ...], ...],
    timeout_s: float,
) -> None:
    import pymongo
    from pymongo import ASCENDING, IndexModel

    # A server refuses a second index on the same keys under another name. A list without an end
    # is many calls, so its time is bounded here.
    with pymongo.timeout(timeout_s):
        existing = [index["key"] for index in database[collection].index_information().values()]
    keys = [[(field, ASCENDING) for field in fields] for fields in wanted]
    if missing := [IndexModel(each) for each in keys if each not in existing]:
        database[collection].create_indexes(missing)

"""What a collection holds: features of one fingerprint, in one shape. Another is refused.

The contract is a document in a collection of its own (`frames_meta` beside `frames`), so that
whoever reads the features, counts them or indexes them has nothing to skip.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from trailergenre.base.config import MongoConfig
from trailergenre.base.errors import ConfigError
from trailergenre.mongo.connection import Document, MongoAddress, open_database, read_address
from trailergenre.mongo.documents import Shape
from trailergenre.runs.fingerprint import FeatureSettings

if TYPE_CHECKING:
    from pymongo.database import Database

_CONTRACT_ID = "features"
_ORIGINAL = "_original"
_INDEXES = {
    "frames": (["link_id", "frame_index"], ["genres"]),
    "trailers": (["genres"], ["title"], ["movie_id"]),
}
"""Collection -> its indexes besides `_id`; the original's documents are found by `_id` alone."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where documents go, and what they look like.

    Attributes:
        address: of the server.
        config: database, collections, batch size.
        shape: of the documents.
    """

    address: MongoAddress
    config: MongoConfig
    shape: Shape = "frames"


def choose_target(config: MongoConfig, shape: Shape = "frames") -> Target:
    """Find where documents go; those of the original's shape to `<collection>_original`.

    Raises:
        ConfigError: as `address.read_address`.
    """
    address = read_address(config)
    if shape == "original":
        config = config.model_copy(update={"collection": f"{config.collection}{_ORIGINAL}"})
    return Target(address, config, shape)


def is_claimed(target: Target) -> bool:
    """Whether anything was ever published there.

    Raises:
        ConfigError, StorageError: as `open_database`.
    """
    with open_database(target.address, target.config) as database:
        return read_contract(database, target.config) is not None


def prepare_collections(target: Target, settings: FeatureSettings) -> None:
    """Claim the collections for one fingerprint and make their indexes; again changes nothing.

    Of two first publishers at the same moment one makes the contract, for its `_id` is unique, and
    the other finds it.

    Raises:
        ConfigError: they hold other features; says which, and another name for these. Or as
            `open_database`.
        StorageError: as `open_database`.
    """
    from pymongo.errors import DuplicateKeyError

    with open_database(target.address, target.config) as database:
        if read_contract(database, target.config) is None:
            _refuse_others(database, target, settings)
            # Another publisher may have made it just now, or this call whose answer was lost.
            with contextlib.suppress(DuplicateKeyError):
                database[target.config.meta_collection].insert_one(
                    _contract(target.shape, settings)
                )
        problem = find_breach(database, target, settings)
        if problem is not None:
            raise ConfigError(f"{problem} {_advice(target, settings)}")
        _make_indexes(database, target)


def find_breach(
    database: Database[Document], target: Target, settings: FeatureSettings
) -> str | None:
    """Say how the contract differs from what these features would make; None where it does not."""
    found = read_contract(database, target.config)
    collection = f"{target.config.database}.{target.config.collection}"
    if found is None:
        return f"Nothing was published to the collection {collection} yet."
    wanted = _contract(target.shape, settings)
    if all(found.get(name) == wanted[name] for name in ("fingerprint", "shape")):
        return None
    held = (
        f"{found.get('fingerprint')} ({found.get('frames_per_s')} frames/s, backbone "
        f"{str(found.get('backbone_id'))[:12]}, {found.get('precision')}, shape "
        f"{found.get('shape')})"
    )
    return (
        f"The collection {collection} holds features {held}. Received: {settings.fingerprint} "
        f"({settings.frames_per_s:g} frames/s, backbone {settings.backbone_id[:12]}, "
        f"{settings.precision}, shape {target.shape})."
    )


def read_contract(database: Database[Document], config: MongoConfig) -> Document | None:
    """What the collection was claimed for; None where it was not."""
    return database[config.meta_collection].find_one({"_id": _CONTRACT_ID})


def _contract(shape: Shape, settings: FeatureSettings) -> Document:
    return {
        "_id": _CONTRACT_ID,
        "shape": shape,
        "fingerprint": settings.fingerprint,
        **asdict(settings),
    }


def _refuse_others(database: Database[Document], target: Target, settings: FeatureSettings) -> None:
    """Never write among what somebody else keeps there."""
    config = target.config
    for name in (config.collection, config.trailers_collection):
        found = database[name].find_one({}, {"_id": 1})
        # Another publisher may have claimed it just now, and begun.
        if found is not None and read_contract(database, config) is None:
            raise ConfigError(
                f"The collection {config.database}.{name} holds documents, e.g. {found['_id']!r}, "
                f"and {config.meta_collection} does not say that this package made them. "
                f"{_advice(target, settings)}"
            )


def _advice(target: Target, settings: FeatureSettings) -> str:
    name = target.config.collection.removesuffix(_ORIGINAL if target.shape == "original" else "")
    return (
        "A collection holds features of one fingerprint. Publish these into a new one: "
        f"--set mongo.collection={name}_{settings.fingerprint[:8]}"
    )


def _make_indexes(database: Database[Document], target: Target) -> None:
    from pymongo import ASCENDING, IndexModel

    if target.shape == "original":
        return
    config = target.config
    names = {"frames": config.collection, "trailers": config.trailers_collection}
    for which, name in names.items():
        # The server refuses a second one of the same keys that has another name.
        there = [index["key"] for index in database[name].index_information().values()]
        wanted = [[(field, ASCENDING) for field in fields] for fields in _INDEXES[which]]
        missing = [IndexModel(keys) for keys in wanted if keys not in there]
        if missing:
            database[name].create_indexes(missing)

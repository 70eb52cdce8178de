"""What stands in a collection against what should: what is missing, changed, or too many.

Documents are compared by their BSON bytes. Changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from trailergenre.mongo.connection import Document

if TYPE_CHECKING:
    from pymongo.collection import Collection
    from pymongo.database import Database


class Difference(StrEnum):
    """What is wrong with a document."""

    MISSING = "missing"
    CHANGED = "changed"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True)
class Found:
    """One document that is not as it should be."""

    difference: Difference
    document_id: str


def compare_documents(
    database: Database[Document], name: str, which: Document, expected: Iterable[Document]
) -> Iterator[Found]:
    """Hold what a filter finds against the documents that it should find.

    Args:
        database: where.
        name: of the collection.
        which: the filter.
        expected: with distinct `_id`, all strings; 32 bytes of each are kept.

    Yields:
        Changed and extra documents as the server gives them, then the missing ones.
    """
    import bson
    from bson.codec_options import CodecOptions
    from bson.raw_bson import RawBSONDocument

    digests = {str(document["_id"]): _digest(bson.encode(document)) for document in expected}
    options = CodecOptions(RawBSONDocument)
    raw = cast("Collection[RawBSONDocument]", database.get_collection(name, codec_options=options))
    for document in raw.find(which):
        document_id = document["_id"]
        is_ours = isinstance(document_id, str) and document_id in digests
        if not is_ours:
            yield Found(Difference.EXTRA, str(document_id))
        elif digests.pop(document_id) != _digest(bytes(document.raw)):
            yield Found(Difference.CHANGED, document_id)
    for document_id in digests:
        yield Found(Difference.MISSING, document_id)


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()

"""Documents to one collection, through a server that fails now and then.

A document replaces whatever stands under its `_id`, so doing it twice, side by side, or once more
after a lost answer makes no difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import tenacity

from trailergenre.base.errors import one_line
from trailergenre.base.fault_injection import Point, reach
from trailergenre.mongo.connection import Document

if TYPE_CHECKING:
    from bson.raw_bson import RawBSONDocument
    from pymongo.collection import Collection
    from pymongo.errors import BulkWriteError

P = ParamSpec("P")
T = TypeVar("T")

_ATTEMPTS = 4
"""Each looks for the server for `mongo.timeout_s`, so the breaks between them may be short."""
_FIRST_BREAK_S = 0.5
_OWN_FAULTS = {
    121,  # a validator of the collection
    11000,  # a unique index of somebody's
}
"""Codes by which a server refuses one document for what it is; others are about the server."""
_MAX_BYTES = 16 * 1024 * 1024
"""Of a document: MongoDB's own limit."""
_REASONS = 20
"""Refused documents that are named; the others are counted."""


@dataclass(frozen=True, slots=True)
class PublishCounts:
    """What was done to one collection. Of writes whose answer was lost, the second one counts.

    Attributes:
        documents: written, replaced and new ones together.
        matched: stood there before.
        modified: of those, the ones that were another document.
        upserted: are new.
        deleted: were none of their link's frames, or of links without features.
        refused: for what they are, e.g. too large.
        reasons: of the first of these, with their `_id`.
    """

    documents: int = 0
    matched: int = 0
    modified: int = 0
    upserted: int = 0
    deleted: int = 0
    refused: int = 0
    reasons: tuple[str, ...] = ()

    def __add__(self, other: PublishCounts) -> PublishCounts:
        """Add up batches and tasks."""
        names = (each.name for each in fields(self) if each.name != "reasons")
        total = {name: getattr(self, name) + getattr(other, name) for name in names}
        return PublishCounts(**total, reasons=(*self.reasons, *other.reasons)[:_REASONS])


def write_documents(
    collection: Collection[Document], documents: Iterable[Document], *, batch_size: int
) -> PublishCounts:
    """Replace or insert documents by `_id`, in unordered bulk writes.

    Unordered, so that one refused document does not hold back the rest of its batch. What is
    refused for what it is (too large, against a rule of the collection) is counted and told.

    Raises:
        PyMongoError: the server failed; `open_database` translates it.
    """
    from pymongo.errors import BulkWriteError

    total = PublishCounts()
    remaining = iter(documents)
    while batch := list(itertools.islice(remaining, batch_size)):
        encoded, refused = _encode(batch)
        total += refused
        try:
            total += _replace(collection, encoded)
        except BulkWriteError as error:
            faults = _own_faults(error)
            total += _count(error.details, len(encoded) - len(faults))
            # Two who insert one `_id` at the same moment are no fault: the second try replaces.
            total += _replace_one_by_one(collection, [encoded[each["index"]] for each in faults])
        reach(Point.MID_PUBLISH)
    return total


_Encoded = tuple[str, "RawBSONDocument"]
"""`_id` and bytes of a document."""


def _encode(documents: Iterable[Document]) -> tuple[list[_Encoded], PublishCounts]:
    """Encode here what the driver would: a server may drop the line at one that is too large."""
    import bson
    from bson.raw_bson import RawBSONDocument

    encoded, refused = [], PublishCounts()
    for document in documents:
        document_id, content = str(document["_id"]), bson.encode(document)
        if len(content) > _MAX_BYTES:
            refused += _refuse(document_id, f"too large: {len(content)} bytes of {_MAX_BYTES}")
        else:
            encoded.append((document_id, RawBSONDocument(content)))
    return encoded, refused


def _replace(collection: Collection[Document], documents: Sequence[_Encoded]) -> PublishCounts:
    from pymongo import ReplaceOne

    if not documents:
        return PublishCounts()
    requests: list[ReplaceOne[Document]] = [
        ReplaceOne({"_id": document_id}, document, upsert=True)
        for document_id, document in documents
    ]
    result = _again(collection.bulk_write, requests, ordered=False)
    return _count(result.bulk_api_result, len(documents))


def _replace_one_by_one(
    collection: Collection[Document], documents: Iterable[_Encoded]
) -> PublishCounts:
    from pymongo.errors import BulkWriteError

    total = PublishCounts()
    for document in documents:
        try:
            total += _replace(collection, [document])
        except BulkWriteError as error:
            (fault,) = _own_faults(error)
            total += _refuse(document[0], str(fault["errmsg"]))
    return total


def _count(result: Mapping[str, int], documents: int) -> PublishCounts:
    return PublishCounts(
        documents=documents,
        matched=result["nMatched"],
        modified=result["nModified"],
        upserted=result["nUpserted"],
    )


def _refuse(document_id: str, reason: str) -> PublishCounts:
    return PublishCounts(refused=1, reasons=(one_line(f"{document_id}: {reason}"),))


def _own_faults(error: BulkWriteError) -> list[dict[str, Any]]:
    """What was refused for what it is; where anything else went wrong, the error goes on."""
    failures: list[dict[str, Any]] = error.details["writeErrors"]
    is_about_documents = all(failure["code"] in _OWN_FAULTS for failure in failures)
    if not failures or not is_about_documents or error.details["writeConcernErrors"]:
        raise error
    return failures


def delete_documents(collection: Collection[Document], which: Document) -> int:
    """Delete all that a filter finds; gives their number."""
    return _again(collection.delete_many, which).deleted_count


def count_documents(collection: Collection[Document], which: Document) -> int:
    """Count all that a filter finds."""
    return _again(collection.count_documents, which)


def _again(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call; once more where the server was away or did not answer."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_attempt(_ATTEMPTS),
        wait=tenacity.wait_random_exponential(_FIRST_BREAK_S),
        reraise=True,
    )
    return retrying(function, *args, **kwargs)


def _may_pass(error: BaseException) -> bool:
    from pymongo.errors import (
        BulkWriteError,
        ConnectionFailure,
        PyMongoError,
        WriteConcernError,
    )

    if isinstance(error, BulkWriteError):
        return bool(error.details["writeConcernErrors"])  # written, but not by a majority yet
    if isinstance(error, ConnectionFailure | WriteConcernError):
        return True
    return isinstance(error, PyMongoError) and error.has_error_label("RetryableWriteError")

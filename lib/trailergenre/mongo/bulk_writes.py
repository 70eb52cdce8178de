"""Writes of documents to one collection, with retries while the server fails now and then.

A write replaces whatever has its `_id`, so repeating it after a lost answer, or running two
publishers side by side, makes no difference.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import tenacity

from trailergenre.base.errors import one_line
from trailergenre.base.fault_injection import Point, reach
from trailergenre.mongo.connection import Document

if TYPE_CHECKING:
    from bson.raw_bson import RawBSONDocument
    from pymongo.collection import Collection
    from pymongo.errors import BulkWriteError

_ATTEMPTS = 4
"""Each may take `mongo.timeout_s`, also to look for the server, so the back-off can be short."""
_BACKOFF = tenacity.wait_random_exponential(0.5)
_DOCUMENT_ERRORS = {
    121,  # a validator of the collection
    11000,  # a unique index that somebody added
}
"""Codes by which a server refuses a single document; all others concern the server."""
_MAX_BYTES = 16 * 1024 * 1024
"""MongoDB's own limit for a document."""
_MAX_REASONS = 20


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """What happened to one collection. If a write is repeated, only the last attempt counts."""

    documents: int = 0  # written, replaced and new ones together
    matched: int = 0  # existed before
    modified: int = 0  # of those, the ones that changed
    upserted: int = 0  # are new
    deleted: int = 0  # stale frames, and documents of links without features
    refused: int = 0  # by the server, for what they are, e.g. too large
    reasons: tuple[str, ...] = ()  # of the first refusals, with the `_id`

    def __add__(self, other: WriteCounts) -> WriteCounts:
        """Add up batches and tasks."""
        names = (each.name for each in fields(self) if each.name != "reasons")
        total = {name: getattr(self, name) + getattr(other, name) for name in names}
        return WriteCounts(**total, reasons=(*self.reasons, *other.reasons)[:_MAX_REASONS])


def write_documents(
    collection: Collection[Document], documents: Iterable[Document], *, batch_size: int
) -> WriteCounts:
    """Replace or insert documents by `_id`, in unordered bulk writes.

    Unordered, so that one refused document does not hold back the rest of its batch. Documents that
    the server refuses for what they are (too large, against a rule of the collection) are counted.

    Raises:
        PyMongoError: the server failed; `open_database` translates it.
    """
    from pymongo.errors import BulkWriteError

    total = WriteCounts()
    remaining = iter(documents)
    while batch := list(itertools.islice(remaining, batch_size)):
        encoded, refused = _encode(batch)
        total += refused
        try:
            total += _replace(collection, encoded)
        except BulkWriteError as error:
            failures = _document_errors(error)
            total += _count(error.details, len(encoded) - len(failures))
            # If two publishers inserted one `_id` at the same moment, the retry replaces it.
            for failure in failures:
                document = encoded[failure["index"]]
                try:
                    total += _replace(collection, [document])
                except BulkWriteError as again:
                    (refused_again, *_) = _document_errors(again)
                    total += _refusal(document[0], str(refused_again.get("errmsg")))
        reach(Point.MID_PUBLISH)
    return total


_Encoded = tuple[str, "RawBSONDocument"]
"""`_id` and bytes of a document."""


def _encode(documents: Iterable[Document]) -> tuple[list[_Encoded], WriteCounts]:
    """Encode before the driver does: a server may drop the connection at a document too large."""
    import bson
    from bson.raw_bson import RawBSONDocument

    encoded, refused = [], WriteCounts()
    for document in documents:
        document_id, content = str(document["_id"]), bson.encode(document)
        if len(content) > _MAX_BYTES:
            refused += _refusal(document_id, f"too large: {len(content)} bytes of {_MAX_BYTES}")
        else:
            encoded.append((document_id, RawBSONDocument(content)))
    return encoded, refused


def _replace(collection: Collection[Document], documents: Sequence[_Encoded]) -> WriteCounts:
    from pymongo import ReplaceOne

    if not documents:
        return WriteCounts()
    requests: list[ReplaceOne[Document]] = [
        ReplaceOne({"_id": document_id}, document, upsert=True)
        for document_id, document in documents
    ]
    result = _retry(collection.bulk_write)(requests, ordered=False)
    return _count(result.bulk_api_result, len(documents))


def _count(result: Mapping[str, int], documents: int) -> WriteCounts:
    """Take the server's counts; each write replaces one document or adds one."""
    from pymongo.errors import ProtocolError

    matched, modified, upserted = result["nMatched"], result["nModified"], result["nUpserted"]
    if matched + upserted != documents or not 0 <= modified <= matched:
        raise ProtocolError(
            f"{documents} documents were written, {matched} matched, {modified} modified, "
            f"{upserted} upserted"
        )
    return WriteCounts(documents=documents, matched=matched, modified=modified, upserted=upserted)


def _refusal(document_id: str, reason: str) -> WriteCounts:
    return WriteCounts(refused=1, reasons=(one_line(f"{document_id}: {reason}"),))


def _document_errors(error: BulkWriteError) -> list[dict[str, Any]]:
    """List the refused documents; raises the error if anything else went wrong."""
    failures: list[dict[str, Any]] = error.details["writeErrors"]
    is_about_documents = all(failure.get("code") in _DOCUMENT_ERRORS for failure in failures)
    if not failures or not is_about_documents or error.details["writeConcernErrors"]:
        raise error
    return failures


def delete_documents(collection: Collection[Document], query: Document) -> int:
    """Delete all matching documents and return their number."""
    return _check_count(_retry(collection.delete_many)(query).deleted_count)


def count_documents(collection: Collection[Document], query: Document) -> int:
    """Count all matching documents."""
    return _check_count(_retry(collection.count_documents)(query))


def _check_count(count: object) -> int:
    from pymongo.errors import ProtocolError

    if not isinstance(count, int) or count < 0:
        raise ProtocolError(f"a number of documents is {count!r}")
    return count


def _is_transient(error: BaseException) -> bool:
    from pymongo.errors import (
        BulkWriteError,
        ConnectionFailure,
        NetworkTimeout,
        PyMongoError,
        ServerSelectionTimeoutError,
        WriteConcernError,
    )

    if isinstance(error, NetworkTimeout | ServerSelectionTimeoutError):
        return False  # it had all of its time
    if isinstance(error, BulkWriteError):
        return bool(error.details["writeConcernErrors"])  # written, but not yet by a majority
    if isinstance(error, ConnectionFailure | WriteConcernError):
        return True
    return isinstance(error, PyMongoError) and error.has_error_label("RetryableWriteError")


_retry = tenacity.retry(
    retry=tenacity.retry_if_exception(_is_transient),
    stop=tenacity.stop_after_attempt(_ATTEMPTS),
    wait=_BACKOFF,
    reraise=True,
)
"""Makes a call that is repeated while the server fails in a way that passes."""

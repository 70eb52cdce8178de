"""Invariant I3 in MongoDB: the collections equal the features table, document by document.

Changes nothing; `trailergenre publish` repairs what is reported.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from trailergenre.base.errors import ConfigError, SchemaError, StorageError
from trailergenre.base.progress import OnStep
from trailergenre.base.storage import Store
from trailergenre.mongo.collections import find_mismatch
from trailergenre.mongo.connection import Destination, Document, open_database
from trailergenre.mongo.documents import frame_documents, frames_query, trailer_document
from trailergenre.mongo.published_links import PublishedLink, plan_publishing, read_links
from trailergenre.runs.verify.verification import Check

if TYPE_CHECKING:
    from bson.raw_bson import RawBSONDocument
    from pymongo.collection import Collection
    from pymongo.database import Database

_PUBLISH_AGAIN = "Run `trailergenre publish` again: it makes the collection equal to the run."
_REPAIR_RUN = "The run itself cannot be read: follow the advice above, then publish it again."
_LINKS_PER_QUERY = 1000
_MAX_EXTRA = 1_000_000
"""Documents of those links that the run has not; a server that sends more sends them forever."""


def check_published(
    store: Store, fingerprint: str, destination: Destination, on_step: OnStep
) -> list[Check]:
    """Compare the collections with the run; progress is in frames.

    Raises:
        ConfigError, StorageError: as `open_database`.
    """
    checks = [
        Check("I3", "MongoDB holds every frame as the features table", _PUBLISH_AGAIN),
        Check("I3", "MongoDB holds one document a link with features", _PUBLISH_AGAIN),
    ]
    try:
        plan = plan_publishing(store, fingerprint)
    except (ConfigError, SchemaError, StorageError) as error:
        checks[0].add_offender(str(error))
        checks[0].advice = _REPAIR_RUN
        return checks
    config = destination.config
    with open_database(destination) as database:
        mismatch = find_mismatch(database, config, plan.settings)
        if mismatch is not None:
            checks[0].add_offender(mismatch)
            return checks
        frames = _Comparison(checks[0], database, config.collection, config.batch_size)
        trailers = _Comparison(checks[1], database, config.trailers_collection, config.batch_size)

        def compare(link_ids: list[str], links: list[PublishedLink]) -> None:
            """Compare all documents of `link_ids` with those of `links`, which have features."""
            documents = (frame_documents(link, fingerprint) for link in links)
            frames.compare(frames_query(link_ids), itertools.chain.from_iterable(documents))
            documents_of_links = (trailer_document(link, fingerprint) for link in links)
            trailers.compare({"_id": {"$in": link_ids}}, documents_of_links)

        done, is_readable = 0, True
        for rows in plan.links_by_file():
            try:
                links = read_links(store, rows)
            except (SchemaError, StorageError) as error:
                checks[0].add_offender(str(error))
                is_readable = False
                continue
            compare(rows["link_id"].to_pylist(), links)
            done += sum(rows["frames"].to_pylist())
            on_step(done, plan.n_frames)
        for start in range(0, len(plan.withdrawn), _LINKS_PER_QUERY):
            compare(plan.withdrawn[start : start + _LINKS_PER_QUERY], [])
        # With unreadable features nobody can say whose the remaining documents are.
        if is_readable:
            frames.note_others()
            trailers.note_others()
    return checks


@dataclass
class _Comparison:
    check: Check
    database: Database[Document]
    name: str
    """Of the collection."""
    batch_size: int
    """Documents a call brings."""
    n_compared: int = 0

    def compare(self, query: Document, expected: Iterable[Document]) -> None:
        """Add missing, changed and extra documents to the check; keeps 32 bytes of each."""
        import bson
        from bson.codec_options import CodecOptions
        from bson.raw_bson import RawBSONDocument
        from pymongo.errors import ProtocolError

        digests = {str(document["_id"]): _digest(bson.encode(document)) for document in expected}
        self.check.checked += len(digests)
        options = CodecOptions(RawBSONDocument)
        stored = self.database.get_collection(self.name, codec_options=options)
        n_most = len(digests) + _MAX_EXTRA
        found = cast("Collection[RawBSONDocument]", stored).find(query, batch_size=self.batch_size)
        for number, document in enumerate(found, start=1):
            if number > n_most or not isinstance(document, RawBSONDocument):
                raise ProtocolError(f"document {number} of at most {n_most} is {document!r}")
            self.n_compared += 1
            document_id = document.get("_id")
            if not isinstance(document_id, str) or document_id not in digests:
                self.check.add_offender(f"extra: {document_id}")
            elif digests.pop(document_id) != _digest(bytes(document.raw)):
                self.check.add_offender(f"changed: {document_id}")
        for document_id in digests:
            self.check.add_offender(f"missing: {document_id}")

    def note_others(self) -> None:
        n_others = self.database[self.name].estimated_document_count() - self.n_compared
        if n_others > 0:
            self.check.notes.append(
                f"{n_others} documents are of links that this run does not publish: another "
                "run's, published to the same collection"
            )


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()

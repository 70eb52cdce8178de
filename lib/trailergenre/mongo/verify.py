"""I3 in MongoDB: the collections are the features table, document by document.

Reads features file by file and asks for their links' documents; what is found,
`jobs/publish_features.py` mends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailergenre.base.errors import ConfigError, SchemaError, StorageError
from trailergenre.base.progress import OnStep
from trailergenre.base.storage import Store
from trailergenre.mongo import (
    Document,
    Publishable,
    PublishedLink,
    Target,
    find_breach,
    open_database,
    read_links,
    read_publishable,
)
from trailergenre.mongo.compare import Difference, Found, compare_documents
from trailergenre.mongo.documents import frame_documents, of_links, trailer_document
from trailergenre.runs.verify.verification import Check

if TYPE_CHECKING:
    from pymongo.database import Database

_PUBLISH_AGAIN = "Run jobs/publish_features.py again: it brings the collection to what the run is."
_MEND_FIRST = "The run itself cannot be read: do what is said there, then publish it again."
_LINKS_A_QUERY = 1000
_ADDS = {Difference.MISSING: -1, Difference.CHANGED: 0, Difference.EXTRA: 1}


def _check_of(what: str) -> Check:
    return Check("I3", f"MongoDB holds {what}", _PUBLISH_AGAIN)


def check_published(store: Store, fingerprint: str, target: Target, on_step: OnStep) -> list[Check]:
    """Compare the collections with the run.

    Args:
        store: the run.
        fingerprint: of the features.
        target: the collections.
        on_step: called with (frames read, frames in all).

    Raises:
        ConfigError, StorageError: the server; as `documents.open_database`.
    """
    comparison = _Comparison(target)
    comparison.read(store, fingerprint, on_step)
    return [comparison.frames, comparison.trailers]


@dataclass
class _Comparison:
    target: Target
    frames: Check = field(default_factory=lambda: _check_of("every frame as the features table"))
    trailers: Check = field(default_factory=lambda: _check_of("one document a link with features"))
    _n_frames: int = 0
    _n_trailers: int = 0
    """Documents found of links that the run publishes or withdraws."""
    _is_whole: bool = True
    """Whether all features could be read, so that whose a document is can be told."""

    def read(self, store: Store, fingerprint: str, on_step: OnStep) -> None:
        try:
            source = read_publishable(store, fingerprint)
        except (ConfigError, SchemaError, StorageError) as error:
            self.frames.add_offender(str(error))
            self.frames.advice = _MEND_FIRST
            return
        with open_database(self.target.address, self.target.config) as database:
            breach = find_breach(database, self.target, source.settings)
            if breach is not None:
                self.frames.add_offender(breach)
                return
            self._compare(database, source, on_step)
            if self._is_whole:
                self._count_others(database)

    def _compare(self, database: Database[Document], source: Publishable, on_step: OnStep) -> None:
        done = 0
        for part in source.parts():
            try:
                links = read_links(source.store, part)
            except (SchemaError, StorageError) as error:
                self.frames.add_offender(str(error))
                self._is_whole = False
                continue
            self._compare_links(database, part["link_id"].to_pylist(), links, source)
            done += sum(part["frames"].to_pylist())
            on_step(done, source.n_frames)
        for start in range(0, len(source.withdrawn), _LINKS_A_QUERY):
            ids = source.withdrawn[start : start + _LINKS_A_QUERY]
            self._compare_links(database, ids, [], source)

    def _compare_links(
        self,
        database: Database[Document],
        link_ids: list[str],
        links: list[PublishedLink],
        source: Publishable,
    ) -> None:
        """Hold all documents of `link_ids` against those of `links`, the ones with features."""
        name, fingerprint = self.target.config.collection, source.fingerprint
        frames = (document for link in links for document in frame_documents(link, fingerprint))
        found = compare_documents(database, name, of_links("frames", link_ids), frames)
        n_frames = sum(len(link.frames.features) for link in links)
        self._n_frames += _take_down(self.frames, found, n_frames)
        name = self.target.config.trailers_collection
        trailers = (trailer_document(link, fingerprint) for link in links)
        found = compare_documents(database, name, {"_id": {"$in": link_ids}}, trailers)
        self._n_trailers += _take_down(self.trailers, found, len(links))

    def _count_others(self, database: Database[Document]) -> None:
        config = self.target.config
        for check, name, n_mine in (
            (self.frames, config.collection, self._n_frames),
            (self.trailers, config.trailers_collection, self._n_trailers),
        ):
            n_others = database[name].estimated_document_count() - n_mine
            if n_others > 0:
                check.notes.append(
                    f"{n_others} documents are of links that this run does not publish: another "
                    "run's, published to the same collection"
                )


def _take_down(check: Check, differences: Iterable[Found], n_expected: int) -> int:
    """Give a check what a comparison found; returns how many documents are there."""
    check.checked += n_expected
    n_there = n_expected
    for found in differences:
        check.add_offender(f"{found.difference}: {found.document_id}")
        n_there += _ADDS[found.difference]
    return n_there

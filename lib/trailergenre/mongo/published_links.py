"""What of a run is published: its links with features, and what is told beside them.

The tables of the run are the truth; MongoDB holds a copy. Knows nothing of MongoDB.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.records import LinkFrames
from trailergenre.base.storage import Store
from trailergenre.models.pooling import frames_of_table
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import FeatureSettings, list_settings

_OF_OUTCOMES = ("link_id", "outcome", "frames", "duration_s", "finished_at")


@dataclass(frozen=True, slots=True)
class Publishable:
    """What of a run is published.

    Attributes:
        store: the run.
        settings: what its features were made with.
        links: one row a link of the list that has features: how it names them, and what is told of
            it.
        withdrawn: links that this run has finished, but does not publish: they failed, or left the
            list. No document may tell otherwise. Links that are still open are not among them:
            another run may have published them to the same collection.
    """

    store: Store
    settings: FeatureSettings
    links: pa.Table
    withdrawn: list[str]

    @property
    def fingerprint(self) -> str:
        """Of the features."""
        return self.settings.fingerprint

    @property
    def n_frames(self) -> int:
        """Rows of features that the run's outcomes promise."""
        return int(pc.sum(self.links["frames"]).as_py() or 0)

    def parts(self) -> list[pa.Table]:
        """The rows of `links`, a table for each features file."""
        ordered = self.links.sort_by([("features_file", "ascending"), ("link_id", "ascending")])
        if not len(ordered):
            return []
        files = ordered["features_file"].to_numpy()
        starts = np.flatnonzero(np.r_[True, files[1:] != files[:-1]])
        lengths = np.diff(starts, append=len(ordered))
        places = zip(starts.tolist(), lengths.tolist(), strict=True)
        return [ordered.slice(start, length) for start, length in places]


@dataclass(frozen=True, slots=True)
class PublishedLink:
    """One link as it is published.

    Attributes:
        frames: its features.
        url: the canonical link.
        movie_id: IMDb's where known.
        title: empty where unknown.
        genres: empty where there is no label.
        duration_s: of the video; None where unknown.
        commit: SHA-256 of the content that the features were committed with.
        finished_at: when they were made.
    """

    frames: LinkFrames
    url: str
    movie_id: str | None
    title: str
    genres: list[str]
    duration_s: float | None
    commit: str
    finished_at: datetime


def read_publishable(store: Store, fingerprint: str) -> Publishable:
    """Find the links of the list that have features, and those to be withdrawn.

    Args:
        store: the run.
        fingerprint: one of `fingerprint.list_settings`.

    Raises:
        ConfigError: the run has no list of links, or no labels.
    """
    columns = tuple(
        dict.fromkeys((*_OF_OUTCOMES, *tables.PRECEDENCE_COLUMNS, *tables.REFERENCE_COLUMNS))
    )
    outcomes = tables.read_outcomes(store, fingerprint, columns=columns)
    rows = tables.read_table(store, "links")
    ready = rows.filter(pc.equal(rows["row_outcome"], RowOutcome.READY.value))
    is_ok = pc.equal(outcomes["outcome"], Outcome.OK.value)
    links = outcomes.filter(pc.and_(is_ok, pc.is_valid(outcomes["features_file"])))
    links = tables.filter_links(links, ready["link_id"].drop_null().to_pylist())
    labels = tables.read_table(store, "labels")
    for told, names in ((ready, ("url", "movie_id", "title")), (labels, ("genres",))):
        place = pc.index_in(links["link_id"], value_set=told["link_id"].combine_chunks())
        for name in names:
            links = links.append_column(name, told[name].take(place))
    finished = outcomes.filter(pc.not_equal(outcomes["outcome"], Outcome.DEFERRED.value))
    withdrawn = sorted(set(finished["link_id"].to_pylist()) - set(links["link_id"].to_pylist()))
    return Publishable(store, list_settings(store)[fingerprint], links, withdrawn)


def read_links(store: Store, part: pa.Table) -> list[PublishedLink]:
    """Read the features of one of `Publishable.parts`.

    Returns:
        One a link, sorted by `link_id`; none for a link that the file does not hold.

    Raises:
        StorageError: the features file is missing, cut or changed.
    """
    rows = {row["link_id"]: row for row in part.to_pylist()}
    (features,) = tables.iter_features(store, part)
    return [
        PublishedLink(
            frames=frames,
            url=row["url"],
            movie_id=row["movie_id"],
            title=row["title"],
            genres=row["genres"] or [],
            duration_s=row["duration_s"],
            commit=row["commit"],
            finished_at=row["finished_at"],
        )
        for frames in frames_of_table(features)
        for row in (rows[frames.link_id],)
    ]

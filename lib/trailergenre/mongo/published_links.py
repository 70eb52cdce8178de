"""What a run publishes: its links with features, and what its tables say about them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.records import LinkFrames
from trailergenre.base.storage import Store
from trailergenre.models.pooling import frames_of_table
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.runs.fingerprint import FeatureSettings, list_settings

_OUTCOME_COLUMNS = ("link_id", "outcome", "frames", "duration_s", "finished_at")


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What a run publishes and withdraws.

    `links` has one row per link of the list with features: the columns that locate them, url,
    movie_id, title and genres. `withdrawn` are links that this run finished but does not publish,
    because they failed or left the list. Unfinished links are not among them: another run may have
    published them to the same collection.
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
        """Rows of features according to the run's outcomes."""
        return int(pc.sum(self.links["frames"]).as_py() or 0)

    def links_by_file(self) -> list[pa.Table]:
        """Split `links` into one table per features file."""
        return [rows for _, rows in features_table.by_features_file(self.links)]


@dataclass(frozen=True, slots=True)
class PublishedLink:
    """One link as it is published."""

    frames: LinkFrames
    url: str
    movie_id: str | None
    title: str
    genres: list[str]
    duration_s: float | None
    commit: str
    finished_at: datetime


def plan_publishing(store: Store, fingerprint: str) -> PublishPlan:
    """Find the links of the list that have features, and those to withdraw.

    Raises:
        ConfigError: the run has no list of links, or no labels.
    """
    columns = (
        *_OUTCOME_COLUMNS,
        *outcomes_table.PRECEDENCE_COLUMNS,
        *features_table.REFERENCE_COLUMNS,
    )
    outcomes = outcomes_table.read_outcomes(
        store, fingerprint, columns=tuple(dict.fromkeys(columns))
    )
    rows = tables.read_table(store, "links", ("link_id", "row_outcome", "url", "movie_id", "title"))
    ready = rows.filter(pc.equal(rows["row_outcome"], RowOutcome.READY.value))
    is_ok = pc.equal(outcomes["outcome"], Outcome.OK.value)
    is_published = pc.and_(pc.is_in(outcomes["link_id"], ready["link_id"].combine_chunks()), is_ok)
    links = outcomes.filter(pc.and_(is_published, pc.is_valid(outcomes["features_file"])))
    labels = tables.read_table(store, "labels", ("link_id", "genres"))
    for table, names in ((ready, ("url", "movie_id", "title")), (labels, ("genres",))):
        row = pc.index_in(links["link_id"], value_set=table["link_id"].combine_chunks())
        for name in names:
            links = links.append_column(name, table[name].take(row))
    is_finished = pc.not_equal(outcomes["outcome"], Outcome.DEFERRED.value)
    is_missing = pc.invert(pc.is_in(outcomes["link_id"], links["link_id"].combine_chunks()))
    withdrawn = outcomes["link_id"].filter(pc.and_(is_finished, is_missing)).to_pylist()
    return PublishPlan(store, list_settings(store)[fingerprint], links, sorted(withdrawn))


def read_links(store: Store, rows: pa.Table) -> list[PublishedLink]:
    """Read the features of one table of `PublishPlan.links_by_file`, sorted by `link_id`.

    Raises:
        StorageError: the features file is missing, truncated or changed.
    """
    row_of = {row["link_id"]: row for row in rows.to_pylist()}
    (features,) = features_table.iter_features(store, rows)
    names = ("url", "movie_id", "title", "duration_s", "commit", "finished_at")
    return [
        PublishedLink(
            frames=frames, genres=row["genres"] or [], **{name: row[name] for name in names}
        )
        for frames in frames_of_table(features)
        for row in (row_of[frames.link_id],)
    ]

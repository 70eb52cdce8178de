"""A list and its labels, or external features, to the first tables of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.config import Config, LinksConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.progress import OnStep
from trailergenre.base.storage import Store
from trailergenre.links.canonical import without_user
from trailergenre.links.columns import BY_USUAL_NAMES, NamedColumns, listed
from trailergenre.links.external.features import SCHEME, external_settings, import_features
from trailergenre.links.external.forms import open_external
from trailergenre.links.external.labels import read_label_table
from trailergenre.links.external.split import read_split
from trailergenre.links.genres import find_lookalikes
from trailergenre.links.input_lists import InputList, is_video_directory, read_input
from trailergenre.links.labelled_links import Part, check_parts, labelled_links
from trailergenre.links.metadata import (
    Metadata,
    check_alignment,
    read_labels,
    read_metadata,
    replace_genres,
)
from trailergenre.links.row_outcomes import PreparedRow, prepare_external, prepare_rows
from trailergenre.links.titles import title_key
from trailergenre.links.youtube import find_video_id, is_youtube
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs.lease import hold_lease

_MAX_SHOWN = 3
_MAX_CHARS = 60
"""Of a title or a cell in a message."""
_MANY_GENRES = 100


@dataclass(frozen=True, slots=True)
class Sources:
    """The files that a run is prepared from.

    Attributes:
        links: list of links, or directory of videos.
        external: form and path of features that others published, in place of links.
        metadata: movies with genres and IMDb ids.
        labels: genres that replace those of the metadata.
        splits: parts by YouTube id; of external features, the column of their labels.
        split_movies: IMDb ids by YouTube id, so that the split holds for movies.
        is_unlabelled: whether the links are only to be scored and need no genres; None if the list
            has no genres.
        named: columns of the list that the user named.
    """

    links: Path | None = None
    external: tuple[str, Path] | None = None
    metadata: Path | None = None
    labels: Path | None = None
    splits: Path | str | None = None
    split_movies: Path | None = None
    is_unlabelled: bool | None = False
    named: NamedColumns = BY_USUAL_NAMES

    def check(self) -> None:
        """Raise ConfigError for options that contradict each other."""
        of_links = self.metadata or self.labels or self.split_movies or self.is_unlabelled
        of_links = of_links or self.named != BY_USUAL_NAMES
        if (self.links is None) == (self.external is None):
            raise ConfigError("Give --links or --external, one of them.")
        if self.external and of_links:
            raise ConfigError(
                "--external can be combined with --splits only: the data have their own labels and "
                "parts."
            )
        if self.is_unlabelled and self.named.genres:
            raise ConfigError("--unlabelled ignores genres. Give it, or --genres-column, not both.")
        if self.is_unlabelled and (self.metadata or self.splits):
            raise ConfigError(
                "--unlabelled ignores genres. Give it, or --metadata and --splits, not both."
            )
        if self.labels and not self.metadata:
            raise ConfigError("--labels needs --metadata.")
        if self.split_movies and not self.splits:
            raise ConfigError("--split-movies needs --splits.")


class Preparation(NamedTuple):
    """What `prepare_dataset` did.

    Attributes:
        source: name of the list.
        counts: input rows by outcome.
        movies_by_genre: movies of ready links; most frequent first.
        summary: figures for JSON.
        notes: for the user; one each.
    """

    source: str
    counts: Counter[RowOutcome]
    movies_by_genre: dict[str, int]
    summary: dict[str, object]
    notes: list[str]


def prepare_dataset(
    store: Store, sources: Sources, config: Config, on_step: OnStep = lambda *_: None
) -> Preparation:
    """Write the tables `links` and `labels`, and for external features also their features.

    `on_step` is called with the external features that are read.

    Raises:
        ConfigError: a file cannot be used.
        AlignmentError: the labels do not agree with the metadata.
        LeakError: the split has one movie in two parts.
        LockedError: another process writes to the run.
    """
    if sources.external:
        return _prepare_external(store, *sources.external, split=sources.splits, on_step=on_step)
    notes: list[str] = []
    figures: dict[str, object] = {}
    source = _read_links(sources, config.links)
    if sources.is_unlabelled is None:
        sources = replace(sources, is_unlabelled=not source.has_genres)
    _check_source(source, sources)
    notes += [f"note: {note}" for note in source.notes]
    metadata = _read_metadata(sources, notes)
    rows = prepare_rows(
        source,
        metadata,
        links=config.links,
        network=config.network,
        needs_genres=not sources.is_unlabelled,
    )
    if sources.splits:
        movies = sources.split_movies
        splits = Path(sources.splits).expanduser()
        parts = read_split(splits, movies.expanduser() if movies else None)
        figures["links_with_part"] = assign_parts(rows, parts)
    if not sources.is_unlabelled:
        notes += [f"note: {note}" for note in _find_oddities(rows, metadata)]
    notes += _first_refused(rows, store)
    _write_tables(store, rows)
    return _prepared(source.name, rows, figures, notes)


def _write_tables(
    store: Store, rows: list[PreparedRow], write_features: Callable[[], None] = lambda: None
) -> None:
    """Write both tables; the features, if there are any, before them."""
    with hold_lease(store, "prepare_dataset"):
        for table in ("links", "labels"):
            tables.check_replaceable(store, table)
        write_features()
        # Deleted first: after a crash in between, missing labels are noticed, old ones are not.
        store.delete_directory("labels")
        tables.write_table(store, "links", links_table(rows))
        tables.write_table(store, "labels", labels_table(rows))


def _prepared(
    name: str, rows: list[PreparedRow], figures: Mapping[str, object], notes: list[str]
) -> Preparation:
    counts = Counter(row.outcome for row in rows)
    summary = {**_summarize(rows, counts), **figures}
    return Preparation(name, counts, _count_movies(rows), summary, notes)


def _prepare_external(
    store: Store, form: str, path: Path, *, split: Path | str | None, on_step: OnStep
) -> Preparation:
    """Join arrays with labels, and take the features of those that have both."""
    data = open_external(form, path)
    labels = read_label_table(data.labels, data.id_column, str(split) if split else None)
    listing = data.arrays.list_arrays()
    settings = external_settings(data, listing.width)
    prefix = f"{SCHEME}{data.name}/"
    rows = prepare_external(labels.rows, listing.names, prefix)
    check_parts(labelled_links(labels_table(rows)))
    notes = [f"note: {note}" for note in [*labels.notes, *_find_oddities(rows, None)]]
    notes += _first_refused(rows, store)
    ready = {row.ready.url.removeprefix(prefix): row.ready.link_id for row in rows if row.ready}
    _write_tables(store, rows, partial(import_features, store, data, settings, ready, on_step))
    outcomes = outcomes_table.read_outcomes(
        store, settings.fingerprint, ("link_id", "outcome", "detail")
    )
    is_listed = pc.is_in(outcomes["link_id"], pa.array([*ready.values()], pa.string()))
    current = outcomes.filter(is_listed).to_pylist()
    if broken := [row for row in current if row["outcome"] != Outcome.OK]:
        names = {link_id: name for name, link_id in ready.items()}
        shown = sorted(f"{names[row['link_id']]}: {row['detail']}" for row in broken)
        notes.append(
            f"note: broken arrays, which have no features: {len(broken)}. "
            f"{_listed(shown[:_MAX_SHOWN], len(broken))}. `trailergenre export {store} outcomes "
            "--out outcomes.csv` lists them. Once they are repaired, run this again."
        )
    figures = {
        "features": settings.fingerprint,
        "network": data.network,
        "width": settings.width,
        "links_with_part": sum(row.part is not None for row in rows if row.ready),
        "by_outcome": dict(Counter(row["outcome"] for row in current)),
    }
    return _prepared(data.name, rows, figures, notes)


def _read_links(sources: Sources, links: LinksConfig) -> InputList:
    path = (sources.links or Path()).expanduser()
    # Outside of every allowed root, all rows of the directory would be refused.
    if is_video_directory(path) and not links.allows(path):
        raise ConfigError(
            f"{path} is a directory, and local files are links only under an allowed root. "
            f"Add --set 'links.allowed_roots=[\"{path}\"]' to allow it."
        )
    return read_input(path, sources.named, needs_genres=not sources.is_unlabelled)


def _check_source(source: InputList, sources: Sources) -> None:
    received = listed(source.columns)
    if sources.metadata and not any(row.title or row.movie_id for row in source.rows):
        raise ConfigError(
            f"{source.name} names no movies, so --metadata cannot be joined. Add the column title "
            f"or movie_id. Received: {received}."
        )
    if not (source.has_genres or sources.metadata or sources.is_unlabelled):
        raise ConfigError(
            f"{source.name} has no column 'genres'. Received: {received}. If one of them has the "
            "genres, give --genres-column NAME; else add one, or a column of 0 and 1 for each "
            "genre, or give --metadata. If the links are only to be scored, give --unlabelled."
        )


def _read_metadata(sources: Sources, notes: list[str]) -> Metadata | None:
    if sources.metadata is None:
        return None
    metadata = read_metadata(sources.metadata.expanduser(), notes)
    if sources.labels is None:
        return metadata
    labels = read_labels(sources.labels.expanduser(), notes)
    n_compared = check_alignment(labels, metadata)
    notes.append(f"labels agree with the metadata ({n_compared} movies compared)")
    return replace_genres(metadata, labels, path=sources.labels)


def _find_oddities(rows: list[PreparedRow], metadata: Metadata | None) -> list[str]:
    """What in the labels may be a mistake, and no row's fault; one or two sentences each."""
    ready = [row for row in rows if row.ready]
    notes = []
    n_links = Counter(row.titled for row in ready if row.titled)
    if n_links:
        titles = {row.titled: row.source.title for row in reversed(ready)}
        shown = [
            f"{titles[name][:_MAX_CHARS]!r} ({n})" for name, n in n_links.most_common(_MAX_SHOWN)
        ]
        n_undated = sum(not name.endswith(")") for name in n_links)
        notes.append(
            f"{len(n_links)} titles have several links and no movie_id, and are one movie each: "
            f"{_listed(shown, len(n_links))}. {n_undated} of them have no year: if they are "
            "several movies, add the column year or movie_id."
        )
    if metadata is None:
        followers = [row for row in ready if row.movie_id and not row.source.movie_id]
        followers = [row for row in followers if row.movie_id != row.source.url]
        if followers:
            notes.append(f"{len(followers)} links have the movie_id of other links of their title.")
    else:
        pairs = [(row, metadata.by_id[row.movie_id]) for row in ready if row.movie_id]
        others = [
            f"row {row.source.number} is {row.source.title[:_MAX_CHARS]!r}, {movie.movie_id} "
            f"{movie.title!r}"
            for row, movie in pairs
            if row.source.movie_id
            and row.source.title
            and row.key.name != title_key(movie.title).name
        ]
        if others:
            notes.append(
                f"{len(others)} rows have another title than the metadata have for their id: "
                f"{_listed(others[:1], len(others))}."
            )
    genres = {genre for row in ready for genre in row.genres}
    if len(genres) > _MANY_GENRES:
        notes.append(f"there are {len(genres)} genres. If they are keywords, give another column.")
    if alike := find_lookalikes(genres):
        shown = [f"{first!r} and {second!r}" for first, second in alike[:_MAX_SHOWN]]
        notes.append(
            f"genres that look alike and are not joined: {_listed(shown, len(alike))}. If they are "
            "one, give them one spelling."
        )
    return notes


def _first_refused(rows: list[PreparedRow], store: Store) -> list[str]:
    refused = [row for row in rows if not row.ready]
    lines = [
        f"row {row.source.number}, {without_user(row.source.url)[:_MAX_CHARS]!r}, is "
        f"{row.outcome}: {row.detail}"
        for row in refused[:_MAX_SHOWN]
    ]
    if more := len(refused) - len(lines):
        lines.append(
            f"{more} more rows are not ready: `trailergenre export {store} links --out links.csv` "
            "lists them."
        )
    return lines


def _listed(shown: list[str], total: int) -> str:
    return ", ".join(shown) + (f" and {total - len(shown)} more" if total > len(shown) else "")


def assign_parts(rows: list[PreparedRow], parts: Mapping[str, Part]) -> int:
    """Set the part of the ready rows whose movie or YouTube video a split names.

    Args:
        rows: all rows.
        parts: IMDb id or video id -> part.

    Returns:
        Number of rows with a part.

    Raises:
        LeakError: the split has one movie in two parts.
    """
    n_assigned = 0
    for row in rows:
        if row.ready:
            url = urlsplit(row.ready.url)
            host = url.hostname or ""
            video_id = find_video_id(host, url) if is_youtube(host) else None
            row.part = parts.get(row.movie) or (parts.get(video_id) if video_id else None)
            n_assigned += row.part is not None
    check_parts(labelled_links(labels_table(rows)))
    return n_assigned


def links_table(rows: list[PreparedRow]) -> pa.Table:
    """The table `links`: all rows."""
    return pa.Table.from_pylist(
        [
            {
                "row": row.source.number,
                "link_id": row.link.link_id if row.link else None,
                "url": row.link.url if row.link else row.source.url,
                "title": row.source.title,
                "movie_id": row.movie_id,
                "genres": list(row.genres),
                "row_outcome": row.outcome.value,
                "detail": row.detail,
                "other": json.dumps(dict(row.source.other), ensure_ascii=False),
            }
            for row in rows
        ],
        schema=schemas.LINKS,
    )


def labels_table(rows: list[PreparedRow]) -> pa.Table:
    """The table `labels`: ready rows with genres."""
    return pa.Table.from_pylist(
        [
            {
                "link_id": row.ready.link_id,
                "movie_id": row.movie,
                "title": row.source.title,
                "genres": list(row.genres),
                "part": row.part,
            }
            for row in rows
            if row.ready and row.genres
        ],
        schema=schemas.LABELS,
    )


def _summarize(rows: list[PreparedRow], counts: Counter[RowOutcome]) -> dict[str, object]:
    ready = [row for row in rows if row.ready]
    return {
        "rows": len(rows),
        "by_row_outcome": {outcome.value: counts[outcome] for outcome in RowOutcome},
        "links": len(ready),
        "movies": len({row.movie for row in ready}),
        "movies_by_genre": _count_movies(rows),
    }


def _count_movies(rows: list[PreparedRow]) -> dict[str, int]:
    movies = {(row.movie, genre) for row in rows if row.ready for genre in row.genres}
    counts = Counter(genre for _, genre in movies)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

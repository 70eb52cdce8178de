"""A list and its labels to the tables `links` and `labels`: every input row gets one outcome."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import pyarrow as pa

from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.errors import one_line
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.records import Link
from trailergenre.links.canonical import LinkError, link_id, parse_link
from trailergenre.links.input_lists import InputList, InputRow
from trailergenre.links.labelled_links import Part, check_parts, labelled_links
from trailergenre.links.metadata import Metadata, Movie
from trailergenre.links.youtube import find_video_id, is_youtube
from trailergenre.runs import schemas

_SHOWN = 3


@dataclass(slots=True)
class PreparedRow:
    """One input row on its way.

    Attributes:
        source: the row as it came.
        link: its canonical link; None where it has none.
        movie_id: IMDb id where known.
        genres: of the movie.
        part: what a published split uses the link for; None where none names it.
        outcome: what is decided so far.
        detail: why; empty for ready rows.
    """

    source: InputRow
    link: Link | None = None
    movie_id: str | None = None
    genres: tuple[str, ...] = ()
    part: Part | None = None
    outcome: RowOutcome = RowOutcome.READY
    detail: str = ""

    def refuse(self, outcome: RowOutcome, detail: str) -> None:
        """Decide against the row; the first reason stays."""
        if self.outcome is RowOutcome.READY:
            self.outcome, self.detail = outcome, one_line(detail)

    @property
    def movie(self) -> str:
        """The movie's IMDb id; where unknown, the link stands for it (titles are no ids)."""
        return self.movie_id or (self.link.link_id if self.link else "")


def prepare_rows(
    source: InputList,
    metadata: Metadata | None,
    *,
    links: LinksConfig,
    network: NetworkConfig,
    needs_genres: bool,
) -> list[PreparedRow]:
    """Decide about every row of a list.

    Args:
        source: the list.
        metadata: where genres and IMDb ids come from; None: from the list itself.
        links: the allowed roots of local files.
        network: the addresses that are allowed although private.
        needs_genres: whether the links are to be learned from; if not, genres are left out, and
            a link that several movies claim is scored once like any other.

    Returns:
        As many rows as the list has, in its order.
    """
    rows = [PreparedRow(row) for row in source.rows]
    for row in rows:
        try:
            row.link = parse_link(row.source.url, links=links, network=network, base=source.base)
        except LinkError as error:
            row.refuse(error.row_outcome, error.detail)
    if needs_genres:
        for row in rows:
            row.movie_id = row.source.movie_id or None
            _find_genres(row, metadata, Metadata.find)
        _refuse_unlabelled(rows, metadata)
    _refuse_duplicates(rows)
    return rows


def prepare_external(
    source: InputList, parts: Sequence[Part | None], metadata: Metadata | None
) -> list[PreparedRow]:
    """Decide about every row of published data; its name stands for a link and for a movie.

    Args:
        source: the rows; `url` is the published name.
        parts: of a split that is published with them, one a row.
        metadata: where genres and IMDb ids come from, by title and year; None: from the rows.

    Returns:
        As many rows as there are, in their order.
    """
    rows = []
    for row, part in zip(source.rows, parts, strict=True):
        link = Link(link_id=link_id(row.url), url=row.url)
        rows.append(PreparedRow(row, link=link, movie_id=row.url, part=part))
        _find_genres(rows[-1], metadata, lambda known, _, title: known.find_dated(title))
    _refuse_unlabelled(rows, metadata)
    _refuse_duplicates(rows)
    return rows


def _find_genres(
    row: PreparedRow,
    metadata: Metadata | None,
    find: Callable[[Metadata, str, str], tuple[Movie, ...]],
) -> None:
    source = row.source
    if metadata is None:
        row.genres = source.genres
        return
    # Never the list's own genres then: half of a table would escape the metadata's check.
    movies = find(metadata, source.movie_id, source.title)
    if len(movies) == 1:
        row.movie_id, row.genres = movies[0].movie_id, movies[0].genres
    elif movies:
        ids = ", ".join(movie.movie_id for movie in movies)
        row.refuse(RowOutcome.AMBIGUOUS, f"the title {source.title!r} is several movies: {ids}")


def _refuse_unlabelled(rows: list[PreparedRow], metadata: Metadata | None) -> None:
    _refuse_ambiguous(rows)
    for row in rows:
        if not row.genres:
            row.refuse(RowOutcome.NO_LABEL, _why_no_label(row, metadata))


def _why_no_label(row: PreparedRow, metadata: Metadata | None) -> str:
    if metadata is None:
        return "the row names no genres"
    name = row.source.movie_id or row.source.title
    return f"the labels have no genres for {name!r}" if name else "the row names no movie"


def _refuse_ambiguous(rows: list[PreparedRow]) -> None:
    """A link that several movies claim is right for one of them at most; nobody can say which."""
    claims: dict[str, list[PreparedRow]] = defaultdict(list)
    for row in rows:
        if row.link is not None:
            claims[row.link.link_id].append(row)
    for claimants in claims.values():
        movies = _movies_of(claimants)
        genres = {row.genres for row in claimants if row.genres}
        for row in claimants:
            if len(movies) > 1:
                shown = ", ".join(movies[:_SHOWN])
                row.refuse(RowOutcome.AMBIGUOUS, f"the link serves {len(movies)} movies: {shown}")
            elif len(genres) > 1:
                row.refuse(RowOutcome.AMBIGUOUS, "the link stands with several sets of genres")


def _movies_of(rows: list[PreparedRow]) -> list[str]:
    """What tells the movies of some rows apart: the IMDb id, where unknown the title."""
    ids = {row.movie_id for row in rows if row.movie_id}
    titles_with_id = {row.source.title for row in rows if row.movie_id}
    titles = {row.source.title for row in rows if not row.movie_id} - titles_with_id - {""}
    return sorted(ids) + sorted(titles)


def _refuse_duplicates(rows: list[PreparedRow]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        if row.outcome is RowOutcome.READY and row.link is not None:
            number = first.setdefault(row.link.link_id, row.source.number)
            if number != row.source.number:
                row.refuse(RowOutcome.DUPLICATE, f"the same link as row {number}")


def give_parts(rows: list[PreparedRow], parts: Mapping[str, Part]) -> int:
    """Mark the ready rows whose movie or YouTube video a published split names.

    Args:
        rows: all rows.
        parts: IMDb id or video id -> part.

    Returns:
        How many were marked.

    Raises:
        LeakError: the split has one movie in two parts.
    """
    named = 0
    for row in rows:
        if row.outcome is RowOutcome.READY and row.link is not None:
            address = urlsplit(row.link.url)
            host = address.hostname or ""
            video_id = find_video_id(host, address) if is_youtube(host) else None
            row.part = parts.get(row.movie)
            if row.part is None and video_id is not None:
                row.part = parts.get(video_id)
            named += row.part is not None
    check_parts(labelled_links(labels_table(rows)))
    return named


def links_table(source: InputList, rows: list[PreparedRow]) -> pa.Table:
    """Lay out all rows as the table `links`."""
    return pa.Table.from_pylist(
        [
            {
                "row_id": _row_id(source.name, row.source.number),
                "link_id": row.link.link_id if row.link else None,
                "url": row.link.url if row.link else row.source.url,
                "title": row.source.title,
                "movie_id": row.movie_id,
                "genres": list(row.genres),
                "row_outcome": row.outcome.value,
                "detail": row.detail,
            }
            for row in rows
        ],
        schema=schemas.LINKS,
    )


def labels_table(rows: list[PreparedRow]) -> pa.Table:
    """Lay out ready rows with genres as the table `labels`."""
    return pa.Table.from_pylist(
        [
            {
                "link_id": row.link.link_id,
                "movie_id": row.movie,
                "title": row.source.title,
                "genres": list(row.genres),
                "part": row.part,
            }
            for row in rows
            if row.outcome is RowOutcome.READY and row.link is not None and row.genres
        ],
        schema=schemas.LABELS,
    )


def _row_id(name: str, number: int) -> str:
    return hashlib.sha256(f"{name}\n{number}".encode()).hexdigest()

"""The outcome of every row of a list: ready, or the first reason against it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.errors import one_line
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.records import Link
from trailergenre.links.canonical import LinkError, link_id, parse_link
from trailergenre.links.external.labels import LabelRow
from trailergenre.links.input_lists import InputList, InputRow
from trailergenre.links.labelled_links import BY_TITLE, Part
from trailergenre.links.metadata import Metadata, Movie
from trailergenre.links.titles import TitleKey, title_key

_MAX_SHOWN = 3


@dataclass(slots=True)
class PreparedRow:
    """One input row, its link and its labels.

    Attributes:
        source: the input row.
        link: its canonical link; None if it has none.
        movie_id: IMDb id; None if unknown.
        titled: a name for the movie by its title, where several links share it and it has no id.
        part: in a given split; None if the split does not name the link.
        outcome: the first reason against the row, or ready.
    """

    source: InputRow
    link: Link | None = None
    movie_id: str | None = None
    titled: str = ""
    genres: tuple[str, ...] = ()
    part: Part | None = None
    outcome: RowOutcome = RowOutcome.READY
    detail: str = ""

    def refuse(self, outcome: RowOutcome, detail: str) -> None:
        """Set the outcome, unless the row has been refused before."""
        if self.outcome is RowOutcome.READY:
            self.outcome, self.detail = outcome, one_line(detail)

    @property
    def ready(self) -> Link | None:
        """The link of a row that is passed on to the download."""
        return self.link if self.outcome is RowOutcome.READY else None

    @property
    def movie(self) -> str:
        """The movie's IMDb id, else the title that several links share, else the link's id."""
        return self.movie_id or self.titled or (self.link.link_id if self.link else "")

    @property
    def key(self) -> TitleKey:
        """The movie's title and year."""
        return title_key(self.source.title, self.source.year)


def prepare_rows(
    source: InputList,
    metadata: Metadata | None,
    *,
    links: LinksConfig,
    network: NetworkConfig,
    needs_genres: bool,
) -> list[PreparedRow]:
    """Decide on every row of a list, in order.

    Args:
        source: the list.
        metadata: source of genres and IMDb ids; None: the list itself.
        links: the roots of local files.
        network: the private addresses that are allowed.
        needs_genres: False if the links are only to be scored: then rows get no genres, and a link
            that several movies claim is ready once.
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
            _find_genres(
                row, metadata, lambda known, it: known.find(it.movie_id, it.title, it.year)
            )
        _refuse_ambiguous(rows)
        _refuse_unlabelled(rows, metadata)
    _refuse_duplicates(rows)
    if needs_genres:
        _join_trailers(rows, by_genres=source.is_directory)
    return rows


def prepare_external(
    labels: Sequence[LabelRow], arrays: Sequence[str], prefix: str
) -> list[PreparedRow]:
    """Decide on every row of the labels of external features, and on every array without one.

    Args:
        labels: the rows.
        arrays: ids of the arrays.
        prefix: with an id, the name that stands in for a link.
    """
    rows, known = [], set(arrays)
    for number, label in enumerate(labels, start=1):
        url = prefix + label.name
        source = InputRow(
            number, url, label.title, label.movie_id, label.genres, problem=label.problem
        )
        rows.append(_external_row(source, label.movie_id, label.part))
        if not label.name:
            rows[-1].refuse(RowOutcome.LINK_EMPTY, "the id is empty")
        elif label.name not in known:
            rows[-1].refuse(RowOutcome.NO_ARRAY, f"no array has the id {label.name!r}")
    labelled = {label.name for label in labels}
    for name in sorted(known - labelled):
        rows.append(_external_row(InputRow(len(rows) + 1, prefix + name, "", "", ()), "", None))
        rows[-1].refuse(RowOutcome.NO_LABEL, f"the labels have no row for the array {name!r}")
    _refuse_ambiguous(rows)
    _refuse_unlabelled(rows, None)
    _refuse_duplicates(rows)
    return rows


def _external_row(source: InputRow, movie_id: str, part: Part | None) -> PreparedRow:
    link = Link(link_id=link_id(source.url), url=source.url)
    return PreparedRow(
        source, link=link, movie_id=movie_id or None, genres=source.genres, part=part
    )


def _find_genres(
    row: PreparedRow,
    metadata: Metadata | None,
    find: Callable[[Metadata, InputRow], tuple[Movie, ...]],
) -> None:
    source = row.source
    if metadata is None:
        row.genres = source.genres
        return
    # The list's own genres are ignored: they would escape the comparison with the metadata.
    movies = find(metadata, source)
    if len(movies) == 1:
        row.movie_id, row.genres = movies[0].movie_id, movies[0].genres
    elif movies:
        ids = ", ".join(movie.movie_id for movie in movies)
        row.refuse(RowOutcome.AMBIGUOUS, f"title {source.title!r} matches several movies: {ids}")


def _refuse_ambiguous(rows: list[PreparedRow]) -> None:
    """Refuse all rows of a link that several movies claim: nothing tells which one is right."""
    claims: dict[str, list[PreparedRow]] = defaultdict(list)
    for row in rows:
        if row.link is not None:
            claims[row.link.link_id].append(row)
    for claimants in (rows for rows in claims.values() if len(rows) > 1):
        movies = _distinct_movies(claimants)
        genres = {row.genres for row in claimants if row.genres}
        for row in claimants:
            if len(movies) > 1:
                shown = ", ".join(movies[:_MAX_SHOWN])
                row.refuse(RowOutcome.AMBIGUOUS, f"{len(movies)} movies have this link: {shown}")
            elif len(genres) > 1:
                row.refuse(RowOutcome.AMBIGUOUS, "rows with this link have different genres")


def _distinct_movies(rows: list[PreparedRow]) -> list[str]:
    """Movies told apart by IMDb id, or by title where no row of that title has an id."""
    ids = {row.movie_id for row in rows if row.movie_id}
    named = {row.key.name for row in rows if row.movie_id} | {""}
    years: dict[str, set[str]] = defaultdict(set)
    titles: dict[tuple[str, str], str] = {}
    for row in rows:
        if not row.movie_id and row.key.name not in named:
            years[row.key.name].add(row.key.year)
            titles.setdefault(row.key, row.source.title)
    # A title without a year may be that of any year.
    distinct = [t for (name, year), t in titles.items() if year or len(years[name]) == 1]
    return sorted(ids) + sorted(distinct)


def _refuse_unlabelled(rows: list[PreparedRow], metadata: Metadata | None) -> None:
    for row in rows:
        # Where the metadata have the genres, those of the list are ignored.
        if row.source.problem and not (metadata and row.genres):
            row.refuse(RowOutcome.NO_LABEL, row.source.problem)
        if row.genres:
            continue
        name = row.source.movie_id or row.source.title
        reason = f"the labels have no genres for {name!r}" if name else "the row names no movie"
        row.refuse(RowOutcome.NO_LABEL, reason if metadata else "the row has no genres")


def _refuse_duplicates(rows: list[PreparedRow]) -> None:
    first: dict[str, int] = {}
    for row in rows:
        if row.ready:
            number = first.setdefault(row.ready.link_id, row.source.number)
            if number != row.source.number:
                row.refuse(RowOutcome.DUPLICATE, f"row {number} has the same link")


def _join_trailers(rows: list[PreparedRow], *, by_genres: bool) -> None:
    """Give the links of one movie one name, where they have no id but one title.

    A link takes the id of the other links of its title, and a title without a year the year. A
    title that may be of several movies is ambiguous. With `by_genres`, links of other genres are
    other movies: names of files repeat.
    """
    by_title: dict[tuple[object, ...], list[PreparedRow]] = defaultdict(list)
    for row in rows:
        if row.ready and row.key.name:
            by_title[row.key.name, row.genres if by_genres else None].append(row)
    for same in by_title.values():
        if len(same) > 1:
            _join_same(same)
    n_links = Counter(row.titled for row in rows)
    for row in rows:
        if n_links[row.titled] == 1:
            row.titled = ""


def _join_same(rows: list[PreparedRow]) -> None:
    """Join links of one title; first those with a year, as the others may follow them."""
    known = {(row.movie_id, row.key.year) for row in rows if row.movie_id}
    without = [row for row in rows if not row.movie_id]
    for row in sorted(without, key=lambda row: not row.key.year):
        year = row.key.year
        movies = {movie for movie, of_year in known if of_year == year and year}
        movies = movies or {movie for movie, of_year in known if not (year and of_year)}
        if len(movies) > 1:
            row.refuse(
                RowOutcome.AMBIGUOUS,
                f"title {row.source.title!r} may be of several movies of the list: "
                f"{', '.join(sorted(movies)[:_MAX_SHOWN])}; give its year or movie_id",
            )
        elif movies:
            (movie,) = movies
            if movie.startswith(BY_TITLE):
                row.titled = movie
            else:
                row.movie_id = movie
        else:
            row.titled = f"{BY_TITLE}{row.key.name}{f' ({year})' if year else ''}"
            known.add((row.titled, year))

"""Genres of movies from IMDb metadata, and a check that other labels agree with it.

The check exists because the rows of the original project's genre matrix are shifted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from trailergenre.base.errors import AlignmentError, ConfigError
from trailergenre.links.cells import parse_year
from trailergenre.links.columns import TableFile
from trailergenre.links.genres import genre_key, read_genre_columns
from trailergenre.links.imdb_ids import IdError, parse_movie_id
from trailergenre.links.table_files import read_table
from trailergenre.links.titles import clean_title, title_key

MAX_DISAGREEING_SHARE = 0.005
"""Largest share of movies whose labels may differ from the metadata."""

_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Movie:
    """One movie of the metadata, with its IMDb `tt` id; `year` is empty if unknown."""

    movie_id: str
    title: str
    genres: tuple[str, ...]
    year: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """All movies, by title, by the name in `title_key` and by IMDb id.

    Several movies may have one title.
    """

    by_title: Mapping[str, tuple[Movie, ...]]
    by_name: Mapping[str, tuple[Movie, ...]]
    by_id: Mapping[str, Movie]

    @classmethod
    def of(cls, movies: Iterable[Movie]) -> Metadata:
        """Index movies by title and id."""
        by_id = {movie.movie_id: movie for movie in movies}
        by_title: dict[str, tuple[Movie, ...]] = {}
        by_name: dict[str, tuple[Movie, ...]] = {}
        for movie in by_id.values():
            by_title[movie.title] = (*by_title.get(movie.title, ()), movie)
            name = title_key(movie.title).name
            by_name[name] = (*by_name.get(name, ()), movie)
        return cls(by_title=by_title, by_name=by_name, by_id=by_id)

    def find(self, movie_id: str, title: str, year: str = "") -> tuple[Movie, ...]:
        """The movies with an id; or if it is empty, with a title, and not of another year.

        The title's own spelling wins over others of the same name.
        """
        if movie_id:
            return (self.by_id[movie_id],) if movie_id in self.by_id else ()
        key = title_key(title, year)
        movies = self.by_title.get(title) or self.by_name.get(key.name, ())
        if not key.year:
            return movies
        dated = tuple(movie for movie in movies if movie.year == key.year)
        return dated or tuple(movie for movie in movies if not movie.year)


class LabelRow(NamedTuple):
    """One row of a label table; all but the genres may be empty, and they may be none."""

    movie_id: str
    title: str
    genres: tuple[str, ...]
    year: str = ""


def read_metadata(path: Path, notes: list[str] | None = None) -> Metadata:
    """Read `movie_metadata.csv` or another table with title, genres and IMDb id, perhaps the year.

    Args:
        path: of the table.
        notes: gets what was not obvious in reading it, one sentence each.

    Raises:
        ConfigError: the file cannot be read, lacks a column, or has different genres for one movie.
    """
    table = read_table(path)
    table.require("title", "genres", "movie_id")
    movies: dict[str, Movie] = {}
    rows, n_without_id = _read_rows(table), 0
    for row in rows:
        if not row.movie_id:
            n_without_id += 1
            continue
        movie = Movie(row.movie_id, row.title, row.genres, row.year)
        # The file repeats some movies, with the same genres.
        first = movies.setdefault(movie.movie_id, movie)
        _refuse_conflict(path, movie.movie_id, first.genres, movie.genres)
    if n_without_id:
        table.notes.append(f"{n_without_id} rows have no IMDb id and are not used.")
    if notes is not None:
        told = table.describe(all_columns=False)
        notes += [f"note: {path.name}: {note}" for note in told]
    return Metadata.of(movies.values())


def read_labels(path: Path, notes: list[str] | None = None) -> list[LabelRow]:
    """Read a label table.

    Args:
        path: a table with `movie_id` or `title`, and either `genres` or a column of 0 and 1 for
            each genre.
        notes: gets what was not obvious in reading it, one sentence each.

    Raises:
        ConfigError: the file cannot be read or has another format.
    """
    table = read_table(path)
    if table.column("title") is None and table.column("movie_id") is None:
        raise ConfigError(
            f"{path} has no column movie_id or title. Received: {', '.join(table.columns)}. "
            "Add one of them."
        )
    rows = _read_rows(table)
    if notes is not None:
        notes += [f"note: {path.name}: {note}" for note in table.describe()]
    return rows


def _read_rows(table: TableFile) -> list[LabelRow]:
    """The rows of a table that is the truth: one that cannot be read refuses the table."""
    genres = read_genre_columns(table)
    if genres is None:
        raise ConfigError(
            f"{table.path} has no column 'genres', and its other columns are not 0 and 1. "
            f"Received: {', '.join(table.columns)}. Add the genres."
        )
    nothing: list[object] = [""] * len(table.rows)
    columns = (table.column(name) or nothing for name in ("movie_id", "title", "year"))
    rows = []
    for place, (movie_id, title, year) in enumerate(zip(*columns, strict=True)):
        problem = genres.problems.get(place)
        try:
            row = LabelRow(
                parse_movie_id(movie_id), clean_title(title), genres.genres[place], parse_year(year)
            )
        except IdError as error:
            problem = str(error)
        if problem:
            raise ConfigError(f"{table.path}, {table.places[place]}: {problem}. Correct the cell.")
        rows.append(row)
    return rows


def check_alignment(labels: Iterable[LabelRow], metadata: Metadata) -> int:
    """Compare labels with the metadata, where exactly one movie has the row's id or title.

    Returns the number of movies compared.

    Raises:
        AlignmentError: more than 0.5 % of them differ, or none could be compared.
    """
    compared: set[str] = set()
    wrong: dict[str, str] = {}
    for movie, row in _match(labels, metadata):
        compared.add(movie.movie_id)
        if set(map(genre_key, row.genres)) != set(map(genre_key, movie.genres)):
            has, says = "|".join(row.genres) or "none", "|".join(movie.genres) or "none"
            wrong.setdefault(movie.movie_id, f"{movie.title!r} has {has}, the metadata say {says}")
    if not compared:
        raise AlignmentError("None of the labels' movies is in the metadata.")
    if len(wrong) > MAX_DISAGREEING_SHARE * len(compared):
        first = "; ".join(list(wrong.values())[:_MAX_SHOWN])
        raise AlignmentError(
            f"The labels do not agree with the metadata: {len(wrong)} of {len(compared)} movies "
            f"({len(wrong) / len(compared):.1%}) have other genres; at most "
            f"{MAX_DISAGREEING_SHARE:.1%} may. The first: {first}. "
            "Leave --labels out to take the genres from the metadata."
        )
    return len(compared)


def replace_genres(metadata: Metadata, labels: Iterable[LabelRow], *, path: Path) -> Metadata:
    """Replace the genres of all movies by those of a label table; others get none.

    Raises:
        ConfigError: the table has different genres for one movie.
    """
    given: dict[str, tuple[str, ...]] = {}
    for movie, row in _match(labels, metadata):
        first = given.setdefault(movie.movie_id, row.genres)
        _refuse_conflict(path, movie.movie_id, first, row.genres)
    return Metadata.of(
        replace(movie, genres=given.get(movie.movie_id, ())) for movie in metadata.by_id.values()
    )


def _match(labels: Iterable[LabelRow], metadata: Metadata) -> Iterator[tuple[Movie, LabelRow]]:
    for row in labels:
        movies = metadata.find(row.movie_id, row.title, row.year)
        if len(movies) == 1:
            yield movies[0], row


def _refuse_conflict(
    path: Path, movie_id: str, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    if first != second:
        raise ConfigError(
            f"{path} has different genres for {movie_id}: {'|'.join(first)} and "
            f"{'|'.join(second)}. Correct one of the rows."
        )

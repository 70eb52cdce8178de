"""Genres of movies from IMDb metadata, and a check that other labels agree with it.

The check exists because the rows of the original project's genre matrix are shifted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from trailergenre.base.errors import AlignmentError, ConfigError
from trailergenre.links.input_lists import clean_text, read_cells, require_columns, split_genres

MAX_DISAGREEING_SHARE = 0.005
"""Largest share of movies whose labels may differ from the metadata."""

_TT_ID = re.compile(r"tt\d{7,10}")
_DATED = re.compile(r"(?P<whole>(?P<first>.+?)(?: \(.*\))?) \((?P<year>\d{4})\)")
_ARTICLE = re.compile(r"^(.*), (The|A|An)$")
_MAX_SHOWN = 5
_BINARY = {"0": False, "1": True, "0.0": False, "1.0": True, "False": False, "True": True}


@dataclass(frozen=True, slots=True)
class Movie:
    """One movie of the metadata, with its IMDb `tt` id; `year` is empty if unknown."""

    movie_id: str
    title: str
    genres: tuple[str, ...]
    year: str = ""


@dataclass(frozen=True, slots=True)
class Metadata:
    """All movies, by title and by IMDb id. Several movies may have one title."""

    by_title: Mapping[str, tuple[Movie, ...]]
    by_id: Mapping[str, Movie]

    @classmethod
    def of(cls, movies: Iterable[Movie]) -> Metadata:
        """Index movies by title and id."""
        by_id = {movie.movie_id: movie for movie in movies}
        by_title: dict[str, tuple[Movie, ...]] = {}
        for movie in by_id.values():
            by_title[movie.title] = (*by_title.get(movie.title, ()), movie)
        return cls(by_title=by_title, by_id=by_id)

    def find(self, movie_id: str, title: str) -> tuple[Movie, ...]:
        """The movies with an id, or if it is empty, with a title."""
        if movie_id:
            return (self.by_id[movie_id],) if movie_id in self.by_id else ()
        return self.by_title.get(title, ())

    def find_dated(self, title: str) -> tuple[Movie, ...]:
        """The movies with a title and year in MovieLens' spelling."""
        for name, year in split_dated(title):
            if found := tuple(movie for movie in self.find("", name) if movie.year == year):
                return found
        return ()


def split_dated(title: str) -> list[tuple[str, str]]:
    """Title and year from MovieLens' spelling, also without a second title in parentheses.

    >>> split_dated("Celebration, The (Festen) (1998)")
    [('Celebration, The (Festen)', '1998'), ('The Celebration', '1998')]
    """
    match = _DATED.fullmatch(title)
    if match is None:
        return []
    names = dict.fromkeys((match["whole"], match["first"]))
    return [(_ARTICLE.sub(r"\2 \1", name), match["year"]) for name in names]


class LabelRow(NamedTuple):
    """One row of a label table; `movie_id` or `title` may be empty."""

    movie_id: str
    title: str
    genres: tuple[str, ...]


def read_metadata(path: Path) -> Metadata:
    """Read `movie_metadata.csv`: movie_title, title_year, genres, the IMDb id in movie_imdb_link.

    Raises:
        ConfigError: the file cannot be read, lacks a column, or has different genres for one movie.
    """
    columns, rows = read_cells(path)
    require_columns(path, columns, ["movie_title", "genres", "movie_imdb_link"])
    movies: dict[str, Movie] = {}
    for row in rows:
        if match := _TT_ID.search(clean_text(row["movie_imdb_link"])):
            title, year = clean_text(row["movie_title"]), clean_text(row.get("title_year"))
            movie = Movie(match[0], title, split_genres(row["genres"]), year)
            # The file repeats some movies, with the same genres.
            first = movies.setdefault(movie.movie_id, movie)
            _refuse_conflict(path, movie.movie_id, first.genres, movie.genres)
    return Metadata.of(movies.values())


def read_labels(path: Path) -> list[LabelRow]:
    """Read a label table.

    Args:
        path: CSV or Parquet with `movie_id` or a title (`title`, `movie_title`), and either
            `genres` or one column of 0 and 1 per genre.

    Raises:
        ConfigError: the file cannot be read or has another format.
    """
    columns, rows = read_cells(path)
    title = next((name for name in ("title", "movie_title") if name in columns), "")
    if not title and "movie_id" not in columns:
        raise ConfigError(
            f"{path} has no column movie_id, title or movie_title. Received: {', '.join(columns)}."
        )
    if "genres" in columns:
        genres = [split_genres(row["genres"]) for row in rows]
    else:
        # A column without a name is the row number that pandas writes.
        genres = _read_binary(path, sorted({*columns} - {"", title, "movie_id"}), rows)
    return [
        LabelRow(clean_text(row.get("movie_id")), clean_text(row.get(title)), of_row)
        for row, of_row in zip(rows, genres, strict=True)
    ]


def _read_binary(
    path: Path, genres: list[str], rows: list[dict[str, object]]
) -> list[tuple[str, ...]]:
    strange = {str(row[name]) for row in rows for name in genres} - _BINARY.keys()
    if strange or not genres:
        received = ", ".join(map(repr, sorted(strange)[:_MAX_SHOWN])) or "no other columns"
        raise ConfigError(
            f"{path} has no genres column, and its other columns are not 0 and 1. "
            f"Received: {received}."
        )
    return [tuple(name for name in genres if _BINARY[str(row[name])]) for row in rows]


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
        if row.genres != movie.genres:
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
        movies = metadata.find(row.movie_id, row.title)
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

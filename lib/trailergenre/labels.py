"""Genres of movies: from the metadata by IMDb id, and a check that other labels agree with it.

The original project's genre matrix is shifted against its movies; nothing is trained on labels
that disagree with the metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trailergenre.errors import AlignmentError, ConfigError
from trailergenre.inputs import clean_text, read_cells, require_columns, split_genres

MAX_DISAGREEING_SHARE = 0.005
"""Labels that differ from the metadata for more movies than this are refused."""

_TT_ID = re.compile(r"tt\d{7,10}")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Movie:
    """One movie of the metadata.

    Attributes:
        movie_id: IMDb `tt` id.
        title: without white space around it.
        genres: sorted, unique.
    """

    movie_id: str
    title: str
    genres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """All movies, by title; a title may be several movies.

    Attributes:
        by_title: title -> movies.
        by_id: IMDb id -> movie.
    """

    by_title: Mapping[str, tuple[Movie, ...]] = field(default_factory=dict)
    by_id: Mapping[str, Movie] = field(default_factory=dict)


def read_metadata(path: Path) -> Metadata:
    """Read `movie_metadata.csv`: movie_title, genres and the IMDb id in movie_imdb_link.

    Raises:
        ConfigError: the file cannot be read or lacks a column.
    """
    columns, rows = read_cells(path)
    require_columns(path, columns, ["movie_title", "genres", "movie_imdb_link"])
    by_id: dict[str, Movie] = {}
    for row in rows:
        match = _TT_ID.search(str(row["movie_imdb_link"]))
        if match is not None:
            # The file repeats movies; the repetitions carry the same genres.
            genres = split_genres(row["genres"])
            movie = Movie(match.group(), clean_text(row["movie_title"]), genres)
            by_id.setdefault(movie.movie_id, movie)
    by_title: dict[str, tuple[Movie, ...]] = {}
    for movie in by_id.values():
        by_title[movie.title] = (*by_title.get(movie.title, ()), movie)
    return Metadata(by_title=by_title, by_id=by_id)


def read_labels(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a label table: title -> genres.

    Args:
        path: CSV or Parquet with a title (`title` or `movie_title`) and either `genres` or one
            column of 0 and 1 a genre.

    Raises:
        ConfigError: the file cannot be read or has another form.
    """
    columns, rows = read_cells(path)
    title = next((name for name in ("title", "movie_title") if name in columns), None)
    if title is None:
        raise ConfigError(
            f"{path} has neither a title nor a movie_title column. Received: {', '.join(columns)}."
        )
    if "genres" in columns:
        return {clean_text(row[title]): split_genres(row["genres"]) for row in rows}
    genres = [name for name in columns if name != title]
    strange = {str(row[name]) for row in rows for name in genres} - {"0", "1", "0.0", "1.0"}
    if strange:
        raise ConfigError(
            f"{path} has no genres column, and its other columns are not 0 and 1. "
            f"Received: {', '.join(sorted(strange)[:_SHOWN])!r}."
        )
    return {
        clean_text(row[title]): tuple(
            sorted(name for name in genres if str(row[name]).startswith("1"))
        )
        for row in rows
    }


def check_alignment(labels: Mapping[str, Iterable[str]], metadata: Metadata) -> int:
    """Refuse labels that are not their movies'.

    Args:
        labels: title -> genres; titles that the metadata lacks, or has several movies of, are not
            compared.
        metadata: the truth.

    Returns:
        Movies compared.

    Raises:
        AlignmentError: more than 0.5 % of them differ, or none could be compared.
    """
    compared, wrong = 0, []
    for title, genres in labels.items():
        movies = metadata.by_title.get(title, ())
        if len(movies) != 1:
            continue
        compared += 1
        if set(genres) != set(movies[0].genres):
            wrong.append((title, sorted(genres), list(movies[0].genres)))
    if not compared:
        raise AlignmentError("Not one title of the labels stands in the metadata.")
    if len(wrong) > MAX_DISAGREEING_SHARE * compared:
        first = "; ".join(
            f"{title!r} has {'|'.join(has) or 'none'}, the metadata say {'|'.join(says)}"
            for title, has, says in wrong[:_SHOWN]
        )
        raise AlignmentError(
            f"The labels are not their movies': {len(wrong)} of {compared} movies "
            f"({len(wrong) / compared:.1%}) have other genres than the metadata; allowed are "
            f"{MAX_DISAGREEING_SHARE:.1%}. The first: {first}. Leave --labels out to take the "
            "genres from the metadata."
        )
    return compared

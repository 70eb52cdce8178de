"""Tables of cells, whose columns go by many names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trailergenre.base.errors import ConfigError

_ALIASES = {
    "url": (
        *("link", "trailer", "trailerlink", "trailerurl", "videolink", "videourl", "youtube"),
        *("youtubeurl", "youtubelink", "youtubetrailer", "youtubeid", "videoid", "ytid", "yturl"),
        *("links", "trailers", "path", "file", "filename", "filepath", "videopath"),
    ),
    "title": ("movietitle", "moviename", "name", "movie", "filmtitle", "film", "primarytitle"),
    # Not `movieid`: MovieLens' movieId is not IMDb's.
    "movie_id": (
        *("imdbid", "imdb", "tconst", "imdburl", "imdblink", "imdbtitleid", "movieimdblink"),
        *("movieimdbid",),
    ),
    "genres": ("genre", "labels", "label", "genrenames", "genrelist"),
    "year": ("titleyear", "releaseyear", "startyear", "movieyear", "releasedate", "released"),
}
"""Our names of columns, and others, without the white space and signs in them."""

_MAX_SHOWN = 20
_MAX_SHOWN_CHARS = 60

MAX_ROWS = 2_000_000
MAX_COLUMNS = 10_000
MAX_CELLS = 20_000_000
"""Rows times columns, 2 GB while reading: a short line can become a wide row."""


def check_size(path: Path, n_rows: int, n_columns: int) -> None:
    """Raise ConfigError if a table is too large; called before its cells are made."""
    if n_rows > MAX_ROWS or n_columns > MAX_COLUMNS or n_rows * n_columns > MAX_CELLS:
        raise ConfigError(
            f"{path} is too large: at most {MAX_ROWS:,} rows, {MAX_COLUMNS:,} columns and "
            f"{MAX_CELLS:,} cells are read. Received: {n_rows:,} rows or more of {n_columns:,} "
            "columns. Leave out what is not needed."
        )


def listed(names: Collection[str]) -> str:
    """Names for a message: the first of them, none of endless length.

    >>> listed(["url", "title"])
    "'url', 'title'"
    """
    shown = [repr(name[:_MAX_SHOWN_CHARS]) for name in itertools.islice(names, _MAX_SHOWN)]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


@dataclass(frozen=True, slots=True)
class NamedColumns:
    """Columns that the user named; None: they are found by the names that they usually have."""

    url: str | None = None
    genres: str | None = None

    def get(self, name: str) -> str | None:
        """The user's name of one of our columns."""
        return self.url if name == "url" else self.genres if name == "genres" else None


BY_USUAL_NAMES = NamedColumns()


@dataclass
class TableFile:
    """The cells of a file.

    Attributes:
        path: of the file.
        columns: as the file names them.
        rows: each maps every column to a cell.
        places: where each row is, for messages: `line 7`.
        notes: what was not obvious in reading it; one sentence each.
        named: the columns that the user named.
    """

    path: Path
    columns: list[str]
    rows: list[dict[str, object]]
    places: list[str]
    notes: list[str] = field(default_factory=list)
    named: NamedColumns = BY_USUAL_NAMES
    _used: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> list[object] | None:
        """The cells of one of our columns, under whatever name; None if there is no such column.

        Raises:
            ConfigError: several columns may be the links, or the genres; or the file lacks the
                column that the user named.
        """
        found = self._find(name)
        if found is None:
            return None
        self._used[found] = name
        return [row[found] for row in self.rows]

    def require(self, *names: str) -> None:
        """Raise ConfigError if the file lacks columns, with those that it has."""
        if missing := [name for name in names if self._find(name) is None]:
            option = ", or give --url-column NAME" if "url" in missing else ""
            raise ConfigError(
                f"{self._lacks(*missing)} Name the columns in the first line{option}."
            )

    def use_for_genres(self, columns: Sequence[str]) -> None:
        """Take columns that are none of ours."""
        self._used.update(dict.fromkeys(columns, "genres"))

    def other_columns(self) -> list[str]:
        """The columns that have a name and are none of ours."""
        ours = {self._find(name) for name in _ALIASES}
        return [name for name in self._named_columns() if name not in ours]

    def describe(self, *, all_columns: bool = True) -> list[str]:
        """What was not obvious, with the names of columns; one sentence each.

        Args:
            all_columns: whether to name the columns that nobody took.
        """
        notes = list(self.notes)
        read = [
            f"{column!r} as {ours}" for column, ours in self._used.items() if column.strip() != ours
        ]
        if read:
            more = f" and {len(read) - _MAX_SHOWN} more" if len(read) > _MAX_SHOWN else ""
            notes.append(f"columns read: {', '.join(read[:_MAX_SHOWN])}{more}.")
        if not all_columns:
            return notes
        if unused := [name for name in self._named_columns() if name not in self._used]:
            notes.append(f"columns that are not used: {listed(unused)}.")
        return notes

    def _named_columns(self) -> list[str]:
        numbers = ("Unnamed: ", "__index_level_")  # of rows, by pandas
        return [name for name in self.columns if name and not name.startswith(numbers)]

    def _lacks(self, *names: str) -> str:
        received = listed(self.columns) or "no columns"
        return f"{self.path} has no column {listed(names)}. Received: {received}."

    def _find(self, name: str) -> str | None:
        by_name: dict[str, str] = {}
        for column in self.columns:
            by_name.setdefault(_plain_name(column), column)
        named = self.named.get(name)
        wanted = name if named is None else named.strip()
        if wanted in self.columns:
            return wanted
        if (plain := _plain_name(wanted)) in by_name:
            return by_name[plain]
        if named is not None:
            raise ConfigError(f"{self._lacks(named)} Give one of them as --{name}-column.")
        joined = {key.replace("_", ""): column for key, column in reversed(by_name.items())}
        others = (name, *_ALIASES.get(name, ()))
        found = [joined[other] for other in others if other in joined]
        if len(found) > 1 and name in {"url", "genres"}:
            raise ConfigError(
                f"{self.path} has several columns that may be {name!r}: "
                f"{listed(found)}. Name the right one {name!r}, or give it as "
                f"--{name}-column."
            )
        return found[0] if found else None


def _plain_name(column: str) -> str:
    return re.sub(r"[\W_]+", "_", column.strip().casefold()).strip("_")


def is_known(column: str, named: NamedColumns = BY_USUAL_NAMES) -> bool:
    """Whether a column is one of ours, under whatever name."""
    return any(_is_called(column, name, named) for name in _ALIASES)


def is_link_column(column: str, named: NamedColumns) -> bool:
    """Whether a column has the links."""
    return _is_called(column, "url", named)


def _is_called(column: str, name: str, named: NamedColumns) -> bool:
    plain, wanted = _plain_name(column), named.get(name)
    if wanted is not None:
        return plain == _plain_name(wanted)
    return plain == name or plain.replace("_", "") in _ALIASES[name]

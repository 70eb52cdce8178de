"""Genres of cells in one spelling: separators, lists, columns of 0 and 1, aliases, no value."""

from __future__ import annotations

import ast
import difflib
import functools
import html
import itertools
import json
import re
import unicodedata
import warnings
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from trailergenre.base.errors import ConfigError
from trailergenre.links.cells import clean_text, is_missing
from trailergenre.links.columns import TableFile

ALIASES: dict[str, tuple[str, ...]] = {
    "Action": (),
    "Adult": (),
    "Adventure": (),
    "Animation": ("Animated",),
    "Biography": ("Biographical", "Biopic"),
    "Children": ("Children's", "Kids"),
    "Comedy": (),
    "Crime": (),
    "Documentary": (),
    "Drama": (),
    "Family": (),
    "Fantasy": (),
    "Film-Noir": ("Noir",),
    "Game-Show": (),
    "History": ("Historical",),
    "Horror": (),
    "IMAX": (),
    "Music": (),
    "Musical": (),
    "Mystery": (),
    "News": (),
    "Reality-TV": ("Reality",),
    "Romance": ("Romantic",),
    "Sci-Fi": ("Science Fiction", "SF"),
    "Short": ("Short Film",),
    "Sport": (),
    "TV Movie": ("TV Film",),
    "Talk-Show": (),
    "Thriller": (),
    "War": (),
    "Western": (),
}
"""Known genres, spelled as IMDb does, and other names. Case, hyphens and plurals never matter."""

_MAX_CHARS = 100_000
_MAX_COMPARED = 200
_MAX_SHOWN = 10
_NOT_AVAILABLE = re.compile(r"(?<![^\s|,;/])#?n/a(?![^\s|,;/])", re.IGNORECASE)
_SCI_FI = re.compile(r"\bsci\s?/\s?fi\b", re.IGNORECASE)
_SEPARATOR = re.compile(r"[|,;:/+~^>*#•·‚、‖¦\n\r\t]|\\(?![Nn]\b)|\s[-–—]\s")
_WORD_BREAK = re.compile(r"[\s\-–—&_]+")
# NumPy writes lists without commas, and Python would join their texts.
_NO_COMMA = re.compile(r"""(['"])\s+(?=['"])""")
_REPR = re.compile(r"(?:frozenset|set|array|list|tuple)\((.*?)(?:, dtype=\S+)?\)", re.DOTALL)
_CLOSING = {"[": "]", "{": "}", "(": ")"}
_NUMBERED = re.compile(r"genre[\W_]?[0-9]{1,2}", re.IGNORECASE)
_PREFIX = re.compile(r"(?:is|has|genres?)[_:.= -]+", re.IGNORECASE)
_MARKS = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "x"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "", "nan", "none"), False),
}


class GenreError(ValueError):
    """A cell holds something else than genres."""


@dataclass(frozen=True, slots=True)
class GenreColumn:
    """The genres of all rows of a table.

    Attributes:
        genres: sorted, unique; one tuple per row.
        problems: why the cell of a row cannot be read, by the row's position.
        read_as: spellings that are not the genre's own, and how they were read.
    """

    genres: list[tuple[str, ...]]
    problems: dict[int, str]
    read_as: dict[str, str]

    def describe(self) -> list[str]:
        """How spellings were read, as a note."""
        if not self.read_as:
            return []
        pairs = [f"{name!r} as {genre}" for name, genre in sorted(self.read_as.items())]
        more = f", and {len(pairs) - _MAX_SHOWN} more" if len(pairs) > _MAX_SHOWN else ""
        return [f"genres read: {', '.join(pairs[:_MAX_SHOWN])}{more}."]


def genre_key(name: str) -> str:
    """What the spellings of a genre have in common: letters and digits, without case.

    >>> genre_key("Sci-Fi") == genre_key("sci fi")
    True
    """
    folded = name.casefold()
    return "".join(c for c in folded if c.isalnum()) or folded


def _plurals(key: str) -> Iterator[str]:
    yield key
    yield f"{key}s"
    if key.endswith("y"):
        yield f"{key[:-1]}ies"


_KNOWN = {
    key: genre
    for genre, others in ALIASES.items()
    for name in (genre, *others)
    for key in _plurals(genre_key(name))
}


def read_genres(cells: Iterable[object]) -> GenreColumn:
    """Read the genres of cells: text, lists, or what Python and JSON write for lists.

    A genre that is not known is spelled as most of the cells spell it.

    >>> read_genres(["action, SciFi", "['Action']", "N/A", None]).genres
    [('Action', 'Sci-Fi'), ('Action',), (), ()]
    """
    named: list[list[str]] = []
    problems = {}
    for row, cell in enumerate(cells):
        names: list[str] = []
        try:
            names = list(_names(cell))
        except GenreError as error:
            problems[row] = str(error)
        except RecursionError:
            problems[row] = "the genres are nested too deeply"
        named.append(names)
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for name in itertools.chain.from_iterable(named):
        for genre in _known_genres(name) or (name,):
            spellings[genre_key(genre)][genre] += 1
    spelled = {
        key: min(counts.items(), key=lambda item: (-item[1], item[0]))[0]
        for key, counts in spellings.items()
    }
    read: dict[str, tuple[str, ...]] = {
        name: tuple(spelled[genre_key(genre)] for genre in _known_genres(name) or (name,))
        for name in set(itertools.chain.from_iterable(named))
    }
    return GenreColumn(
        genres=[
            tuple(sorted({genre for name in names for genre in read[name]})) for names in named
        ],
        problems=problems,
        read_as={name: "|".join(genres) for name, genres in read.items() if genres != (name,)},
    )


def _names(cell: object) -> Iterator[str]:
    """The names in a cell, as they are written.

    Raises:
        GenreError: it holds numbers, or a list that cannot be read.
    """
    if isinstance(cell, Mapping):
        yield from _names_of_mapping(cell)
    elif isinstance(cell, list | tuple | set):
        for each in cell:
            yield from _names(each)
    else:
        yield from _names_of_text(clean_text(cell))


def _names_of_mapping(cell: Mapping[object, object]) -> Iterator[str]:
    by_name = {str(key).casefold(): value for key, value in cell.items()}
    named = next((key for key in ("name", "genre", "title", "label") if key in by_name), None)
    if named:
        yield from _names(by_name[named])
    elif all(isinstance(value, str) for value in cell.values()):  # {"/m/07s9rl0": "Drama"}
        yield from _names(list(cell.values()))
    elif all(value in (0, 1) for value in cell.values()):
        yield from _names([key for key, value in cell.items() if value])
    else:
        raise GenreError(f"{str(cell)[:60]!r} names no genre")


@functools.lru_cache(10_000)
def _names_of_text(text: str) -> tuple[str, ...]:
    return tuple(_split_text(text))


def _split_text(text: str) -> Iterator[str]:
    if len(text) > _MAX_CHARS:
        raise GenreError(f"the genres have more than {_MAX_CHARS} characters")
    text = html.unescape(unicodedata.normalize("NFKC", text)).strip()
    if is_missing(text):
        return
    if match := _REPR.fullmatch(text):
        text = match[1] or "[]"
    first, last = text[0], text[-1]
    if last == _CLOSING.get(first):
        value = _evaluate(text)
        if value is not None:
            yield from _names(value)
            return
        if ":" in text:
            raise GenreError(f"{text[:60]!r} is not a list that Python or JSON can read")
        text = text[1:-1]
    elif first in "[{":
        raise GenreError(f"{text[:60]!r} is a list without its end")
    for piece in _SEPARATOR.split(_SCI_FI.sub("Sci-Fi", _NOT_AVAILABLE.sub("", text))):
        if name := _clean_name(piece):
            yield name


def _clean_name(piece: str) -> str:
    """The name of a genre; empty if it marks a missing value."""
    name = " ".join(piece.strip(" \"'`.").split())
    if name[:1] in _CLOSING and name[-1] == _CLOSING[name[0]]:
        name = name[1:-1].strip()
    if is_missing(name):
        return ""
    if not any(c.isalpha() for c in name) or any(c in '[]{}="' for c in name):
        raise GenreError(f"{name!r} is not the name of a genre")
    return name


def _evaluate(text: str) -> object:
    """The value of a list or mapping in the spelling of JSON or Python; None if it is neither."""
    text = _NO_COMMA.sub(r"\1, ", text)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        with warnings.catch_warnings(action="ignore"):  # about escapes
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


@functools.lru_cache(10_000)
def _known_genres(name: str) -> tuple[str, ...]:
    """The known genres that a name consists of, as in `Action-Sci-Fi`; empty if it has others."""
    words = [word for word in _WORD_BREAK.split(name) if word and word.casefold() != "and"]
    found: list[str] = []
    start = 0
    while start < len(words):
        for length in (3, 2, 1):
            key = genre_key("".join(words[start : start + length]))
            if start + length <= len(words) and key in _KNOWN:
                found.append(_KNOWN[key])
                start += length
                break
        else:
            return ()
    return tuple(found)


def read_genre_columns(table: TableFile) -> GenreColumn | None:
    """Read the column `genres`, `genre1` and so on, or columns of 0 and 1 named by genres.

    Returns:
        The genres of all rows; None if the table has neither.

    Raises:
        ConfigError: a column that is named by a genre holds something else than 0 and 1.
    """
    cells = table.column("genres")
    numbered = [name for name in table.other_columns() if _NUMBERED.fullmatch(name)]
    if numbered and table.named.genres is None:
        first = cells or [""] * len(table.rows)
        table.use_for_genres(numbered)
        cells = [
            [cell, *(row[name] for name in numbered)]
            for cell, row in zip(first, table.rows, strict=True)
        ]
    elif cells is None:
        columns = _binary_columns(table)
        if not columns:
            return None
        table.use_for_genres(columns)
        table.notes.append("genres are the columns of 0 and 1.")
        names = {name: _PREFIX.sub("", name, count=1).replace("_", " ") for name in columns}
        cells = [
            [names[column] for column in columns if _is_marked(row[column])] for row in table.rows
        ]
    column = read_genres(cells)
    table.notes += column.describe()
    return column


def _binary_columns(table: TableFile) -> list[str]:
    """The columns of 0 and 1: at least two with a genre's name, or all that are not ours."""
    others = table.other_columns()
    named = [name for name in others if _known_genres(_PREFIX.sub("", name, count=1))]
    for name in named if len(named) > 1 else ():
        for place, row in zip(table.places, table.rows, strict=True):
            if _is_marked(row[name]) is None:
                raise ConfigError(
                    f"{table.path}, {place}: the column {name!r} has a genre's name, but its cells "
                    f"are not 0 and 1. Received: {clean_text(row[name])!r}. Correct the cell, or "
                    "give the genres in one column 'genres'."
                )
    marked = [
        name
        for name in others
        if all(_is_marked(row[name]) is not None for row in table.rows)
        and any(clean_text(row[name]) for row in table.rows)
    ]
    return marked if len(named) > 1 or marked == others else []


def _is_marked(cell: object) -> bool | None:
    # Most cells are text or numbers as they are in the table.
    marked = _MARKS.get(str(cell))
    return _MARKS.get(clean_text(cell).casefold()) if marked is None else marked


def find_lookalikes(genres: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of genres that look alike, of which at most one is known.

    >>> find_lookalikes(["Comedy", "Comdey", "Dark Comedy", "Music", "Musical"])
    [('Comdey', 'Comedy'), ('Comedy', 'Dark Comedy')]
    """
    names = sorted(genres)[:_MAX_COMPARED]
    words = {name: {w for w in _WORD_BREAK.split(name.casefold()) if w != "and"} for name in names}
    found = []
    for first, second in itertools.combinations(names, 2):
        keys = genre_key(first), genre_key(second)
        if keys[0] in _KNOWN and keys[1] in _KNOWN:
            continue
        matcher = difflib.SequenceMatcher(None, *keys, autojunk=False)
        is_like = matcher.real_quick_ratio() >= 0.8 and matcher.ratio() >= 0.8
        if is_like or words[first] < words[second] or words[second] < words[first]:
            found.append((first, second))
    return found

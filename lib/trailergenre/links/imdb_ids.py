"""IMDb ids: every spelling to the canonical one, `tt` and at least seven digits."""

from __future__ import annotations

import re
import unicodedata

from trailergenre.links.cells import clean_text, is_missing

_PAGE = re.compile(r"/title/(?:tt)?([0-9]{1,10})(?![0-9])", re.IGNORECASE)
_IN_TEXT = re.compile(r"(?<![a-z0-9_])tt[\s:-]*([0-9]{1,10})(?![0-9])", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,10}(?:\.0*)?|[0-9]{1,3}(?:[, ][0-9]{3})+")
_NUMBERS = re.compile(r"[0-9]{5,10}(?:[\s,;|/]+[0-9]{5,10})+")
_ROUNDED = re.compile(r"[0-9]+(?:[.,][0-9]+)?e\+?[0-9]+", re.IGNORECASE)
_NONE = re.compile(r"-[0-9]+(?:\.0*)?|(?:tt)?0+(?:\.0*)?", re.IGNORECASE)


class IdError(ValueError):
    """A cell does not say which movie it means."""


def parse_movie_id(cell: object) -> str:
    """The canonical IMDb id of a cell, empty if it has none. Text of other kinds is kept as an id.

    >>> [parse_movie_id(cell) for cell in ("tt499549", 499549.0, "imdb.com/title/tt0499549/")]
    ['tt0499549', 'tt0499549', 'tt0499549']
    >>> parse_movie_id("N/A"), parse_movie_id("film-7")
    ('', 'film-7')

    Raises:
        IdError: the cell has several ids, or a number that was rounded.
    """
    text = unicodedata.normalize("NFKC", clean_text(cell)).strip("\"'`=#")
    if is_missing(text) or _NONE.fullmatch(text):
        return ""
    numbers = {int(digits) for digits in _PAGE.findall(text) or _IN_TEXT.findall(text)}
    if not numbers and _NUMBER.fullmatch(text):
        numbers = {int(re.sub("[, ]", "", text.partition(".")[0]))}
    if len(numbers) > 1 or (not numbers and _NUMBERS.fullmatch(text)):
        raise IdError(f"{text!r} has several IMDb ids; give each movie a row")
    if not numbers and _ROUNDED.fullmatch(text):
        raise IdError(f"the id {text!r} is a rounded number; save the column as text")
    return f"tt{numbers.pop():07}" if numbers else " ".join(text.split())

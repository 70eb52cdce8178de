"""Titles of movies: one key for their spellings, and the year that a title ends with."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import NamedTuple

from trailergenre.links.cells import clean_text, is_null

_ARTICLES = ("The", "A", "An")
_IN_BRACKETS = re.compile(r"[(\[]((?:18|19|20)[0-9]{2})[)\]]")
_TOKEN = re.compile(r"[^\W_]+|(?<=\s)[-–—](?=\s)|[|:(\[]")
_BREAKS = frozenset("-–—|:([")
_TRAILER = {"trailer", "trailers", "teaser", "teasers"}
_KINDS = {"official", "theatrical", "exclusive", "hd", "teaser"}
"""Words before `trailer` that no title ends with."""
_PERHAPS_KINDS = {
    *("final", "first", "new", "main", "full", "movie", "film", "international", "uk", "us"),
    *("red", "band", "redband"),
}


class TitleKey(NamedTuple):
    """What spellings of one title have in common; `year` is empty if unknown."""

    name: str
    year: str


def clean_title(cell: object) -> str:
    """A cell as a title; empty where a program wrote that it is missing."""
    text = clean_text(cell)
    return "" if is_null(text) else text


def title_key(title: str, year: str = "") -> TitleKey:
    """The name without case, accents, punctuation and words about the trailer; and the year.

    The name is empty if the title says nothing but `Official Trailer 2`.

    Args:
        title: may hold the year in brackets.
        year: of a column of its own; it wins.

    >>> title_key("Matrix, The (1999)"), title_key("THE MATRIX - Official Trailer #2", "1999")
    (TitleKey(name='thematrix', year='1999'), TitleKey(name='thematrix', year='1999'))
    """
    text = unicodedata.normalize("NFKD", html.unescape(title))
    for match in _IN_BRACKETS.finditer(text):
        year = year or match[1]
    text = _IN_BRACKETS.sub(" ", text).replace("&", " and ").strip()
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = _move_article(text).casefold()
    tokens = _TOKEN.findall(text)
    return TitleKey("".join(_without_trailer(tokens)) if tokens else text, year)


def _without_trailer(tokens: list[str]) -> list[str]:
    """The words of a title, without those about the trailer: `- Official Trailer #2`."""
    words = [token for token in tokens if token not in _BREAKS]
    if not _TRAILER & set(words):
        return words
    place = next((n for n, token in enumerate(tokens) if token in _TRAILER and n), 0)
    if not place:
        return words if any(not w.isdigit() and w not in _KINDS for w in words[1:]) else []
    start = place
    while start and tokens[start - 1] in _KINDS | _PERHAPS_KINDS:
        start -= 1
    if not start or tokens[start - 1] not in _BREAKS:
        start = place
        while start and tokens[start - 1] in _KINDS:
            start -= 1
    kept = [token for token in tokens[:start] if token not in _BREAKS]
    return words if kept in (["the"], ["a"], ["an"]) else kept


def _move_article(name: str) -> str:
    for article in _ARTICLES:
        ending = f", {article}"
        if name.casefold().endswith(ending.casefold()):
            return f"{article} {name[: -len(ending)]}"
    return name

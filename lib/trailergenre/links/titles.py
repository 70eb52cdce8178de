"""Titles of movies: one key for their spellings, and the year that a title ends with."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from trailergenre.links.cells import clean_text, is_null

_ARTICLES = ("The", "A", "An")
_IN_BRACKETS = re.compile(r"[(\[]((?:18|19|20)[0-9]{2})[)\]]")
_WORD = re.compile(r"[^\W_]+")
_TRAILER = {"trailer", "trailers", "teaser", "teasers"}
_BEFORE_TRAILER = {
    *("official", "final", "first", "new", "main", "full", "movie", "film", "theatrical"),
    *("international", "exclusive", "hd", "uk", "us", "red", "redband", "band", "teaser"),
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
    text = unicodedata.normalize("NFKD", title).casefold()
    for match in _IN_BRACKETS.finditer(text):
        year = year or match[1]
    text = _IN_BRACKETS.sub(" ", text).replace("&", " and ").strip()
    text = "".join(c for c in text if not unicodedata.combining(c))
    words = _WORD.findall(_move_article(text))
    return TitleKey("".join(_without_trailer(words)) if words else text, year)


def _without_trailer(words: list[str]) -> list[str]:
    if _TRAILER & set(words) and all(w in _TRAILER | _BEFORE_TRAILER or w.isdigit() for w in words):
        return []
    for place, word in enumerate(words):
        if word in _TRAILER and place:
            kept = words[:place]
            while len(kept) > 1 and kept[-1] in _BEFORE_TRAILER:
                kept.pop()
            return words if kept in (["the"], ["a"], ["an"]) else kept
    return words


def _move_article(name: str) -> str:
    for article in _ARTICLES:
        ending = f", {article}"
        if name.casefold().endswith(ending.casefold()):
            return f"{article} {name[: -len(ending)]}"
    return name


def split_dated(title: str) -> list[tuple[str, str]]:
    """Title and year from MovieLens' spelling, also without a second title in parentheses.

    >>> split_dated("Celebration, The (Festen) (1998)")
    [('Celebration, The (Festen)', '1998'), ('The Celebration', '1998')]
    """
    whole, year = title[:-7], title[-7:]
    if not (whole and re.fullmatch(r" \([0-9]{4}\)", year)):
        return []
    second = whole.find(" (", 1) if whole.endswith(")") else -1
    names = dict.fromkeys((whole, whole[:second] if second > 0 else whole))
    return [(_move_article(name), year[2:-1]) for name in names]

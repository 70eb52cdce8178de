"""Spellings of one title have one key, titles of two movies have two."""

from __future__ import annotations

import time

import pytest

from trailergenre.links.cells import parse_year
from trailergenre.links.titles import clean_title, title_key


@pytest.mark.parametrize(
    "title",
    [
        *("The Matrix (1999)", "Matrix, The (1999)", "THE MATRIX [1999]", "the  matrix (1999) "),
        *("The Matrix - Official Trailer (1999)", "The Matrix (1999) Official Trailer #2 [HD]"),
        *("The Matrix (1999) | Teaser", "The Mátrix (1999)", "“The Matrix” (1999)"),
        *("The Matrix | New Trailer (1999)", "The Matrix (1999): Red Band Trailer"),
        *("The Matrix Trailer 2 (1999)", "The Matrix (1999) - Final Trailer", "The-Matrix (1999)"),
    ],
)
def test_spellings_of_a_title_are_one(title: str) -> None:
    assert title_key(title) == ("thematrix", "1999")


def test_a_year_of_its_own_column_counts() -> None:
    assert title_key("Up", "2009") == title_key("UP (2009)") == ("up", "2009")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Alien", "Aliens"),
        ("Fast &amp; Furious", "Fast & Furious 2"),
        ("Halloween (1978)", "Halloween (2018)"),
        ("Toy Story 2", "Toy Story 3"),
        ("1917 (2019)", "2012 (2009)"),
        ("Trailer Park of Terror", "Trailer Town"),
        ("$", "*"),
        ("Scary", "Scary Movie - Trailer"),
        ("Something", "Something New Trailer"),
        ("Movie 1 - Official Trailer", "Movie 2 - Official Trailer"),
        ("The Trailer", "The Teaser"),
        ("日本", "中国"),
    ],
)
def test_two_movies_are_two(first: str, second: str) -> None:
    assert title_key(first) != title_key(second)


@pytest.mark.parametrize("title", ["Scary Movie", "Code Red", "Us", "Movie 7", "2012", "Ali: Fear"])
@pytest.mark.parametrize(
    "ending", [" Trailer", " - Official Trailer", " (Final Trailer)", " | Teaser"]
)
def test_words_about_the_trailer_do_not_count(title: str, ending: str) -> None:
    assert title_key(title + ending) == title_key(title)


@pytest.mark.parametrize("title", ["Official Trailer", "Trailer 2", "Teaser", "TRAILER HD", ""])
def test_a_title_that_names_no_movie_has_no_name(title: str) -> None:
    assert title_key(title).name == ""


@pytest.mark.parametrize(
    "cell", [None, float("nan"), "nan", "N/A", "\\N", "<NA>", "#NAME?", "None"]
)
def test_no_title_is_empty(cell: object) -> None:
    assert clean_title(cell) == ""


def test_titles_that_are_numbers_or_words_for_nothing_stay() -> None:
    assert [clean_title(cell) for cell in (1917, 1917.0, "Unknown", "[REC]", " Up\u00a0")] == [
        *("1917", "1917", "Unknown", "[REC]", "Up")
    ]


@pytest.mark.parametrize(
    "cell",
    [1999, 1999.0, "1999", "1999.0", "(1999)", "1999-03-31", "31.03.1999", "1999–2001", " 1999 "],
)
def test_a_year_in_every_spelling(cell: object) -> None:
    assert parse_year(cell) == "1999"


@pytest.mark.parametrize("cell", [None, float("nan"), "", "N/A", "\\N", "0", 0, "99", "19990331"])
def test_what_is_no_year_is_none(cell: object) -> None:
    assert parse_year(cell) == ""


@pytest.mark.parametrize("unit", [" (", "(x) ", "a, The ", "- trailer ", " "])
def test_a_long_title_takes_no_longer_than_its_length(unit: str) -> None:
    title = f"{unit * (200_000 // len(unit))} (1999)"
    started = time.perf_counter()
    title_key(title)
    assert time.perf_counter() - started < 2  # a quadratic search of this length takes minutes

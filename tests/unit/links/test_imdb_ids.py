"""Every spelling of an IMDb id is one id; what names no movie, or several, is not."""

from __future__ import annotations

import pytest

from trailergenre.links.imdb_ids import IdError, parse_movie_id


@pytest.mark.parametrize(
    "cell",
    [
        *("tt0499549", "tt499549", "tt00499549", "0499549", "499549", "499549.0", " TT0499549 "),
        *(
            499549,
            499549.0,
            "tt 0499549",
            "'tt0499549'",
            "499,549",
            "tt0499549/",
            "/title/tt0499549",
        ),
        "http://www.imdb.com/title/tt0499549/?ref_=fn_tt_tt_1",
        "https://www.imdb.com/title/tt0499549/?ref_=tt1&x=tt_2",
        "https://m.imdb.com/de/title/tt0499549/reviews",
        "imdb.com/title/0499549",
        "\u00a0tt0499549\u00a0",
        b"tt0499549",
        '="0499549"',
        *("#499549", "499 549", "４９９５４９", "tt-0499549", "imdb:tt0499549"),
        "{'id': 'tt0499549'}",
    ],
)
def test_every_spelling_is_one_id(cell: object) -> None:
    assert parse_movie_id(cell) == "tt0499549"


def test_ids_of_eight_digits_keep_them() -> None:
    assert parse_movie_id("tt10872600") == parse_movie_id(10872600.0) == "tt10872600"


@pytest.mark.parametrize(
    "cell",
    [
        *(None, float("nan"), "", " ", "N/A", "nan", "None", "null", "-", "?", "\\N", "<NA>"),
        *("unknown", 0, "0", "tt0000000", -1, "-1.0", "#N/A", "NaN", "NULL", "[]"),
    ],
)
def test_a_marker_of_missing_is_no_id(cell: object) -> None:
    assert parse_movie_id(cell) == ""


@pytest.mark.parametrize("cell", ["film-7", "tmdb:550", "nm0000116", "5f2b9c", "tt12345678901"])
def test_ids_of_others_stay_as_they_are(cell: str) -> None:
    assert parse_movie_id(cell) == cell


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("tt0499549, tt0449088", "several IMDb ids"),
        ("tt0499549|tt0449088", "several IMDb ids"),
        ("0499549 0449088", "several IMDb ids"),
        ("1.10328E+07", "rounded"),
        ("4,99549e+05", "rounded"),
    ],
)
def test_a_cell_that_names_no_single_movie_is_refused(cell: str, message: str) -> None:
    with pytest.raises(IdError, match=message):
        parse_movie_id(cell)

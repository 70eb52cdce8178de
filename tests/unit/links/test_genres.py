"""Genres in the spellings of other programs and people; what is no genre is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.links.columns import TableFile
from trailergenre.links.genres import find_lookalikes, read_genre_columns, read_genres


def one(cell: object) -> tuple[str, ...]:
    """The genres of one cell that can be read."""
    column = read_genres([cell])
    assert column.problems == {}
    return column.genres[0]


@pytest.mark.parametrize(
    "cell",
    [
        *("Action|Comedy", "Action, Comedy", "Action;Comedy", "Action/Comedy", "Comedy / Action"),
        *("Action | comedy|ACTION", "|Action|Comedy|", "Action\nComedy", "Action\tComedy"),
        *(
            "Action+Comedy",
            "Action - Comedy",
            "Action – Comedy",
            "Action-Comedy",
            "Action • Comedy",
        ),
        *("Action & Comedy", "Action &amp; Comedy", "Action and Comedy", "Action Comedy"),
        *(
            "Action、Comedy",
            "Action，Comedy",
            "Action｜Comedy",
            "Action\\Comedy",
            '"Action", "Comedy"',
        ),
        *(
            "['Action', 'Comedy']",
            '["Action", "Comedy"]',
            "('Action', 'Comedy')",
            "[Action, Comedy]",
        ),
        *(
            "{'Action', 'Comedy'}",
            "{Action,Comedy}",
            "['Action' 'Comedy']",
            "['Action'\n 'Comedy']",
        ),
        *("['Action|Comedy']", "[['Action'], ['Comedy']]", "['Action', None, nan, 'Comedy']"),
        "[{'id': 28, 'name': 'Action'}, {'id': 35, 'name': 'Comedy'}]",
        '[{"id": 28, "name": "Action"}, {"id": 35, "name": "Comedy"}]',
        '{"/m/02kdv5l": "Action", "/m/01z4y": "Comedy"}',
        "{'Action': 1, 'Comedy': 1, 'Drama': 0}",
        ["Action", "Comedy"],
        ("Comedy", "Action"),
        ["Action|Comedy"],
        [{"id": 28, "name": "Action"}, {"id": 35, "Name": "Comedy"}],
        {"Action": True, "Comedy": True, "War": False},
        *("Action: Comedy", "Action > Comedy", "Action~Comedy", "Action*Comedy", "Action_Comedy"),
        *("frozenset({'Action', 'Comedy'})", "array(['Action', 'Comedy'], dtype=object)"),
        *("Action|Comedy|N/A", "Action/N/A/Comedy", "Action|Comedy|\\N", "Action,,Comedy,"),
    ],
)
def test_two_genres_in_every_spelling(cell: object) -> None:
    assert one(cell) == ("Action", "Comedy")


@pytest.mark.parametrize(
    ("names", "genre"),
    [
        ("Sci-Fi|SciFi|Sci Fi|sci_fi|Science Fiction|SCIENCE-FICTION|Sci/Fi|SF", "Sci-Fi"),
        ("Film-Noir|film noir|Noir|FilmNoir", "Film-Noir"),
        ("Comedy|comedies|COMEDY|Comedy.", "Comedy"),
        ("Children's|Children|Kids", "Children"),
        ("Sport|Sports", "Sport"),
        ("Animation|Animated", "Animation"),
        ("TV Movie|TV-Movie", "TV Movie"),
        ("Documentary|documentaries", "Documentary"),
    ],
)
def test_other_names_of_a_genre_are_the_genre(names: str, genre: str) -> None:
    assert one(names) == (genre,)


@pytest.mark.parametrize(
    "cell",
    [
        *(None, float("nan"), "", " ", "(no genres listed)", "N/A", "n/a", "NA", "NaN", "nan"),
        *("None", "null", "NULL", "-", "--", "?", "unknown", "Unknown", "\\N", "[]", "{}", "()"),
        *("[None]", "<NA>", "#N/A", "['']", "Not available", "missing", "N/A|N/A", [], {}, [None]),
        *("[nan]", "undefined", "(none)", "no genres listed", "NO GENRES LISTED"),
        *("(no genre listed)", "no_genres_listed", "none listed", "Uncategorized", "set()"),
    ],
)
def test_a_marker_of_missing_is_no_genre(cell: object) -> None:
    assert one(cell) == ()


@pytest.mark.parametrize(
    ("cell", "finding"),
    [
        ("x=['Drama']", "is not the name of a genre"),
        ("28|12", "'28' is not the name of a genre"),
        ("[28, 12]", "'28' is not the name"),
        (28, "'28' is not the name"),
        ("[{'id': 28}]", "names no genre"),
        ("[{'id': 28, 'name': 'Act", "a list without its end"),
        ("{'id': 28, 'name': Action}", "not a list that Python or JSON can read"),
        ("[" * 5000 + "]" * 5000, ""),
        ("x" * 200_000, "more than 100000 characters"),
    ],
)
def test_what_is_no_genre_is_told_with_the_row(cell: object, finding: str) -> None:
    column = read_genres(["Drama", cell])
    assert column.genres == [("Drama",), ()]
    if finding:
        assert re.search(re.escape(finding), column.problems[1])


@pytest.mark.parametrize(
    "cell", ["[exit(3)]", "{'name': exit(3)}", "(lambda: exit(3))()", "exit(3)"]
)
def test_a_cell_is_never_run(cell: str) -> None:
    assert len(read_genres([cell]).genres) == 1  # and this process goes on


def test_a_genre_of_ones_own_is_spelled_as_most_rows_spell_it() -> None:
    column = read_genres(["anime", "Anime|Drama", "ANIME", "Anime"])
    assert column.genres == [("Anime",), ("Anime", "Drama"), ("Anime",), ("Anime",)]
    assert column.describe() == ["genres read: 'ANIME' as Anime, 'anime' as Anime."]


def test_names_with_a_word_that_is_no_genre_stay_whole() -> None:
    assert one("Coming-of-Age|Neo-Noir|War & Politics|(Drama)|Drama (US)") == (
        "Coming-of-Age",
        "Drama",
        "Drama (US)",
        "Neo-Noir",
        "War & Politics",
    )


def test_what_looks_alike_is_found_unless_both_are_known() -> None:
    assert find_lookalikes({"Musical", "Music", "History", "Mystery", "Horror"}) == []
    assert find_lookalikes({"Horor", "Horror", "Romantic Komedy", "Mystery-Box", "Mystery"}) == [
        ("Horor", "Horror"),
        ("Mystery", "Mystery-Box"),
    ]


def table(columns: dict[str, list[object]]) -> TableFile:
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return TableFile(
        Path("x.csv"), list(columns), rows, [f"line {n + 2}" for n in range(len(rows))]
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"Action": ["1", "0"], "Sci-Fi": ["0", "1"]},
        {"genre_Action": [1, 0], "genre_Sci-Fi": [0, 1]},
        {"is_action": [True, False], "Science_Fiction": [False, True]},
        {"ACTION": ["1.0", ""], "sci_fi": ["", "1.0"]},
        {"Genre: Action": ["yes", "no"], "scifi": ["no", "yes"]},
    ],
)
def test_columns_of_0_and_1_are_genres(columns: dict[str, list[object]]) -> None:
    found = table({"title": ["a", "b"], "votes": ["17", "3"], **columns})
    column = read_genre_columns(found)
    assert column is not None
    assert column.genres == [("Action",), ("Sci-Fi",)]
    assert any("columns of 0 and 1" in note for note in found.notes)


@pytest.mark.parametrize(
    "names", [("genre1", "Genre 2"), ("genre", "genre_2"), ("Genres", "genre2")]
)
def test_numbered_columns_are_one_list(names: tuple[str, str]) -> None:
    cells: tuple[list[object], ...] = (["Action", "Drama"], ["Comedy", None])
    column = read_genre_columns(
        table({"title": ["a", "b"], **dict(zip(names, cells, strict=True))})
    )
    assert column is not None
    assert column.genres == [("Action", "Comedy"), ("Drama",)]


def test_a_column_with_a_genres_name_and_other_cells_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"line 3: the column 'War'.*'2'.*Correct the cell"):
        read_genre_columns(table({"title": ["a", "b"], "War": ["0", "2"], "Crime": ["0", "1"]}))


def test_columns_of_other_things_are_no_genres() -> None:
    assert (
        read_genre_columns(table({"title": ["a", "b"], "adult": ["True", "False"], "n": [3, 4]}))
        is None
    )

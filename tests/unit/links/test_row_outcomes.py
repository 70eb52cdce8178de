"""Every input row gets one outcome: precedence, ambiguous rows, duplicates, external rows."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.outcomes import RowOutcome
from trailergenre.links.external.labels import LabelRow
from trailergenre.links.input_lists import InputList, InputRow
from trailergenre.links.labelled_links import Part
from trailergenre.links.metadata import Metadata, Movie
from trailergenre.links.prepare import labels_table
from trailergenre.links.row_outcomes import PreparedRow, prepare_external, prepare_rows

METADATA = Metadata.of(
    [
        Movie("tt1", "A", ("Drama",)),
        Movie("tt2", "B", ("Comedy", "War")),
        Movie("tt3", "Twice", ("Drama",)),
        Movie("tt4", "Twice", ("War",)),
        Movie("tt5", "Nothing known", ()),
    ]
)


def listed(*rows: tuple[str, str, str, tuple[str, ...]]) -> InputList:
    """A list of (url, title, movie_id, genres)."""
    return InputList(
        name="links.csv",
        base=Path("/nowhere"),
        columns=("url", "title", "movie_id", "genres"),
        rows=[InputRow(number, *row) for number, row in enumerate(rows, start=1)],
        has_genres=True,
    )


def prepare(
    *rows: tuple[str, str, str, tuple[str, ...]],
    metadata: Metadata | None = None,
    needs_genres: bool = True,
) -> list[PreparedRow]:
    return prepare_rows(
        listed(*rows),
        metadata,
        links=LinksConfig(),
        network=NetworkConfig(),
        needs_genres=needs_genres,
    )


def outcomes(rows: list[PreparedRow]) -> list[RowOutcome]:
    return [row.outcome for row in rows]


def test_what_is_wrong_with_the_link_comes_before_what_is_wrong_with_the_label() -> None:
    rows = prepare(
        ("", "Twice", "", ()),
        ("-J", "", "", ()),
        ("ftp://example.org/x", "", "", ()),
        ("http://127.0.0.1/x", "Twice", "", ()),
        ("https://www.youtube.com/user/movieclips", "Twice", "", ()),
        ("https://example.org/1", "Twice", "", ()),
        ("https://example.org/1", "Twice", "", ()),
        ("https://example.org/2", "Unknown", "", ()),
        ("https://example.org/2", "Unknown", "", ()),
        ("https://example.org/3", "A", "", ()),
        ("https://example.org/3#t=1", "A", "", ()),
        metadata=METADATA,
    )
    assert outcomes(rows) == [
        RowOutcome.LINK_EMPTY,
        RowOutcome.LINK_INVALID,
        RowOutcome.SCHEME_REFUSED,
        RowOutcome.HOST_DENIED,
        RowOutcome.NOT_A_SINGLE_VIDEO,
        RowOutcome.AMBIGUOUS,
        RowOutcome.AMBIGUOUS,
        RowOutcome.NO_LABEL,
        RowOutcome.NO_LABEL,
        RowOutcome.READY,
        RowOutcome.DUPLICATE,
    ]
    assert all(row.detail for row in rows if row.outcome is not RowOutcome.READY)
    assert rows[5].detail == "title 'Twice' matches several movies: tt3, tt4"
    assert rows[10].detail == "row 10 has the same link"


def test_genres_and_ids_come_from_the_metadata_alone() -> None:
    rows = prepare(
        ("https://example.org/1", "B", "", ("Horror",)),
        ("https://example.org/2", "Twice", "tt4", ("Horror",)),
        ("https://example.org/3", "Unknown", "", ("Horror",)),
        ("https://example.org/4", "A", "tt9", ("Horror",)),
        ("https://example.org/5", "Nothing known", "", ("Horror",)),
        metadata=METADATA,
    )
    assert [(row.movie_id, row.genres) for row in rows] == [
        ("tt2", ("Comedy", "War")),
        ("tt4", ("War",)),
        (None, ()),
        ("tt9", ()),  # another movie of that title is no evidence
        ("tt5", ()),
    ]
    assert outcomes(rows) == [RowOutcome.READY] * 2 + [RowOutcome.NO_LABEL] * 3


def test_all_rows_of_a_link_that_serves_several_movies_are_ambiguous() -> None:
    rows = prepare(
        ("https://youtu.be/eUTtt14G31c", "A", "", ()),
        ("https://example.org/1", "A", "", ()),
        ("https://www.youtube.com/watch?v=eUTtt14G31c&t=3", "B", "", ()),
        ("https://example.org/2", "A", "", ()),
        ("https://example.org/2", "Unknown", "", ()),
        metadata=METADATA,
    )
    assert outcomes(rows) == [
        RowOutcome.AMBIGUOUS,
        RowOutcome.READY,
        RowOutcome.AMBIGUOUS,
        RowOutcome.AMBIGUOUS,
        RowOutcome.AMBIGUOUS,
    ]
    assert rows[0].detail == "2 movies have this link: tt1, tt2"


def test_without_metadata_titles_and_genres_tell_movies_apart() -> None:
    url = "https://example.org/"
    rows = prepare(
        (url + "1", "A", "", ("Drama",)),
        (url + "1", "B", "", ("Drama",)),
        (url + "2", "A", "", ("Drama",)),
        (url + "2", "A", "", ("War",)),
        (url + "3", "A", "tt1", ("Drama",)),
        (url + "3", "A", "", ("Drama",)),
        (url + "4", "", "", ("Drama",)),
        (url + "4", "A", "", ("Drama",)),
        (url + "5", "A", "", ()),
    )
    assert outcomes(rows) == [
        RowOutcome.AMBIGUOUS,
        RowOutcome.AMBIGUOUS,
        RowOutcome.AMBIGUOUS,
        RowOutcome.AMBIGUOUS,
        RowOutcome.READY,
        RowOutcome.DUPLICATE,
        RowOutcome.READY,
        RowOutcome.DUPLICATE,
        RowOutcome.NO_LABEL,
    ]


def test_links_that_are_scored_only_need_no_genres_and_get_no_labels() -> None:
    rows = prepare(
        ("https://example.org/1", "A", "", ()),
        ("https://example.org/1", "B", "", ("Drama",)),
        ("https://example.org/2", "B", "", ("Drama",)),
        ("", "B", "", ()),
        needs_genres=False,
    )
    assert outcomes(rows) == [
        RowOutcome.READY,
        RowOutcome.DUPLICATE,
        RowOutcome.READY,
        RowOutcome.LINK_EMPTY,
    ]
    assert len(labels_table(rows)) == 0


def test_external_labels_and_arrays_are_joined_by_id() -> None:
    labels = [
        LabelRow("1", "Up (2009)", "tt1", ("Drama",), Part.TEST),
        LabelRow("2", "", "", (), None),
        LabelRow("1", "Up (2009)", "tt1", ("Drama",), Part.TEST),
        LabelRow("gone", "", "", ("War",), Part.TRAIN),
        LabelRow("", "", "", ("War",), Part.TRAIN),
        LabelRow("3", "", "", ("War",), Part.TRAIN),
        LabelRow("4", "", "", (), None, "the genres are nested too deeply"),
    ]
    rows = prepare_external(labels, ["1", "2", "3", "4", "other"], "published:x/")
    assert [(row.outcome, row.detail) for row in rows] == [
        (RowOutcome.READY, ""),
        (RowOutcome.NO_LABEL, "the row has no genres"),
        (RowOutcome.DUPLICATE, "row 1 has the same link"),
        (RowOutcome.NO_ARRAY, "no array has the id 'gone'"),
        (RowOutcome.LINK_EMPTY, "the id is empty"),
        (RowOutcome.READY, ""),
        (RowOutcome.NO_LABEL, "the genres are nested too deeply"),
        (RowOutcome.NO_LABEL, "the labels have no row for the array 'other'"),
    ]
    first, second = labels_table(rows).to_pylist()
    assert first["link_id"] == hashlib.sha256(b"published:x/1").hexdigest()
    assert (first["movie_id"], first["part"]) == ("tt1", "test")
    assert second["movie_id"] == second["link_id"]


def test_external_rows_of_one_array_that_disagree_are_ambiguous() -> None:
    labels = [LabelRow("1", "", "", (genre,), None) for genre in ("War", "Drama")]
    rows = prepare_external(labels, ["1"], "published:x/")
    assert outcomes(rows) == [RowOutcome.AMBIGUOUS] * 2


def titled(*rows: tuple[str, str, str], genres: str = "Drama") -> list[PreparedRow]:
    """Rows of (title, year, movie_id), each with a link of its own."""
    source = InputList(
        name="links.csv",
        base=Path("/nowhere"),
        columns=(),
        rows=[
            InputRow(n, f"https://example.org/{n}", title, movie_id, (genres,), year)
            for n, (title, year, movie_id) in enumerate(rows, start=1)
        ],
        has_genres=True,
    )
    return prepare_rows(
        source, None, links=LinksConfig(), network=NetworkConfig(), needs_genres=True
    )


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        ([("Up", "", ""), ("UP", "", "")], "title:up"),
        ([("Up (2009)", "", ""), ("Up", "2009", "")], "title:up (2009)"),
        ([("Up (2009)", "", ""), ("Up", "", "")], "title:up (2009)"),
        ([("Up - Trailer 1", "", ""), ("Up (Official Trailer)", "", "")], "title:up"),
        ([("The Kid", "", ""), ("Kid, The", "", "")], "title:thekid"),
        ([("Up", "2009", "tt1049413"), ("Up (2009)", "", "")], "tt1049413"),
        ([("Up", "", "tt1049413"), ("Up", "2009", "")], "tt1049413"),
        ([("Up", "", "tt1049413"), ("up", "", "")], "tt1049413"),
    ],
)
def test_links_of_one_title_are_one_movie(rows: list[tuple[str, str, str]], name: str) -> None:
    prepared = titled(*rows, ("Another", "", ""))
    assert [row.movie for row in prepared[:2]] == [name] * 2
    assert prepared[2].movie == prepared[2].link.link_id  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "rows",
    [
        [("Halloween (1978)", "", ""), ("Halloween (2018)", "", "")],
        [("The Host", "2006", "tt0468492"), ("The Host", "2013", "tt1517260")],
        [("The Host", "", "tt0468492"), ("The Host", "", "tt1517260")],
        [("Alien", "", ""), ("Aliens", "", "")],
        [("", "", ""), ("", "", "")],
        [("Official Trailer", "", ""), ("Trailer 2", "", "")],
    ],
)
def test_other_years_ids_and_titles_are_other_movies(rows: list[tuple[str, str, str]]) -> None:
    prepared = titled(*rows)
    assert outcomes(prepared) == [RowOutcome.READY] * 2
    assert len({row.movie for row in prepared}) == 2


def test_a_title_that_may_be_of_two_movies_is_ambiguous() -> None:
    years = titled(("Halloween (1978)", "", ""), ("Halloween", "2018", ""), ("Halloween", "", ""))
    ids = titled(("The Host", "", "tt0468492"), ("The Host", "", "tt1517260"), ("The Host", "", ""))
    for rows in (years, ids):
        assert outcomes(rows) == [RowOutcome.READY, RowOutcome.READY, RowOutcome.AMBIGUOUS]
        assert rows[2].detail.endswith("give its year or movie_id")


def test_files_of_one_name_and_other_genres_are_two_movies() -> None:
    rows = [
        InputRow(n, f"https://example.org/{n}", "00", "", (genre,))
        for n, genre in enumerate(("Comedy", "Horror", "Horror"), start=1)
    ]
    source = InputList("videos", Path("/nowhere"), (), rows, has_genres=True, is_directory=True)
    prepared = prepare_rows(
        source, None, links=LinksConfig(), network=NetworkConfig(), needs_genres=True
    )
    first, second, third = (row.movie for row in prepared)
    assert first != second == third


def test_a_cell_that_cannot_be_read_is_the_reason_unless_the_metadata_have_the_genres() -> None:
    row = InputRow(1, "https://example.org/1", "A", "", (), problem="'18' is not a genre")
    source = InputList("links.csv", Path("/nowhere"), (), [row], has_genres=True)
    for metadata, expected in ((None, RowOutcome.NO_LABEL), (METADATA, RowOutcome.READY)):
        (prepared,) = prepare_rows(
            source, metadata, links=LinksConfig(), network=NetworkConfig(), needs_genres=True
        )
        assert prepared.outcome is expected
        assert prepared.detail == ("" if metadata else "'18' is not a genre")

"""The tables of prepared rows, and the parts of a given split."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from trailergenre.base.config import LinksConfig, NetworkConfig
from trailergenre.base.errors import LeakError
from trailergenre.base.outcomes import RowOutcome
from trailergenre.links.input_lists import InputList, InputRow
from trailergenre.links.labelled_links import Part
from trailergenre.links.metadata import Metadata
from trailergenre.links.prepare import assign_parts, labels_table, links_table
from trailergenre.links.row_outcomes import PreparedRow, prepare_rows
from trailergenre.runs import schemas


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


def test_the_tables_hold_every_row_and_every_ready_link() -> None:
    source = listed(
        ("https://example.org/1", "A", "tt1", ("Drama",)),
        (" -J", "B", "", ("War",)),
        ("https://example.org/2", "B", "", ("War",)),
    )
    rows = prepare_rows(
        source, None, links=LinksConfig(), network=NetworkConfig(), needs_genres=True
    )
    links, labels = links_table(rows), labels_table(rows)
    schemas.check_table("links", links.schema)
    schemas.check_table("labels", labels.schema)
    assert links["row_outcome"].to_pylist() == ["ready", "link_invalid", "ready"]
    assert links["url"].to_pylist() == ["https://example.org/1", " -J", "https://example.org/2"]
    assert links["row"].to_pylist() == [1, 2, 3]
    first, second = labels.to_pylist()
    assert first["movie_id"] == "tt1"
    assert first["link_id"] == hashlib.sha256(b"https://example.org/1").hexdigest()
    assert second["movie_id"] == second["link_id"]
    assert second["genres"] == ["War"]


def youtube(*movies: tuple[str, str]) -> list[PreparedRow]:
    return prepare(*((f"https://youtu.be/{v}", "", m, ("War",)) for v, m in movies))


def test_a_split_names_videos_or_movies() -> None:
    rows = youtube(("aaaaaaaaaaa", "tt1"), ("bbbbbbbbbbb", "tt2"), ("ccccccccccc", "tt3"))
    rows += prepare(("https://example.org/1", "", "tt4", ("War",)), ("no link", "", "tt5", ()))
    assert assign_parts(rows, {"aaaaaaaaaaa": Part.TEST, "tt2": Part.TRAIN, "tt5": Part.TEST}) == 2
    assert [row.part for row in rows] == [Part.TEST, Part.TRAIN, None, None, None]


def test_a_link_that_is_no_video_of_youtube_is_not_the_video_without_an_id() -> None:
    rows = prepare(("https://example.org/1", "", "tt4", ("War",)))
    assert assign_parts(rows, {"": Part.TEST}) == 0
    assert rows[0].part is None


def test_a_movie_whose_two_trailers_are_in_two_parts_is_refused() -> None:
    rows = youtube(("aaaaaaaaaaa", "tt1"), ("bbbbbbbbbbb", "tt1"))
    with pytest.raises(LeakError, match="tt1 in test and train"):
        assign_parts(rows, {"aaaaaaaaaaa": Part.TEST, "bbbbbbbbbbb": Part.TRAIN})

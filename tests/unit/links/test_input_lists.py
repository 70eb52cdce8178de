"""Lists of links to rows, and lists that are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.links.input_lists import InputRow, read_input


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_csv_gives_one_row_a_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "links.csv",
        "\ufefftitle,url,genres,movie_id\r\n"
        '"Alien, 1979\u00a0", https://example.org/1 , Horror| Sci-Fi|Horror ,tt0078748\r\n'
        '"two\nlines",,,\r\n',
    )
    found = read_input(path)
    assert found.name == "links.csv"
    assert found.base == tmp_path
    assert found.has_genres
    assert found.rows == [
        InputRow(1, " https://example.org/1 ", "Alien, 1979", "tt0078748", ("Horror", "Sci-Fi")),
        InputRow(2, "", "two\nlines", "", ()),
    ]


def test_the_original_projects_columns_are_known(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ",movie_title,trailer_link\n0,Avatar\u00a0,https://a.org/x\n")
    found = read_input(path)
    assert found.rows == [InputRow(1, "https://a.org/x", "Avatar", "", ())]
    assert not found.has_genres


def test_our_column_wins_over_the_original_projects(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "trailer_link,url\nhttps://old.org,https://new.org\n")
    assert [row.url for row in read_input(path).rows] == ["https://new.org"]


def test_a_short_line_is_filled_up_and_a_cell_may_be_large(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", f"url,title\nhttps://a.org\nhttps://b.org,{'x' * 200_000}\n")
    assert [len(row.title) for row in read_input(path).rows] == [0, 200_000]


@pytest.mark.parametrize(
    ("content", "numbered"),
    [
        # In a single column an empty line is an empty cell, except at the end of the file.
        ("url\nhttps://a.org\n\nhttps://b.org\n", [(1, "a"), (2, ""), (3, "b")]),
        ("url\r\n\r\nhttps://a.org\r\n\r\n\r\n", [(1, ""), (2, "a")]),
        ('url\nhttps://a.org\n""\n', [(1, "a"), (2, "")]),
        ("url,title\nhttps://a.org,\n\nhttps://b.org,\n,\n\n", [(1, "a"), (2, "b"), (3, "")]),
    ],
)
def test_an_empty_line_is_a_row_where_it_is_all_that_a_row_can_be(
    tmp_path: Path, content: str, numbered: list[tuple[int, str]]
) -> None:
    rows = read_input(write(tmp_path / "t.csv", content)).rows
    assert [(row.number, row.url[8:9]) for row in rows] == numbered


def test_cells_without_a_value_are_empty(tmp_path: Path) -> None:
    table = pa.table({"url": ["https://a.org", None], "genres": [["Horror", "Drama"], None]})
    pq.write_table(table, tmp_path / "links.parquet")
    assert read_input(tmp_path / "links.parquet").rows == [
        InputRow(1, "https://a.org", "", "", ("Drama", "Horror")),
        InputRow(2, "", "", "", ()),
    ]


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no file .*none\.csv"):
        read_input(tmp_path / "none.csv")
    broken = write(tmp_path / "x.parquet", b"PAR1 not really")
    with pytest.raises(ConfigError, match=r"x\.parquet cannot be read"):
        read_input(broken)


def test_folders_give_genres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "my videos"
    for name in (
        "Comedy/a.MP4",
        "Comedy/2016/b.mkv",
        "Action+Comedy/c.webm",
        "d.mp4",
        "Comedy/readme.txt",
        "Comedy/._a.mp4",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    # A relative path must lead to the same files.
    monkeypatch.chdir(tmp_path)
    found = read_input(Path("my videos"))
    assert [(row.title, row.genres) for row in found.rows] == [
        ("c", ("Action", "Comedy")),
        ("b", ("Comedy",)),
        ("a", ("Comedy",)),
        ("d", ()),
    ]
    assert found.rows[0].url == (root / "Action+Comedy" / "c.webm").as_uri()
    assert found.name == "my videos"
    assert found.has_genres
    assert found.is_directory
    assert found.notes == ["2 files are not videos by their names: ._a.mp4, readme.txt."]


def test_folders_are_genres_in_any_spelling_and_cameras_files_are_videos(tmp_path: Path) -> None:
    names = ("comedy/a.MTS", "Comedy/b.m2ts", "action-comedy/c.VOB", "SciFi/d.m2t", "unknown/e.mpg")
    for name in (*names, "2016/f.3gp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    rows = read_input(tmp_path).rows
    assert {row.title: row.genres for row in rows} == {
        "a": ("Comedy",),
        "b": ("Comedy",),
        "c": ("Action", "Comedy"),
        "d": ("Sci-Fi",),
        "e": (),
        "f": (),
    }
    assert [row.problem for row in rows if row.title == "f"] == [
        "'2016' is not the name of a genre"
    ]


def test_a_file_name_that_is_not_utf8_gives_a_title_that_tables_can_hold(tmp_path: Path) -> None:
    (tmp_path / "a\udcff.mp4").touch()
    (row,) = read_input(tmp_path).rows
    assert row.title == "a\ufffd"
    assert row.url.endswith("/a%FF.mp4")


def test_a_directory_without_videos_is_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is empty"):
        read_input(tmp_path)

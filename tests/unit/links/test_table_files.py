"""Files as spreadsheets, programs and people write them: read, or refused with place and cure."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.links.input_lists import read_input
from trailergenre.links.table_files import read_table

URL = "https://www.youtube.com/watch?v=eUTtt14G31c"
OTHER = "https://youtu.be/HKSZtp_OGHY"
CSV = f"url,title,genres\n{URL},Up,Action|Drama\n{OTHER},Amélie’s,Drama\n"


@pytest.mark.parametrize(
    ("name", "content", "urls"),
    [
        ("links.txt", f"\n{URL}\n\n{OTHER}\n\n\n", ["", URL, "", OTHER]),
        ("files.txt", "a.MTS\nb/c.mp4\n", ["a.MTS", "b/c.mp4"]),
    ],
)
def test_a_link_in_each_line(tmp_path: Path, name: str, content: str, urls: list[str]) -> None:
    (tmp_path / name).write_text(content)
    assert [row.url for row in read_input(tmp_path / name).rows] == urls


def test_backslashes_before_quotes_and_quotes_that_are_text(tmp_path: Path) -> None:
    slashed = tmp_path / "a.csv"
    slashed.write_text(f'url,title,genres\n{URL},"The \\"Best\\" Man, 2",Action\n')
    found = read_input(slashed)
    assert found.rows[0].title == 'The "Best" Man, 2'
    assert "backslash" in found.notes[0]
    plain = tmp_path / "a.tsv"
    plain.write_text(f'url\ttitle\tgenres\n{URL}\t"Giliap" again\tDrama\n')
    assert read_input(plain).rows[0].title == '"Giliap" again'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04rest", r"cannot be read as a workbook.*Save the table as CSV"),
        (b"\xd0\xcf\x11\xe0", r"old Excel file.*Save"),
        (b"%PDF-1.7", r"PDF.*Save"),
        (b"<!DOCTYPE html><table>", r"HTML.*Save"),
        (gzip.compress(CSV.encode())[:-20], r"truncated gzip.*Copy it again"),
        (b"\x1f\x8bgarbage of bytes", r"damaged gzip.*Copy it again"),
        (CSV.encode() + b"https://a.b/\xff,x,Drama\n", r"line 4: the byte 0xff.*Correct the line"),
        (b"url\nhttps://a.b/\x81\n", r"line 2: the byte 0x81 is not UTF-8, nor Windows"),
        (f"{URL}\tAction\n".encode(), r"line 1: the columns have no names.*Add a first line"),
        (f"{URL},Up,Action\n".encode(), r"line 1: the columns have no names.*Add a first line"),
        (f"Up,{URL},Action\n".encode(), r"line 1: it names none of our columns.*Begin"),
        (b"\nMy list\nurl,genres\n", r"line 2: it names none of our columns.*'My list'"),
        (b"link,trailer,genres\na,b,Drama\n", r"several columns that may be 'url'.*Name the right"),
        (b"url,genre,labels\na,b,c\n", r"several columns that may be 'genres'.*Name the right"),
        (b"url,genres,,\na,Action,Drama,\n", r"line 2: .*'Drama' has none.*name the column"),
        (b"url,genres\na,Action,Drama\n", r"line 2: 3 cells under 2 columns"),
        (b'url,title\na,b\na,"x\na,c\n', r"line 3: the row that begins there.*Close its quotes"),
        (b"url,url,genres\n", r"column 'url' more than once"),
        (b'[{"url": "a"}, 7]', r"item 2: not an object but '7'.*Give an array"),
        (b'[{"url": "a"},\n{"url" "b"}]', r"is not JSON: .*line 2"),
        (b'{"url": "a"}\n{"url" "b"}', r"line 2: not a JSON object"),
        (b'{"movies": [{"url": "a"}]}', r"JSON object of 'movies'.*Give an array"),
        (b'{"url": ["a"], "title": ["a", "b"]}', r"differ in length.*Give an array"),
        (b"", r"is empty"),
        (b"title,address\nx,y\n", r"no column 'url'.*'title', 'address'.*give --url-column"),
        (b"url,title\n", r"is empty"),
    ],
)
def test_what_cannot_be_read_is_refused_with_finding_and_cure(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"(?s)list\.csv.*{message}"):
        read_input(path)


@pytest.mark.parametrize("parts", [1, 50])
def test_a_file_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trailergenre.links.table_files.MAX_FILE_BYTES", 100_000)
    path = tmp_path / "links.csv.gz"
    path.write_bytes(gzip.compress(b"x" * (5_000_000 // parts)) * parts)
    with pytest.raises(ConfigError, match=r"links\.csv\.gz has more than 100000 bytes"):
        read_input(path)


def test_rows_know_their_lines_and_items(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('url,title\na,"two\nlines"\n\nb,\n')
    assert read_table(path).places == ["line 2", "line 5"]
    path.write_text('[{"url": "a"}, {"url": "b"}]')
    assert read_table(path).places == ["item 1", "item 2"]


def test_columns_that_are_not_used_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"url,genres,movieId,votes\n{URL},Drama,7,3\n")
    found = read_input(path)
    assert found.rows[0].movie_id == ""  # MovieLens' movieId is no id of IMDb
    assert found.notes == ["a.csv: columns that are not used: 'movieId', 'votes'."]


@pytest.mark.parametrize(
    "column", ["movie_id", "imdb_id", "imdbId", "IMDB", "tconst", "movie_imdb_link", "Movie ID"]
)
def test_an_id_under_the_names_it_has(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"url,genres,{column},year\n{URL},Drama,0499549.0,2009.0\n")
    (row,) = read_input(path).rows
    assert (row.movie_id, row.year) == ("tt0499549", "2009")


def test_ids_and_years_that_became_floats(tmp_path: Path) -> None:
    columns = {"url": [URL, OTHER], "imdb_id": [499549.0, None], "year": [2009.0, float("nan")]}
    pq.write_table(pa.table({**columns, "genres": ["Drama", "War"]}), tmp_path / "a.parquet")
    rows = read_input(tmp_path / "a.parquet").rows
    assert [(row.movie_id, row.year) for row in rows] == [("tt0499549", "2009"), ("", "")]


def test_a_cell_that_cannot_be_read_is_a_problem_of_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'url,genres,movie_id\n{URL},18,tt1\n{OTHER},Drama,"tt1, tt2"\n')
    first, second = read_input(path).rows
    assert first.problem == "'18' is not the name of a genre"
    assert "several IMDb ids" in second.problem

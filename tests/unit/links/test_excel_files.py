"""Excel workbooks: which sheet, which cells, which links; and those that are refused."""

from __future__ import annotations

import datetime as dt
import io
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from trailergenre.base.errors import ConfigError
from trailergenre.links.columns import NamedColumns
from trailergenre.links.input_lists import InputList, read_input
from trailergenre.links.table_files import read_table

URL = "https://www.youtube.com/watch?v=eUTtt14G31c"
HEAD = ["url", "title", "genres"]


@pytest.fixture
def book() -> openpyxl.Workbook:
    return openpyxl.Workbook()


def first_sheet(book: openpyxl.Workbook, *rows: list[object]) -> Worksheet:
    for row in rows:
        book.active.append(row)
    return book.active


def saved(book: openpyxl.Workbook, directory: Path) -> Path:
    path = directory / "films.xlsx"
    book.save(path)
    return path


def read(book: openpyxl.Workbook, directory: Path) -> InputList:
    return read_input(saved(book, directory))


def change(path: Path, member: str, old: str, new: str) -> None:
    """Replace text in one file of a workbook."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert old.encode() in files[member]
    files[member] = files[member].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def test_numbers_and_days_are_read_as_people_mean_them(
    book: openpyxl.Workbook, tmp_path: Path
) -> None:
    day = dt.date(2020, 1, 2)
    first_sheet(
        book,
        [*HEAD, "year", "imdb", "seen", "at", "stars"],
        [
            URL,
            1917.0,
            "War",
            2019.0,
            8579674,
            day,
            dt.datetime(2020, 1, 2, 20),
            7.1,
        ],
        ["https://a.org/x", "It", "Horror", dt.date(2017, 9, 8), None, None, None, 0.1 + 0.2],
    )
    first, second = read(book, tmp_path).rows
    assert (first.title, first.year, first.movie_id) == ("1917", "2019", "tt8579674")
    assert (second.title, second.year, second.movie_id) == ("It", "2017", "")
    assert first.other["seen"] == "2020-01-02"
    assert first.other["at"] == "2020-01-02 20:00:00"
    assert (first.other["stars"], second.other["stars"]) == ("7.1", "0.3")


def test_a_hyperlink_whose_text_is_no_link_gives_its_target(
    book: openpyxl.Workbook, tmp_path: Path
) -> None:
    sheet = first_sheet(
        book,
        ["trailer", "title", "genres"],
        ["Watch", "Up", "Drama"],
        [URL, "Down", "Drama"],
        ['=HYPERLINK("https://a.org/y";"Watch")', "Left", "Drama"],
        ["nothing", "Right", "Drama"],
    )
    sheet["A1"].hyperlink = "https://a.org/head"
    sheet["A2"].hyperlink = "https://a.org/x?a=1&b=2"
    sheet["A3"].hyperlink = "https://a.org/other"
    sheet["B2"].hyperlink = "https://imdb.example/up"
    rows = read(book, tmp_path).rows
    urls = ["https://a.org/x?a=1&b=2", URL, "https://a.org/y", "nothing"]
    assert [row.url for row in rows] == urls
    assert [row.title for row in rows] == ["Up", "Down", "Left", "Right"]


def test_the_first_visible_sheet_with_links_is_read_and_the_others_are_named(
    book: openpyxl.Workbook, tmp_path: Path
) -> None:
    first_sheet(book, ["title", "year"], ["Up", 2009])
    book.active.title = "Notes"
    for title, state in (("Old", "hidden"), ("Films", "visible"), ("More", "visible")):
        sheet = book.create_sheet(title)
        sheet.sheet_state = state
        sheet.append(HEAD)
        sheet.append([f"https://a.org/{title}", title, "Drama"])
    book.create_sheet("Empty")
    found = read(book, tmp_path)
    assert [row.url for row in found.rows] == ["https://a.org/Films"]
    assert "films.xlsx: read from the sheet 'Films', not from 'Notes', 'More'." in found.notes
    named = NamedColumns(url="year")
    assert [row.url for row in read_input(tmp_path / "films.xlsx", named).rows] == ["2009"]


def test_rows_have_the_numbers_that_excel_shows(book: openpyxl.Workbook, tmp_path: Path) -> None:
    sheet = first_sheet(book, [], [], HEAD, [URL, "Up", "Drama"], [], ["x", "Down", "Drama"])
    sheet["A9"].font = openpyxl.styles.Font(bold=True)  # a cell without a value
    table = read_table(saved(book, tmp_path))
    assert table.places == ["row 4", "row 6"]
    sheet["E6"] = "stray"
    with pytest.raises(ConfigError, match="row 6: 5 cells under 3 columns; 'stray' has none"):
        read_table(saved(book, tmp_path))


def test_formulas_that_were_never_computed_are_told(
    book: openpyxl.Workbook, tmp_path: Path
) -> None:
    first_sheet(book, HEAD, [URL, '="U"&"p"', "Drama"])
    assert "1 cells have a formula but no value" in " ".join(read(book, tmp_path).notes)


def test_a_workbook_that_unpacks_to_too_much_is_refused(
    book: openpyxl.Workbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_sheet(book, HEAD, [URL, "Up", "Drama"])
    path = saved(book, tmp_path)
    assert path.stat().st_size < 6000
    monkeypatch.setattr("trailergenre.links.table_files.MAX_FILE_BYTES", 6000)
    with pytest.raises(ConfigError, match=r"films\.xlsx has more than 6000 bytes when unpacked"):
        read_input(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('<c r="C2"', '<c r="ZZZ2"', "it is too large: .*18,278 columns"),
        pytest.param(
            *('<row r="2">', '<row r="99999999">', "it is too large: at most 2,000,000 rows"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("<v>7</v>", "<v>7</v>" + '<x a="" b=""/>' * 5_000_000, "it unpacks to more than"),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["columns", "rows", "elements"],
)
def test_a_small_workbook_that_would_take_gigabytes_is_refused(
    book: openpyxl.Workbook, tmp_path: Path, old: str, new: str, message: str
) -> None:
    first_sheet(book, HEAD, [7, "Up", "Drama"])
    path = saved(book, tmp_path)
    change(path, "xl/worksheets/sheet1.xml", old, new)
    with pytest.raises(
        ConfigError, match=rf"films\.xlsx cannot be read as a workbook: .*{message}"
    ):
        read_table(path)


def test_what_a_sheet_says_of_its_size_is_not_believed(
    book: openpyxl.Workbook, tmp_path: Path
) -> None:
    first_sheet(book, HEAD, [URL, "Up", "Drama"])
    path = saved(book, tmp_path)
    sheet = "xl/worksheets/sheet1.xml"
    change(path, sheet, '<dimension ref="A1:C2"', '<dimension ref="A1:XFD1048576"')
    assert read_table(path).places == ["row 2"]


def test_entities_are_not_expanded(book: openpyxl.Workbook, tmp_path: Path) -> None:
    first_sheet(book, HEAD, [URL, "Up", "Drama"])
    path = saved(book, tmp_path)
    sheet = "xl/worksheets/sheet1.xml"
    change(path, sheet, "<worksheet", '<!DOCTYPE x [<!ENTITY e "Down">]><worksheet')
    change(path, sheet, "<t>Up</t>", "<t>&e;</t>")
    with pytest.raises(ConfigError, match=r"it is damaged: EntitiesForbidden"):
        read_table(path)


@pytest.mark.parametrize(
    ("member", "message"),
    [
        ("xl/workbook.bin", r"binary Excel workbook \(\.xlsb\)\. Save the table as CSV"),
        ("content.xml", r"OpenDocument file \(\.ods\)\. Save the table as CSV"),
        ("Index/Document.iwa", r"a Numbers file\. Save the table as CSV"),
        ("links.csv", r"a zip file\. Unpack it, and give the file in it"),
        ("[Content_Types].xml", r"it is damaged.*Save the table as CSV"),
    ],
)
def test_what_looks_like_a_workbook_is_named_with_its_cure(
    tmp_path: Path, member: str, message: str
) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(member, "x")
    path = tmp_path / "films.xlsx"
    path.write_bytes(stream.getvalue())
    with pytest.raises(ConfigError, match=rf"films\.xlsx .*{message}"):
        read_table(path)


@pytest.mark.parametrize("package", ["openpyxl", "defusedxml"])
def test_without_the_extra_a_workbook_says_what_to_install(
    book: openpyxl.Workbook, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first_sheet(book, HEAD, [URL, "Up", "Drama"])
    path = saved(book, tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"pip install 'trailergenre\[excel\]'"):
        read_table(path)

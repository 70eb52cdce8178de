"""Lists as people have them, through `trailergenre prepare`: the same links, titles and genres."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.runs import tables

pytestmark = pytest.mark.slow

URL = "https://www.youtube.com/watch?v=eUTtt14G31c"
OTHER = "https://youtu.be/HKSZtp_OGHY"
CANONICAL = "https://www.youtube.com/watch?v=HKSZtp_OGHY"
CSV = f"url,title,genres\n{URL},Up,Action|Sci-Fi\n{OTHER},Amélie’s,Drama\n"
OBJECTS = [
    {"url": URL, "title": "Up", "genres": ["Action", "Sci-Fi"]},
    {"url": OTHER, "title": "Amélie’s", "genres": "Drama"},
]
BY_COLUMN = {name: {str(n): row[name] for n, row in enumerate(OBJECTS)} for name in OBJECTS[0]}
LINES = "\n".join(map(json.dumps, OBJECTS))
READ = [(URL, "Up", ["Action", "Sci-Fi"]), (CANONICAL, "Amélie’s", ["Drama"])]
BARE = [(URL, "", []), (CANONICAL, "", [])]


def separated(by: str) -> str:
    return CSV.replace("|", "/").replace(",", by)


def workbook(*sheets: Iterable[Iterable[object]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(list(row))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def parquet(genres: list[object]) -> bytes:
    stream = io.BytesIO()
    columns = {"url": [URL, OTHER], "title": ["Up", "Amélie’s"], "genres": genres}
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


def prepare(run: Path, links: object, *words: str, given: bytes | None = None) -> tuple[list, str]:
    """Links, titles and genres of the ready rows, and what was said."""
    command = ["prepare", str(run), "--links", str(links), *words]
    result = CliRunner().invoke(app, command, input=given)
    assert result.exit_code == 0, result.output
    rows = tables.read_table(Store(str(run)), "links").to_pylist()
    ready = [row for row in rows if row["row_outcome"] == "ready"]
    return [(row["url"], row["title"], row["genres"]) for row in ready], result.stderr


KINDS = [
    ("utf8.csv", CSV, ""),
    ("bom.csv", CSV.encode("utf-8-sig"), ""),
    ("windows.csv", CSV.encode("cp1252"), r"read as Windows-1252.*line 3, .*Amélie’s"),
    ("utf16.csv", separated("\t").encode("utf-16"), "UTF-16"),
    ("utf16le.csv", b"\xff\xfe" + CSV.encode("utf-16-le"), "UTF-16"),
    ("utf16be.csv", b"\xfe\xff" + CSV.encode("utf-16-be"), "UTF-16"),
    ("utf16-without-bom.csv", CSV.encode("utf-16-le"), "UTF-16-LE"),
    ("utf32.csv", CSV.encode("utf-32"), "UTF-32"),
    ("crlf.csv", CSV.replace("\n", "\r\n"), ""),
    ("cr.csv", CSV.replace("\n", "\r"), ""),
    ("semicolons.csv", separated(";"), "separated by semicolons"),
    ("tabs.tsv", separated("\t"), "separated by tabs"),
    ("tabs.csv", separated("\t"), "separated by tabs"),
    ("pipes.txt", separated("|"), "separated by '|'"),
    ("sep.csv", "sep=;\n" + separated(";"), "separated by semicolons"),
    ("quoted.csv", CSV.replace("Action|Sci-Fi", '"Action,\nSci-Fi"'), ""),
    ("blank-lines.csv", "\n\n" + CSV, ""),
    ("empty-columns.csv", CSV.replace("\n", ",,\n"), ""),
    ("empty-cells.csv", CSV.replace("Drama\n", "Drama,,\n"), ""),
    ("index.csv", "," + CSV.replace("\n", "\n0,", 2), ""),
    ("array.json", json.dumps(OBJECTS), ""),
    ("lines.jsonl", LINES, ""),
    ("lines.json", LINES.replace("\n", "\n\n") + "\n", ""),
    ("columns.json", json.dumps(BY_COLUMN), ""),
    ("lists.json", json.dumps({name: list(c.values()) for name, c in BY_COLUMN.items()}), ""),
    ("lists.parquet", parquet([["Action", "Sci-Fi"], ["Drama"]]), ""),
    ("texts.data", parquet(["Action|Sci-Fi", "Drama"]), ""),
    (
        "objects.parquet",
        parquet([[{"id": 28, "name": "Action"}, {"id": 7, "name": "SciFi"}], [{"name": "Drama"}]]),
        "",
    ),
    ("book.xlsx", workbook(row.split(",") for row in CSV.splitlines()), ""),
]


@pytest.mark.parametrize(("name", "content", "note"), KINDS, ids=[kind[0] for kind in KINDS])
def test_each_kind_of_file_gives_the_same_list_also_packed_on_standard_input(
    tmp_path: Path, name: str, content: str | bytes, note: str
) -> None:
    content = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(content)
    packed = gzip.compress(content[:40]) + gzip.compress(content[40:])
    for links, given in ((tmp_path / name, None), ("-", packed)):
        rows, said = prepare(tmp_path / f"run{links == '-'}", links, given=given)
        assert rows == READ
        assert re.search(note, said), said


@pytest.mark.parametrize(
    ("name", "content", "note"),
    [
        ("links.txt", f"{URL}\n{OTHER}\n", "each line was read as a link"),
        ("links.csv", f'"{URL}"\n\n{OTHER}\n\n', "each line was read as a link"),
        ("schemeless.txt", "youtube.com/watch?v=eUTtt14G31c\nyoutu.be/HKSZtp_OGHY\n", ""),
        ("ids.txt", "eUTtt14G31c\nHKSZtp_OGHY\n", "each line was read as a link"),
        ("ids.csv", "youtube_id\neUTtt14G31c\nHKSZtp_OGHY\n", "'youtube_id' as url"),
        ("links.json", json.dumps([URL, OTHER]), ""),
        ("links.xlsx", workbook([[URL], [OTHER]]), "each row was read as a link"),
        ("ids.xlsx", workbook([["Video ID"], ["eUTtt14G31c"], ["HKSZtp_OGHY"]]), ""),
    ],
)
def test_links_alone_are_a_list_also_packed_and_from_standard_input(
    tmp_path: Path, name: str, content: str | bytes, note: str
) -> None:
    content = content.encode() if isinstance(content, str) else content
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    for links in (name, f"{name}.gz"):
        rows, said = prepare(tmp_path / f"run-{links}", tmp_path / links, "--unlabelled")
        assert rows == BARE
        assert re.search(note, said), said
    assert prepare(tmp_path / "run", "-", "--unlabelled", given=content)[0] == BARE


@pytest.mark.parametrize("url", ["Link", "trailer", "Trailer Link", "YOUTUBE_URL", "video-url"])
@pytest.mark.parametrize("others", ["Name,Genre", "movie_title,LABELS", "Movie Title,genres "])
def test_columns_have_many_names_in_any_case(tmp_path: Path, url: str, others: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(CSV.replace("url,title,genres", f"{url},{others}"))
    rows, said = prepare(tmp_path / "run", path)
    assert rows == READ
    assert f"columns read: {url!r} as url" in said


@pytest.mark.parametrize("column", ["imdb", "IMDb ID", "tconst"])
def test_an_id_under_the_names_it_has_is_the_movies(tmp_path: Path, column: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"url,genres,{column}\n{URL},Drama,tt0499549\n")
    prepare(tmp_path / "run", path)
    (row,) = tables.read_table(Store(str(tmp_path / "run")), "labels").to_pylist()
    assert row["movie_id"] == "tt0499549"


@pytest.mark.parametrize(
    "genres",
    [
        *("Action|SciFi", "Action, Sci-Fi", "Action; science fiction", "Action/Sci-Fi"),
        *("['Action', 'Sci-Fi']", '["Action", "Sci-Fi"]', "Sci/Fi, action"),
    ],
)
def test_genres_are_parted_in_many_ways(tmp_path: Path, genres: str) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{**OBJECTS[0], "genres": genres}, OBJECTS[1]]))
    assert prepare(tmp_path / "run", path)[0] == READ


@pytest.mark.parametrize(
    ("names", "yes", "no"),
    [("Action,Drama,Sci-Fi", "1", "0"), ("is_action,is_drama,is_sci_fi", "True", "False")],
)
def test_a_column_for_each_genre(tmp_path: Path, names: str, yes: str, no: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(
        f"url,title,{names}\n{URL},Up,{yes},{no},{yes}\n{OTHER},Amélie’s,{no},{yes},{no}\n"
    )
    rows, said = prepare(tmp_path / "run", path)
    assert [genres for *_, genres in rows] == [genres for *_, genres in READ]
    assert "genres are the columns of 0 and 1" in said


def test_a_folder_of_videos_and_one_of_parquet_are_lists(tmp_path: Path) -> None:
    (tmp_path / "videos/action+scifi").mkdir(parents=True)
    (tmp_path / "videos/action+scifi/up.MP4").touch()
    allow = f'links.allowed_roots=["{tmp_path}"]'
    rows, _ = prepare(tmp_path / "run", tmp_path / "videos", "--set", allow)
    url = (tmp_path / "videos/action+scifi/up.MP4").as_uri()
    assert rows == [(url, "up", ["Action", "Sci-Fi"])]
    (tmp_path / "table").mkdir()
    (tmp_path / "table/part-0.parquet").write_bytes(parquet(["Action|Sci-Fi", "Drama"]))
    (tmp_path / "table/_SUCCESS").touch()
    assert prepare(tmp_path / "other", tmp_path / "table")[0] == READ


def test_relative_paths_from_standard_input_are_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "up.mp4").touch()
    allow = f'links.allowed_roots=["{tmp_path}"]'
    rows, said = prepare(
        tmp_path / "run", "-", "--set", allow, given=b"file,genres\nup.mp4,Drama\n"
    )
    assert rows == [((tmp_path / "up.mp4").as_uri(), "", ["Drama"])]
    assert "1  rows of standard input" in said


FOREIGN = f"Videoadresse;Link;Art;Genre\n{URL};https://a.example/x;Drama;1\n"


def test_columns_that_are_named_win_over_others_that_look_alike(tmp_path: Path) -> None:
    path = tmp_path / "liste.csv"
    path.write_text(FOREIGN)
    named = ("--url-column", "videoadresse", "--genres-column", "Art")
    rows, said = prepare(tmp_path / "run", path, *named)
    assert rows == [(URL, "", ["Drama"])]
    assert "'Videoadresse' as url, 'Art' as genres" in said
    assert "not used: 'Link', 'Genre'." in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--url-column", "Adresse"], r"no column 'Adresse'.*'Videoadresse', 'Link'.*--url-column"),
        (["--genres-column", "Kind"], r"no column 'Kind'.*'Art', 'Genre'.*--genres-column"),
        (["--unlabelled", "--genres-column", "Art"], "not both"),
    ],
)
def test_a_named_column_that_is_not_there_is_refused(
    tmp_path: Path, words: list[str], message: str
) -> None:
    (tmp_path / "liste.csv").write_text(FOREIGN)
    command = ["prepare", str(tmp_path / "run"), "--links", str(tmp_path / "liste.csv")]
    result = CliRunner().invoke(app, [*command, *words])
    assert result.exit_code == 2
    assert re.search(message, result.stderr), result.stderr


def test_what_is_said_of_a_long_list_is_short_and_names_the_first_bad_rows(
    tmp_path: Path,
) -> None:
    columns = [f"column {n} {'x' * 500}" for n in range(60)]
    rows = [f"bad {n},{'Long ' * 50}{n},{','.join(['7'] * 60)},Drama" for n in range(6)]
    good = [
        f"https://a.org/{n},{'Long ' * 50}{n // 2},{','.join(['7'] * 60)},Drama" for n in (0, 1)
    ]
    path = tmp_path / "list.csv"
    path.write_text("\n".join(["url,title," + ",".join(columns) + ",genres", *rows, *good]))
    _, said = prepare(tmp_path / "run", path)
    assert max(map(len, said.splitlines())) < 1700
    assert "and 40 more" in said
    assert "row 3, 'bad 2', is link_invalid: it is neither a link nor" in said
    assert "row 4" not in said
    assert f"3 more rows are not ready: `trailergenre export {tmp_path / 'run'} links" in said
    assert "1 titles have several links" in said
    assert not re.search("^ *0 ", said, re.MULTILINE)
    out = tmp_path / "links.csv"
    exported = CliRunner().invoke(
        app, ["export", str(tmp_path / "run"), "links", "--out", str(out)]
    )
    assert exported.exit_code == 0, exported.output
    assert len(out.read_text().splitlines()) == 9


def test_a_list_without_genres_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text(f"url,title,Kategorie\n{URL},Up,Drama\n")
    command = ["prepare", str(tmp_path / "run"), "--links", str(tmp_path / "links.csv")]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert re.search(r"'Kategorie'\..*--genres-column NAME.*--unlabelled", result.stderr)


def test_a_run_needs_a_name_and_a_link_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nameless = CliRunner().invoke(app, ["run", "-"], input=CSV)
    assert nameless.exit_code == 2
    assert "standard input has no name for its run. Give --out RUN" in nameless.stderr
    words = ["run", "-", "--out", "run", "--set", f"backbone.path={tmp_path}/none"]
    useless = CliRunner().invoke(app, words, input=b"Watch,Kind\nnonsense,Drama\n")
    assert "give the column of the links as --url-column" in useless.stderr
    named = ("--url-column", "watch", "--genres-column", "kind")
    useless = CliRunner().invoke(app, [*words, *named], input=b"Watch,Kind\nnonsense,Drama\n")
    assert useless.exit_code == 2
    assert "row 1, 'nonsense', is link_invalid" in useless.stderr
    assert "No row of the list has a link that can be used" in useless.stderr

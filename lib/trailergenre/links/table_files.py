"""Files of tables to cells: CSV and its kin, text, JSON, Parquet, in the encodings that occur."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import VIDEO_SUFFIXES

MAX_FILE_BYTES = 2 << 30

_ALIASES = {
    "url": (
        *("link", "trailer", "trailerlink", "trailerurl", "videolink", "videourl", "youtube"),
        *("youtubeurl", "youtubelink", "youtubetrailer", "youtubeid", "videoid", "ytid", "yturl"),
        *("links", "trailers", "path", "file", "filename", "filepath", "videopath"),
    ),
    "title": ("movietitle", "moviename", "name", "movie", "filmtitle", "film", "primarytitle"),
    # Not `movieid`: MovieLens' movieId is not IMDb's.
    "movie_id": (
        *("imdbid", "imdb", "tconst", "imdburl", "imdblink", "imdbtitleid", "movieimdblink"),
        *("movieimdbid",),
    ),
    "genres": ("genre", "labels", "label", "genrenames", "genrelist"),
    "year": ("titleyear", "releaseyear", "startyear", "movieyear", "releasedate", "released"),
}
"""Our names of columns, and others, without the white space and signs in them."""

_MAX_SHOWN = 30
_DELIMITERS = ",;\t|"
_NAME_OF = {";": "semicolons", "\t": "tabs"}
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_FOREIGN = (
    (b"PK\x03\x04", "a zip file, as spreadsheets are (.xlsx, .ods)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls)"),
    (b"%PDF", "a PDF file"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "a database of SQLite"),
)
_LINK = re.compile(r"[a-z][a-z0-9+-]*://|(?:www\.|m\.)?youtu(?:be\.com|\.be)/|www\.", re.IGNORECASE)
_TEXT = {".txt", ".lst", ".list"}
_VIDEO_ID = re.compile(r"[A-Za-z0-9_-]{11}")


@dataclass
class TableFile:
    """The cells of a file.

    Attributes:
        path: of the file.
        columns: as the file names them.
        rows: each maps every column to a cell.
        places: where each row is, for messages: `line 7`.
        notes: what was not obvious in reading it; one sentence each.
    """

    path: Path
    columns: list[str]
    rows: list[dict[str, object]]
    places: list[str]
    notes: list[str] = field(default_factory=list)
    _used: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> list[object] | None:
        """The cells of one of our columns, under whatever name; None if there is no such column.

        Raises:
            ConfigError: several columns may be the links, or the genres.
        """
        found = self._find(name)
        if found is None:
            return None
        self._used[found] = name
        return [row[found] for row in self.rows]

    def require(self, *names: str) -> None:
        """Raise ConfigError if the file lacks columns, with those that it has."""
        if missing := [name for name in names if self._find(name) is None]:
            received = ", ".join(map(repr, self.columns)) or "no columns"
            raise ConfigError(
                f"{self.path} has no column {', '.join(map(repr, missing))}. Received: {received}. "
                "Name the columns in the first line."
            )

    def use_for_genres(self, columns: Sequence[str]) -> None:
        """Take columns that are none of ours."""
        self._used.update(dict.fromkeys(columns, "genres"))

    def other_columns(self) -> list[str]:
        """The columns that have a name and are none of ours."""
        ours = {self._find(name) for name in _ALIASES}
        return [
            name
            for name in self.columns
            # The last two are row numbers that pandas wrote.
            if name and name not in ours and not name.startswith(("Unnamed: ", "__index_level_"))
        ]

    def describe(self, *, all_columns: bool = True) -> list[str]:
        """What was not obvious, with the names of columns; one sentence each.

        Args:
            all_columns: whether to name the columns that nobody took.
        """
        notes = list(self.notes)
        read = [
            f"{column!r} as {ours}" for column, ours in self._used.items() if column.strip() != ours
        ]
        if read:
            notes.append(f"columns read: {', '.join(read[:_MAX_SHOWN])}.")
        if not all_columns:
            return notes
        if unused := [name for name in self.other_columns() if name not in self._used]:
            more = ", ..." if len(unused) > _MAX_SHOWN else "."
            notes.append(f"columns that are not used: {', '.join(unused[:_MAX_SHOWN])}{more}")
        return notes

    def _find(self, name: str) -> str | None:
        if name in self.columns:
            return name
        by_name: dict[str, str] = {}
        for column in self.columns:
            by_name.setdefault(_plain_name(column), column)
        if name in by_name:
            return by_name[name]
        joined = {key.replace("_", ""): column for key, column in reversed(by_name.items())}
        others = (name, *_ALIASES.get(name, ()))
        found = [joined[other] for other in others if other in joined]
        if len(found) > 1 and name in {"url", "genres"}:
            raise ConfigError(
                f"{self.path} has several columns that may be {name!r}: "
                f"{', '.join(map(repr, found))}. Name the right one {name!r}."
            )
        return found[0] if found else None


def _plain_name(column: str) -> str:
    return re.sub(r"[\W_]+", "_", column.strip().casefold()).strip("_")


def _is_known(column: str) -> bool:
    plain = _plain_name(column)
    return plain in _ALIASES or any(plain.replace("_", "") in names for names in _ALIASES.values())


def read_table(path: Path) -> TableFile:
    """Read a table, whatever its format: by its content, not by its name.

    Args:
        path: CSV (separated by comma, semicolon, tab or `|`), text with a link in each line, JSON,
            JSON lines or Parquet, perhaps compressed by gzip; or a directory that Spark wrote.

    Raises:
        ConfigError: names the line, what was found there, and what to do.
    """
    try:
        if path.is_dir():
            return _of_arrow(path, pq.read_table(path))
        content = _unzip(path, read_bytes(path))
        if content.startswith(b"PAR1"):
            return _of_arrow(path, pq.read_table(pa.BufferReader(content)))
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    if path.suffix.lower() in {".parquet", ".pq"}:
        raise ConfigError(f"{path} cannot be read: it is not a Parquet file.")
    for magic, kind in _FOREIGN:
        if content.startswith(magic):
            raise ConfigError(f"{path} is {kind}. Save the table as CSV in UTF-8.")
    notes: list[str] = []
    text = _decode(path, content, notes)
    if "\n" not in text:
        text = text.replace("\r", "\n")  # old lines of the Macintosh
    start = text.lstrip()[:1]
    if start == "<":
        raise ConfigError(f"{path} is HTML or XML. Save the table as CSV in UTF-8.")
    table = _read_json(path, text) if start and start in "[{" else _read_lines(path, text)
    table.notes[:0] = notes
    return table


def read_bytes(path: Path) -> bytes:
    """Read a file of bounded size.

    Raises:
        ConfigError: the file cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        advice = " Standard input is not read: save the list as a file." if path.name == "-" else ""
        raise ConfigError(f"There is no file {path}.{advice}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    return _check_size(path, content)


def _check_size(path: Path, content: bytes) -> bytes:
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path} has more than {MAX_FILE_BYTES} bytes.")
    return content


def _unzip(path: Path, content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    parts, size = [], 0
    try:
        while content and size <= MAX_FILE_BYTES:  # a file may have several members
            stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
            parts.append(stream.decompress(content, MAX_FILE_BYTES + 1 - size))
            size += len(parts[-1])
            if not stream.eof and size <= MAX_FILE_BYTES:
                raise ConfigError(f"{path} is a truncated gzip file. Copy it again.")
            content = stream.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise ConfigError(f"{path} is a damaged gzip file: {error}. Copy it again.") from error
    return _check_size(path, b"".join(parts))


def _of_arrow(path: Path, table: pa.Table) -> TableFile:
    rows = table.to_pylist()
    return TableFile(path, table.column_names, rows, [f"row {n}" for n in range(1, len(rows) + 1)])


def _decode(path: Path, content: bytes, notes: list[str]) -> str:
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "")
    if not encoding:
        head = content[:400]
        nulls = [head[start::2].count(0) / max(1, len(head) / 2) for start in (0, 1)]
        if max(nulls) > 0.4:
            encoding = "utf-16-be" if nulls[0] > nulls[1] else "utf-16-le"
    if encoding not in {"", "utf-8-sig"}:
        notes.append(f"the file is in {encoding.upper()}.")
    try:
        return content.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        if encoding not in {"", "utf-8-sig"}:
            raise ConfigError(f"{path} is damaged {encoding.upper()}: {error.reason}.") from error
        wrong = error
    line = content.count(b"\n", 0, wrong.start) + 1
    what = f"{path}, line {line}: the byte 0x{content[wrong.start]:02x} is not UTF-8"
    if encoding or _UTF8_CHARACTER.search(content):
        raise ConfigError(
            f"{what}, but other characters of the file are. Correct the line, or save the file as "
            "UTF-8."
        )
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what}, nor Windows-1252. Save the file as UTF-8.") from error
    shown = text.split("\n")[line - 1].strip()
    notes.append(
        "the file is not UTF-8 and was read as Windows-1252. If this is wrong, save it as UTF-8: "
        f"line {line}, {shown[:100]!r}."
    )
    return text


def _read_json(path: Path, text: str) -> TableFile:
    """An array of objects or links, an object per line, or an object of columns."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{path} is not JSON: it is nested too deeply.") from error
    except ValueError as error:
        return _of_objects(path, list(_json_lines(path, text, str(error))))
    if isinstance(value, dict) and not any(map(_is_known, value)):
        raise ConfigError(
            f"{path} is a JSON object of {', '.join(map(repr, list(value)[:5]))}. Give an array of "
            "objects, or one object a line."
        )
    if isinstance(value, dict):
        value = _records(path, value)
    return _of_objects(path, [(f"item {n}", item) for n, item in enumerate(value, start=1)])


def _json_lines(path: Path, text: str, whole: str) -> Iterator[tuple[str, object]]:
    lines = text.split("\n")
    if text.lstrip().startswith("["):
        raise ConfigError(f"{path} is not JSON: {whole}. Correct the file there.")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield f"line {number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(
                    f"{path}, line {number}: not a JSON object: {error}. Correct the line."
                ) from error


def _records(path: Path, value: dict[str, object]) -> list[object]:
    """The rows of an object of columns, as pandas writes it; or the one row that it is."""
    columns = [list(c.values()) if isinstance(c, dict) else c for c in value.values()]
    if not all(isinstance(column, list) for column in columns):
        return [value]
    if len({len(column) for column in columns if isinstance(column, list)}) > 1:
        raise ConfigError(
            f"{path} is a JSON object of columns that differ in length. Give an array of objects."
        )
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


def _of_objects(path: Path, items: list[tuple[str, object]]) -> TableFile:
    rows: list[dict[str, object]] = []
    for place, item in items:
        row = {"url": item} if isinstance(item, str) else item
        if not isinstance(row, Mapping):
            raise ConfigError(
                f"{path}, {place}: not an object but {str(item)[:40]!r}. Give an array of objects, "
                "or one object a line."
            )
        rows.append(dict(row))
    columns = list(dict.fromkeys(name for row in rows for name in row))
    full = [{name: row.get(name) for name in columns} for row in rows]
    return TableFile(path, columns, full, [place for place, _ in items])


def _read_lines(path: Path, text: str) -> TableFile:
    """A table of separated columns, or a link in each line."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    number, first = next(
        ((n, line.strip()) for n, line in enumerate(text.split("\n"), 1) if line.strip()), (0, "")
    )
    if _is_link(first, path):
        return _links_of_lines(path, text, number, first)
    forced = re.fullmatch(r"sep=(.)", first, re.IGNORECASE)  # Excel's first line
    if forced:
        text = text.partition("\n")[2]
    delimiter = forced[1] if forced else _sniff(text)
    name = _NAME_OF.get(delimiter, repr(delimiter))
    notes = [] if delimiter == "," else [f"columns are separated by {name}."]
    reading = _Csv(path, text, 1 if forced else 0, delimiter)
    try:
        columns, rows = reading.read()
    except csv.Error as error:
        columns, rows = _read_otherwise(reading, error, notes)
    table = _under_columns(path, columns, rows)
    table.notes += notes
    return table


def _is_link(line: str, path: Path) -> bool:
    return bool(
        _LINK.match(line.strip("\"'<"))
        or Path(line).suffix.lower() in VIDEO_SUFFIXES
        or (path.suffix.lower() in _TEXT and _VIDEO_ID.fullmatch(line) and not _is_known(line))
    )


def _links_of_lines(path: Path, text: str, number: int, first: str) -> TableFile:
    # In text a link may have a comma.
    if re.search(r"[\t|]" if path.suffix.lower() in _TEXT else r"[,;\t|]", first):
        raise ConfigError(
            f"{path}, line {number}: the columns have no names; the file begins with "
            f"{first[:60]!r}. Add a first line such as url,title,genres."
        )
    lines = [line.strip().strip('"') for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    places = [f"line {n}" for n in range(1, len(lines) + 1)]
    notes = ["columns have no names; each line was read as a link."]
    return TableFile(path, ["url"], [{"url": line} for line in lines], places, notes)


def _sniff(text: str) -> str:
    """The delimiter under which the header names most of our columns, then the most columns."""

    def count(delimiter: str) -> tuple[int, int]:
        reader = csv.reader(io.StringIO(text[:1_000_000], newline=""), delimiter=delimiter)
        try:
            header = next((row for row in reader if any(row)), [])
        except csv.Error:
            return 0, 0
        return sum(map(_is_known, header)), len(header)

    return max(_DELIMITERS, key=count)  # the first of equals


@dataclass(frozen=True)
class _Csv:
    """A text of separated columns."""

    path: Path
    text: str
    lines_before: int
    delimiter: str

    def read(self, **dialect: object) -> tuple[list[str], list[tuple[int, list[str]]]]:
        """Column names, and rows with the line in which each begins.

        Raises:
            csv.Error: with the line as second argument.
        """
        stream = io.StringIO(self.text, newline="")
        # strict: otherwise an unclosed quote silently swallows the rest of the list.
        reader = csv.reader(stream, delimiter=self.delimiter, strict=True, **dialect)  # type: ignore[arg-type]
        rows = []
        header: list[str] | None = None
        line = 0
        try:
            while True:
                line = self.lines_before + reader.line_num + 1
                cells = next(reader)
                if header is not None:
                    rows.append((line, cells))
                elif any(cell.strip() for cell in cells):
                    header = [name.strip() for name in cells]
        except StopIteration:
            return list(header or ()), rows
        except csv.Error as error:
            raise csv.Error(str(error), line) from error


def _read_otherwise(
    reading: _Csv, error: csv.Error, notes: list[str]
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read with backslashes before quotes, or tabs without quotes; else refuse."""
    attempts: list[tuple[str, dict[str, object]]] = []
    if '\\"' in reading.text:
        attempts.append(
            ("quotes in cells have a backslash.", {"doublequote": False, "escapechar": "\\"})
        )
    if reading.delimiter == "\t":
        attempts.append(("quotes belong to the cells.", {"quoting": csv.QUOTE_NONE}))
    for note, dialect in attempts:
        try:
            found = reading.read(**dialect)
        except csv.Error:
            continue
        notes.append(note)
        return found
    message, line = error.args
    raise ConfigError(
        f"{reading.path}, line {line}: the row that begins there cannot be read: {message}. Close "
        "its quotes, and double the quotes inside of cells."
    )


def _under_columns(path: Path, columns: list[str], rows: list[tuple[int, list[str]]]) -> TableFile:
    """Cells under the columns that have a name; others must be empty."""
    if columns and not any(map(_is_known, columns)):
        raise ConfigError(
            f"{path}: the first line names none of our columns (url, title, genres, movie_id). "
            f"Received: {', '.join(map(repr, columns[:10]))}. Add a line with the columns' names."
        )
    table = TableFile(path, [name for name in columns if name], [], [])
    if repeated := [name for name in table.columns if table.columns.count(name) > 1]:
        raise ConfigError(
            f"{path} has the column {min(repeated)!r} more than once. Rename or remove one."
        )
    n_rows = 0
    for line, cells in rows:
        for place, cell in enumerate(cells):
            # The first column may have no name: pandas numbers rows there.
            if cell.strip() and place and (place >= len(columns) or not columns[place]):
                raise ConfigError(
                    f"{path}, line {line}: {len(cells)} cells under {len(table.columns)} columns; "
                    f"{cell[:40]!r} has none. Quote cells that contain the separator, or name the "
                    "column."
                )
        # In a single column, spreadsheets write an empty cell as an empty line. With more columns,
        # and at the end of a file, empty lines are not rows.
        if cells or len(columns) == 1:
            padded = cells + [""] * (len(columns) - len(cells))
            pairs = zip(columns, padded, strict=False)
            table.rows.append({name: cell for name, cell in pairs if name})
            table.places.append(f"line {line}")
        if cells:
            n_rows = len(table.rows)
    del table.rows[n_rows:], table.places[n_rows:]
    return table

"""Tables of separated columns, as spreadsheets and programs write them, and links line by line."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import VIDEO_SUFFIXES
from trailergenre.links.columns import (
    BY_USUAL_NAMES,
    NamedColumns,
    TableFile,
    check_size,
    is_known,
    listed,
)
from trailergenre.links.youtube import VIDEO_ID

_DELIMITERS = ",;\t|"
_NAME_OF = {";": "semicolons", "\t": "tabs"}
LINK = re.compile(r"[a-z][a-z0-9+-]*://|(?:www\.|m\.)?youtu(?:be\.com|\.be)/|www\.", re.IGNORECASE)
_TEXT = (".txt", ".lst", ".list")

NAME_OF_INPUT = Path("standard input")
"""What messages call a list that has no file."""


def read_lines(path: Path, text: str, named: NamedColumns) -> TableFile:
    """A table of separated columns, or a link in each line."""
    csv.field_size_limit(_MAX_LINE_CHARS)
    number, first = next(
        ((n, line.strip()) for n, line in enumerate(iter_lines(path, text), 1) if line.strip()),
        (0, ""),
    )
    if _is_link(first, path, named):
        return _links_of_lines(path, text, number, first, named)
    forced = re.fullmatch(r"sep=(.)", first, re.IGNORECASE)  # Excel's first line
    if forced:
        text = text.partition("\n")[2]
    delimiter = forced[1] if forced else _sniff(path, text, named)
    name = _NAME_OF.get(delimiter, repr(delimiter))
    notes = [] if delimiter == "," else [f"columns are separated by {name}."]
    reading = _Csv(path, text, 1 if forced else 0, delimiter)
    try:
        columns, rows = reading.read()
    except csv.Error as error:
        columns, rows = _read_otherwise(reading, error, notes)
    table = under_columns(path, f"line {number}", columns, rows, named)
    table.notes += notes
    return table


_MAX_LINE_CHARS = 1 << 24
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n)|[^\r\n]++")


def iter_lines(path: Path, text: str) -> Iterator[str]:
    """Yield lines with their ends; unlike io.StringIO, without a copy of 4 bytes a character.

    Raises:
        ConfigError: a line is too long; `path` is for the message.
    """
    for match in _LINE.finditer(text):
        if match.end() - match.start() > _MAX_LINE_CHARS:
            raise ConfigError(f"{path} has a line of more than {_MAX_LINE_CHARS} characters.")
        yield match[0]


def _is_link(line: str, path: Path, named: NamedColumns) -> bool:
    # Eleven letters may be the name of a column, too.
    may_be_id = (_is_text(path) or path == NAME_OF_INPUT) and not is_known(line, named)
    return is_link(line) or (may_be_id and VIDEO_ID.fullmatch(line) is not None)


def is_link(text: str) -> bool:
    """Whether a text is an address or names a video, and is no column's name."""
    is_address = LINK.match(text.strip("\"'<")) is not None
    return is_address or Path(text).suffix.lower() in VIDEO_SUFFIXES


def _is_text(path: Path) -> bool:
    return path.name.lower().removesuffix(".gz").endswith(_TEXT)


def _links_of_lines(
    path: Path, text: str, number: int, first: str, named: NamedColumns
) -> TableFile:
    # In text a link may have a comma.
    if re.search(r"[\t|]" if _is_text(path) else r"[,;\t|]", first):
        raise ConfigError(
            f"{path}, line {number}: the columns have no names; the file begins with "
            f"{first[:60]!r}. Add a first line such as url,title,genres."
        )
    check_size(path, text.count("\n"), 1)
    lines = [line.strip().strip('"') for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return links_only(path, lines, [f"line {n}" for n in range(1, len(lines) + 1)], named)


def links_only(path: Path, links: list[str], places: list[str], named: NamedColumns) -> TableFile:
    """A table of the column `url` alone."""
    unit = places[0].partition(" ")[0]
    notes = [f"columns have no names; each {unit} was read as a link."]
    return TableFile(path, ["url"], [{"url": link} for link in links], places, notes, named)


def _sniff(path: Path, text: str, named: NamedColumns) -> str:
    """The delimiter under which the header names most of our columns, then the most columns."""

    def count(delimiter: str) -> tuple[int, int]:
        reader = csv.reader(iter_lines(path, text[:1_000_000]), delimiter=delimiter)
        try:
            header = next((row for row in reader if any(row)), [])
        except csv.Error:
            return 0, 0
        return sum(is_known(name, named) for name in header), len(header)

    return max(_DELIMITERS, key=count)  # the first of equals


@dataclass(frozen=True)
class _Csv:
    """A text of separated columns."""

    path: Path
    text: str
    lines_before: int
    delimiter: str

    def read(self, **dialect: object) -> tuple[list[str], list[tuple[str, list[str]]]]:
        """Column names, and rows with the line in which each begins.

        Raises:
            csv.Error: with the line as second argument.
        """
        # strict: otherwise an unclosed quote silently swallows the rest of the list.
        lines = iter_lines(self.path, self.text)
        reader = csv.reader(lines, delimiter=self.delimiter, strict=True, **dialect)  # type: ignore[arg-type]
        rows = []
        header: list[str] | None = None
        line = 0
        try:
            while True:
                line = self.lines_before + reader.line_num + 1
                cells = next(reader)
                if header is not None:
                    rows.append((f"line {line}", cells))
                    check_size(self.path, len(rows), max(len(header), len(cells)))
                elif any(cell.strip() for cell in cells):
                    header = [name.strip() for name in cells]
        except StopIteration:
            return list(header or ()), rows
        except csv.Error as error:
            raise csv.Error(str(error), line) from error


def _read_otherwise(
    reading: _Csv, error: csv.Error, notes: list[str]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
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


def under_columns(
    path: Path,
    place: str,
    columns: list[str],
    rows: list[tuple[str, list[str]]],
    named: NamedColumns,
) -> TableFile:
    """Cells under the columns that have a name; others must be empty.

    Args:
        path: of the file, for messages.
        place: of the columns' names, for messages.
        columns: their names.
        rows: place and cells; without cells if the row is empty.
        named: columns that the user named.

    Raises:
        ConfigError: there are cells without a column, or columns without a meaning.
    """
    table = TableFile(path, [name for name in columns if name], [], [], named=named)
    if named == BY_USUAL_NAMES and columns and not any(map(is_known, columns)):
        raise ConfigError(
            f"{path}, {place}: it names none of our columns (url, title, genres, movie_id). "
            f"Received: {listed(columns)}. Begin the file with the columns' "
            "names; if it does, give the column of the links as --url-column."
        )
    if repeated := [name for name, n in Counter(table.columns).items() if n > 1]:
        raise ConfigError(
            f"{path} has the column {min(repeated)!r} more than once. Rename or remove one."
        )
    # The first column may have no name: pandas numbers rows there.
    unnamed = [n for n, name in enumerate(columns) if n and not name]
    n_rows = 0
    for place, cells in rows:
        strays = [cells[n] for n in unnamed if n < len(cells)] + cells[len(columns) :]
        if any(map(str.strip, strays)):
            raise ConfigError(
                f"{path}, {place}: {len(cells)} cells under {len(table.columns)} columns; "
                f"{next(filter(str.strip, strays))[:40]!r} has none. Quote cells that contain the "
                "separator, or name the column."
            )
        # In a single column, spreadsheets write an empty cell as an empty line. With more columns,
        # and at the end of a file, empty lines are not rows.
        if cells or len(columns) == 1:
            padded = cells + [""] * (len(columns) - len(cells))
            pairs = zip(columns, padded, strict=False)
            table.rows.append({name: cell for name, cell in pairs if name})
            table.places.append(place)
        if cells:
            n_rows = len(table.rows)
    del table.rows[n_rows:], table.places[n_rows:]
    return table

"""Excel workbooks to cells: the first sheet that has links, with the targets of its hyperlinks."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from trailergenre.base.errors import ConfigError, one_line
from trailergenre.base.untrusted_parquet import unpack_in_child
from trailergenre.links.columns import (
    NamedColumns,
    TableFile,
    check_size,
    is_known,
    is_link_column,
    listed,
)
from trailergenre.links.separated_files import is_link, links_only, under_columns

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from openpyxl.reader.excel import ExcelReader
    from openpyxl.worksheet._read_only import ReadOnlyWorksheet

_CURE = "Save the table as CSV in UTF-8."
_KINDS = (
    (re.compile(r"xl/workbook\.bin"), f"is a binary Excel workbook (.xlsb). {_CURE}"),
    (re.compile(r"content\.xml"), f"is an OpenDocument file (.ods). {_CURE}"),
    (re.compile(r"Index.*\.(?:iwa|zip)"), f"is a Numbers file. {_CURE}"),
)
"""Other zip files, by the name of a file in them."""

_FORMULA = re.compile(r'\s*(?:_xlfn\.)?HYPERLINK\(\s*"((?:[^"]|"")+)"', re.IGNORECASE)


_CHILD = """
import sys
from trailergenre.links.excel_files import sheet_as_json

sys.stdout.write(sheet_as_json(sys.stdin.buffer.read(), sys.argv[1]))
"""


@dataclass(frozen=True)
class _Sheet:
    """The texts of a sheet, from its first row and column on.

    Attributes:
        title: of the sheet.
        rows: without the empty cells at the end of each.
        others: titles of the sheets that were not read and are not empty.
        n_without_value: formulas that were never computed.
    """

    title: str
    rows: list[list[str]]
    others: list[str]
    n_without_value: int


def is_zip(content: bytes) -> bool:
    """Whether a file is a zip file, as workbooks are."""
    return content.startswith(b"PK\x03\x04")


def read_workbook(path: Path, content: bytes, named: NamedColumns, *, max_bytes: int) -> TableFile:
    """Read the first visible sheet with a column of links; if none has, one with another column.

    Args:
        path: of the file, for messages.
        content: of the file.
        named: columns that the user named.
        max_bytes: of the unpacked content.

    openpyxl reads it in a child of bounded memory: XML of tiny elements takes gigabytes.

    Raises:
        ConfigError: it is no Excel workbook, is damaged or too large, or openpyxl is missing.
    """
    try:
        _check_archive(path, content, max_bytes)
        if not (find_spec("openpyxl") and find_spec("defusedxml")):
            raise ConfigError(
                f"{path} is an Excel workbook. To read it: pip install 'trailergenre[excel]'. Or "
                "save the table as CSV in UTF-8."
            )
        words = json.dumps([named.url, named.genres])
        sheet = _Sheet(**json.loads(unpack_in_child(_CHILD, content, words)))
    except (zipfile.BadZipFile, ValueError) as error:
        reason = one_line(str(error)).rstrip(".")
        raise ConfigError(f"{path} cannot be read as a workbook: {reason}. {_CURE}") from error
    table = _under_head(path, sheet.rows, named)
    if sheet.others:
        others = listed(sheet.others)
        table.notes.append(f"read from the sheet {sheet.title!r}, not from {others}.")
    if sheet.n_without_value:
        table.notes.append(
            f"{sheet.n_without_value} cells have a formula but no value. Open the file in Excel, "
            "and save it."
        )
    return table


def sheet_as_json(content: bytes, named: str) -> str:
    """In the child: read a sheet of a workbook; both it and `named` are given as JSON."""
    warnings.simplefilter("ignore")  # about styles and extensions
    try:
        sheet = _read(content, NamedColumns(*json.loads(named)))
    except MemoryError:
        sys.exit(3)
    except ConfigError as error:
        sys.exit(str(error))
    except Exception as error:  # noqa: BLE001 - openpyxl wraps what went wrong, or does not
        sys.exit(f"it is damaged: {error.__cause__ or error}")
    return json.dumps(asdict(sheet))


def _check_archive(path: Path, content: bytes, max_bytes: int) -> None:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
    for pattern, kind in _KINDS:
        if any(pattern.fullmatch(member.filename) for member in members):
            raise ConfigError(f"{path} {kind}")
    if all(member.filename != "[Content_Types].xml" for member in members):
        raise ConfigError(f"{path} is a zip file. Unpack it, and give the file in it.")
    # `zipfile` unpacks no more of a member than the size that it gives here.
    if sum(member.file_size for member in members) > max_bytes:
        raise ConfigError(f"{path} has more than {max_bytes} bytes when unpacked. {_CURE}")


def _read(content: bytes, named: NamedColumns) -> _Sheet:
    from openpyxl.reader.excel import ExcelReader

    reader = ExcelReader(io.BytesIO(content), read_only=True, data_only=True, keep_links=False)
    reader.read()
    sheets = [sheet for sheet in reader.wb.worksheets if sheet.sheet_state == "visible"]
    heads = {sheet.title: next(filter(None, _rows(sheet)), []) for sheet in sheets}

    def rank(sheet: ReadOnlyWorksheet) -> tuple[bool, bool, bool]:
        head = heads[sheet.title]
        is_ours = any(is_known(name, named) for name in head)
        return bool(_link_columns(head, named)), is_ours, bool(head)

    sheet = max(sheets, key=rank)  # the first of equals
    rows = list(_rows(sheet))
    n_without_value = 0
    if head := heads[sheet.title]:
        targets, n_without_value = _read_targets(reader, sheet.title)
        _follow(rows, _link_columns(head, named), targets)
    others = [title for title, head in heads.items() if head and title != sheet.title]
    return _Sheet(sheet.title, rows, others, n_without_value)


def _link_columns(head: list[str], named: NamedColumns) -> list[int]:
    """Where links are: under their names, or in a sheet of links alone."""
    if len(head) == 1 and is_link(head[0]):
        return [0]
    return [n for n, name in enumerate(head) if is_link_column(name, named)]


def _rows(sheet: ReadOnlyWorksheet) -> Iterator[list[str]]:
    """The cells of each row, from the sheet's first on, without empty ones at its end."""
    sheet.reset_dimensions()  # what the file says of them may be wrong
    width = 0
    for number, values in enumerate(sheet.iter_rows(values_only=True), start=1):
        width = max(width, len(values))
        check_size(Path("it"), number, width)
        cells = [_text(value) for value in values]
        while cells and not cells[-1]:
            cells.pop()
        yield cells


def _text(value: object) -> str:
    """A cell as people read it: 1999.0 is 1999, and a day has no hour."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.15g}"  # the digits that Excel has
    if isinstance(value, dt.datetime):
        return str(value if value.time() != dt.time() else value.date())
    return str(value).strip()


def _under_head(path: Path, rows: list[list[str]], named: NamedColumns) -> TableFile:
    start = next((n for n, cells in enumerate(rows) if cells), 0)
    places = [f"row {n}" for n in range(1, len(rows) + 1)]
    head = rows[start] if rows else []
    if len(head) == 1 and is_link(head[0]):
        return links_only(path, ["".join(cells[:1]) for cells in rows], places, named)
    below = list(zip(places, rows, strict=True))[start + 1 :]
    return under_columns(path, f"row {start + 1}", head, below, named)


def _follow(
    rows: list[list[str]], columns: list[int], targets: Mapping[tuple[int, int], str]
) -> None:
    """Put the targets of hyperlinks in place of texts that are no links, below the head."""
    start = next(n for n, cells in enumerate(rows) if cells) + 1
    for number, cells in enumerate(rows[start:], start=start + 1):
        for column in columns:
            target = targets.get((number, column + 1))
            if target and not (column < len(cells) and is_link(cells[column])):
                cells += [""] * (column + 1 - len(cells))
                cells[column] = target


def _read_targets(reader: ExcelReader, title: str) -> tuple[dict[tuple[int, int], str], int]:
    """Where the hyperlinks of a sheet lead, by row and column; and how many formulas lack a value.

    openpyxl gives them only with the whole workbook in memory.
    """
    from openpyxl.packaging.relationship import get_dependents, get_rels_path
    from openpyxl.utils.cell import coordinate_to_tuple
    from openpyxl.xml.functions import iterparse

    part = next(part.target for sheet, part in reader.parser.find_sheets() if sheet.name == title)
    beside = get_rels_path(part)
    parts = get_dependents(reader.archive, beside) if beside in reader.valid_files else ()
    addresses = {part.Id: part.target for part in parts}
    targets: dict[tuple[int, int], str] = {}
    n_without_value = 0
    with reader.archive.open(part) as xml:
        for _, element in iterparse(xml):
            kind, target = _local(element.tag), ""
            if kind == "c":
                target, has_value = _read_formula(element)
                n_without_value += not has_value
            elif kind == "hyperlink":
                target = _read_hyperlink(element, addresses)
            elif kind == "row":
                element.clear()
            if target:
                cell = element.get("r") or element.get("ref").partition(":")[0]
                targets[coordinate_to_tuple(cell)] = target
    return targets, n_without_value


def _read_formula(cell: Element) -> tuple[str, bool]:
    """The target of a formula HYPERLINK("..."), and whether a cell has a target or a value."""
    texts = {_local(child.tag): child.text for child in cell}
    if match := _FORMULA.match(texts.get("f") or ""):
        return match[1].replace('""', '"'), True
    return "", "f" not in texts or bool(texts.get("v"))


def _read_hyperlink(hyperlink: Element, addresses: Mapping[str, str]) -> str:
    ids = (value for name, value in hyperlink.items() if _local(name) == "id")
    address = addresses.get(next(ids, ""), "")
    fragment = hyperlink.get("location")
    return f"{address}#{fragment}" if address and fragment else address


def _local(name: str) -> str:
    """A name without its namespace."""
    return name.rpartition("}")[2]

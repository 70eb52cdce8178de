"""Files of tables to cells: CSV and its kin, text, JSON, Parquet, Excel, in any encoding."""

from __future__ import annotations

import codecs
import itertools
import json
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from trailergenre.base.errors import ConfigError
from trailergenre.base.untrusted_parquet import unpack_parquet
from trailergenre.links.columns import (
    BY_USUAL_NAMES,
    MAX_CELLS,
    MAX_ROWS,
    NamedColumns,
    TableFile,
    check_size,
    is_known,
)
from trailergenre.links.excel_files import is_zip, read_workbook
from trailergenre.links.separated_files import NAME_OF_INPUT, iter_lines, read_lines

MAX_FILE_BYTES = 256 << 20
"""Of a list, unpacked. A million rows of links, titles and genres take 150 MB."""

STANDARD_INPUT = Path("-")

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UTF8_CHARACTER = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}")
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Excel file (.xls), or one with a password"),
    (b"%PDF", "a PDF file"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "a database of SQLite"),
)


def read_table(path: Path, named: NamedColumns = BY_USUAL_NAMES) -> TableFile:
    """Read a table, whatever its format: by its content, not by its name.

    Args:
        path: CSV (separated by comma, semicolon, tab or `|`), text with a link in each line, JSON,
            JSON lines, Parquet or an Excel workbook, perhaps compressed by gzip; a directory that
            Spark wrote; or `-`, standard input.
        named: columns that the user named.

    Raises:
        ConfigError: names the line, what was found there, and what to do.
    """
    try:
        if path.is_dir():
            files = sorted(path.glob("*.parquet"))
            return _of_arrow(path, [_unpack(read_bytes(file)) for file in files], named)
        return _read_file(path, named)
    except (OSError, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _read_file(path: Path, named: NamedColumns) -> TableFile:
    content = read_bytes(path)
    if path == STANDARD_INPUT:
        path = NAME_OF_INPUT
    content = _unzip(path, content)
    if not content:
        raise ConfigError(f"{path} is empty.")
    if content.startswith(b"PAR1"):
        return _of_arrow(path, [_unpack(content)], named)
    if is_zip(content):
        return read_workbook(path, content, named, max_bytes=MAX_FILE_BYTES)
    if path.suffix.lower() in {".parquet", ".pq"}:
        raise ConfigError(f"{path} cannot be read: it is not a Parquet file.")
    for magic, kind in _FOREIGN:
        if content.startswith(magic):
            raise ConfigError(f"{path} is {kind}. Save the table as CSV in UTF-8.")
    notes: list[str] = []
    text = _decode(path, content, notes)
    del content
    if "\n" not in text:
        text = text.replace("\r", "\n")  # old lines of the Macintosh
    found = re.search(r"\S", text)
    start = found[0] if found else ""
    if start == "<":
        raise ConfigError(f"{path} is HTML or XML. Save the table as CSV in UTF-8.")
    is_json = start and start in "[{"
    table = _read_json(path, text, named) if is_json else read_lines(path, text, named)
    table.notes[:0] = notes
    return table


def read_bytes(path: Path) -> bytes:
    """Read a file, or standard input, of bounded size.

    Raises:
        ConfigError: the file cannot be read or is too large.
    """
    if path == STANDARD_INPUT:
        return _check_size(NAME_OF_INPUT, sys.stdin.buffer.read(MAX_FILE_BYTES + 1))
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}.") from error
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


def _unpack(content: bytes) -> pa.Table:
    return unpack_parquet(content, max_rows=MAX_ROWS, max_values=MAX_CELLS)


def _of_arrow(path: Path, parts: list[pa.Table], named: NamedColumns) -> TableFile:
    table = pa.concat_tables(parts, promote_options="default")
    check_size(path, len(table), table.num_columns)
    rows = table.to_pylist()
    places = [f"row {n}" for n in range(1, len(rows) + 1)]
    return TableFile(path, table.column_names, rows, places, named=named)


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
    shown = next(itertools.islice(iter_lines(path, text), line - 1, None)).strip()
    notes.append(
        "the file is not UTF-8 and was read as Windows-1252. If this is wrong, save it as UTF-8: "
        f"line {line}, {shown[:100]!r}."
    )
    return text


def _read_json(path: Path, text: str, named: NamedColumns) -> TableFile:
    """An array of objects or links, an object per line, or an object of columns."""
    check_json(path, text)
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{path} is not JSON: it is nested too deeply.") from error
    except ValueError as error:
        return _of_objects(path, list(_json_lines(path, text, str(error))), named)
    if isinstance(value, dict) and not any(is_known(name, named) for name in value):
        raise ConfigError(
            f"{path} is a JSON object of {', '.join(map(repr, list(value)[:5]))}. Give an array of "
            "objects, or one object a line."
        )
    items: list[object] = _records(path, value) if isinstance(value, dict) else value
    check_size(path, len(items), 1)
    return _of_objects(path, [(f"item {n}", item) for n, item in enumerate(items, start=1)], named)


def check_json(path: Path, text: str) -> None:
    """Raise ConfigError if a text has more values than are read, before they are made."""
    if sum(map(text.count, ",[{")) > MAX_CELLS:
        raise ConfigError(
            f"{path} is too large: at most {MAX_CELLS:,} values are read. Leave out what is not "
            "needed."
        )


def _json_lines(path: Path, text: str, whole: str) -> Iterator[tuple[str, object]]:
    if text.lstrip().startswith("["):
        raise ConfigError(f"{path} is not JSON: {whole}. Correct the file there.")
    n_rows = 0
    for number, line in enumerate(iter_lines(path, text), start=1):
        if line.strip():
            n_rows += 1
            check_size(path, n_rows, 1)
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
    lengths = {len(column) for column in columns if isinstance(column, list)}
    if len(lengths) > 1:
        raise ConfigError(
            f"{path} is a JSON object of columns that differ in length. Give an array of objects."
        )
    check_size(path, max(lengths), len(columns))
    return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]


def _of_objects(path: Path, items: list[tuple[str, object]], named: NamedColumns) -> TableFile:
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
    check_size(path, len(rows), len(columns))
    full = [{name: row.get(name) for name in columns} for row in rows]
    return TableFile(path, columns, full, [place for place, _ in items], named=named)

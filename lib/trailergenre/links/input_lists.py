"""Files of links to plain rows: CSV, Parquet, the original project's table, or a directory.

Knows columns and encodings, not what a valid link or label is.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import VIDEO_SUFFIXES

# The original project's names -> ours.
_ALIASES = {"trailer_link": "url", "movie_title": "title"}


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row of the user's list.

    Attributes:
        number: from 1, in the order of the source: rows below the header, not lines of the file.
        url: the cell as it stands.
        title: without white space around it; empty where there is none.
        movie_id: IMDb id where the list has it, else empty.
        genres: sorted, unique; empty where there are none.
    """

    number: int
    url: str
    title: str
    movie_id: str
    genres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputList:
    """A whole list.

    Attributes:
        name: the file's own name, without its directory.
        base: directory that relative paths start from.
        columns: as the file names them; of a directory, what its folders and names stand for.
        rows: in order.
        not_videos: files of a directory that are no videos.
    """

    name: str
    base: Path
    columns: tuple[str, ...]
    rows: list[InputRow]
    not_videos: int = 0

    @property
    def has_genres(self) -> bool:
        """Whether genres stand beside the links."""
        return "genres" in self.columns


def read_input(path: Path) -> InputList:
    """Read a list of links.

    Args:
        path: CSV or Parquet (a file, or a directory that Spark wrote) with `url` (or
            `trailer_link`), optionally `title` (or `movie_title`), `movie_id` and `genres`; or a
            directory of videos in folders named by genre (`comedy/x.mp4`, `action+comedy/y.mp4`).
            An empty line of a CSV is a row where the list has one column, and it is not the end's.

    Raises:
        ConfigError: it cannot be read, lacks the column, or is empty.
    """
    path = path.absolute()
    found = _read_directory(path) if is_video_directory(path) else _read_table(path)
    if not found.rows:
        raise ConfigError(f"The list {path} is empty: there is nothing to do.")
    return found


def is_video_directory(path: Path) -> bool:
    """Whether a path is a directory, and not one of Parquet files."""
    return path.is_dir() and not any(path.glob("*.parquet"))


def _read_directory(root: Path) -> InputList:
    files = sorted(file for file in root.rglob("*") if file.is_file())
    videos = [file for file in files if _is_video(file)]
    rows = [
        InputRow(number, file.as_uri(), _title_of(file), "", _folder_genres(file.relative_to(root)))
        for number, file in enumerate(videos, start=1)
    ]
    columns = ("url", "title", "genres")
    return InputList(root.name, root, columns, rows, not_videos=len(files) - len(videos))


def _is_video(file: Path) -> bool:
    # macOS puts a small ._x.mp4 beside x.mp4 on disks that are not its own.
    return file.suffix.lower() in VIDEO_SUFFIXES and not file.name.startswith(".")


def _title_of(file: Path) -> str:
    """The name without its end; bytes that are no UTF-8 are replaced, for tables hold text."""
    return os.fsencode(file.stem).decode("utf-8", "replace")


def _folder_genres(inside: Path) -> tuple[str, ...]:
    """Genres by the first folder: `comedy/2016/x.mp4` is a comedy."""
    return split_genres(inside.parts[0].replace("+", "|")) if len(inside.parts) > 1 else ()


def _read_table(path: Path) -> InputList:
    columns, cells = read_cells(path)
    names = {column: _our_name(column, columns) for column in columns}
    require_columns(path, list(names.values()), ["url"])
    rows = []
    for number, cell in enumerate(cells, start=1):
        row = {names[column]: value for column, value in cell.items()}
        rows.append(
            InputRow(
                number,
                "" if row["url"] is None else str(row["url"]),
                clean_text(row.get("title")),
                clean_text(row.get("movie_id")),
                split_genres(row.get("genres")),
            )
        )
    return InputList(path.name, path.parent, tuple(columns), rows)


def _our_name(column: str, columns: Sequence[str]) -> str:
    ours = _ALIASES.get(column, column)
    return column if ours in columns else ours


def read_cells(path: Path) -> tuple[list[str], list[dict[str, object]]]:
    """Read a CSV or Parquet file whole.

    Returns:
        Column names and rows; cells of a CSV are text.

    Raises:
        ConfigError: naming the file and what is wrong.
    """
    try:
        if path.is_dir() or path.suffix.lower() in {".parquet", ".pq"}:
            table = pq.read_table(path)
            return table.column_names, table.to_pylist()
        return _read_csv(path)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}).") from error
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def _read_csv(path: Path) -> tuple[list[str], list[dict[str, object]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    # utf-8-sig: Excel writes a byte-order mark in front of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as stream:
        # strict: else a quote that is never closed swallows the rest of the list in silence.
        reader = csv.reader(stream, strict=True)
        columns = [name.strip() for name in next(reader, [])]
        repeated = sorted({name for name in columns if columns.count(name) > 1})
        if repeated:
            raise ConfigError(f"{path} has the column {repeated[0]!r} more than once.")
        rows: list[dict[str, object]] = []
        n_rows = 0
        for cells in reader:
            if len(cells) > len(columns):
                raise ConfigError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells under {len(columns)} "
                    "columns. Put cells that hold a comma in quotes."
                )
            # In a single column an empty line is an empty cell, as a spreadsheet writes it; beside
            # other columns it is noise, and so it is at the end of every file.
            if cells or len(columns) == 1:
                padded = cells + [""] * (len(columns) - len(cells))
                rows.append(dict(zip(columns, padded, strict=True)))
            if cells:
                n_rows = len(rows)
    return columns, rows[:n_rows]


def require_columns(path: Path, columns: Sequence[str], needed: Iterable[str]) -> None:
    """Refuse a file that lacks columns.

    Raises:
        ConfigError: naming the missing and the present ones.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ConfigError(
            f"{path} has no column {', '.join(map(repr, missing))}. "
            f"Received: {', '.join(map(repr, columns)) or 'no columns'}."
        )


def clean_text(cell: object) -> str:
    """A cell as text, without white space around it (no-break spaces too)."""
    return "" if cell is None else str(cell).strip()


def split_genres(cell: object) -> tuple[str, ...]:
    """Genres of a cell: a list, or text parted by `|`; sorted, unique.

    >>> split_genres("Drama| Action|Drama|")
    ('Action', 'Drama')
    """
    parts = cell if isinstance(cell, list) else clean_text(cell).split("|")
    return tuple(sorted({clean_text(part) for part in parts} - {""}))

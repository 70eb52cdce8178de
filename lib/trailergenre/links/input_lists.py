"""Lists of links to rows: CSV, Parquet, the original project's table, or a directory of videos."""

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
    """One row of the user's list; `title`, `movie_id` and `genres` may be empty.

    Attributes:
        number: of the row, from 1; not of the line.
        url: the unchanged cell.
        movie_id: IMDb id.
        genres: sorted, unique.
    """

    number: int
    url: str
    title: str
    movie_id: str
    genres: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InputList:
    """A list of links.

    Attributes:
        name: of the file, without its directory.
        base: directory of relative paths.
        columns: of the file, or those that a directory's folders and names provide.
        not_videos: number of files in a directory that are not videos.
    """

    name: str
    base: Path
    columns: tuple[str, ...]
    rows: list[InputRow]
    not_videos: int = 0


def read_input(path: Path) -> InputList:
    """Read a list of links.

    Args:
        path: CSV or Parquet (a file, or a directory that Spark wrote) with `url` (or
            `trailer_link`), optionally `title` (or `movie_title`), `movie_id` and `genres`; or a
            directory of videos in folders named by genre (`comedy/x.mp4`, `action+comedy/y.mp4`).

    Raises:
        ConfigError: the list cannot be read, has no such column, or is empty.
    """
    path = path.absolute()
    source = _read_directory(path) if is_video_directory(path) else _read_table(path)
    if not source.rows:
        raise ConfigError(f"The list {path} is empty.")
    return source


def is_video_directory(path: Path) -> bool:
    """Whether a path is a directory without Parquet files."""
    return path.is_dir() and not any(path.glob("*.parquet"))


def _read_directory(root: Path) -> InputList:
    files = sorted(file for file in root.rglob("*") if file.is_file())
    videos = [file for file in files if _is_video(file)]
    rows = []
    for number, file in enumerate(videos, start=1):
        # Bytes that are not UTF-8 are replaced.
        title = os.fsencode(file.stem).decode("utf-8", "replace")
        # `comedy/2016/x.mp4` is a comedy.
        folder, *inside = file.relative_to(root).parts
        genres = split_genres(folder.replace("+", "|")) if inside else ()
        rows.append(InputRow(number, file.as_uri(), title, "", genres))
    columns = ("url", "title", "genres")
    return InputList(root.name, root, columns, rows, not_videos=len(files) - len(videos))


def _is_video(file: Path) -> bool:
    # macOS writes ._x.mp4 beside x.mp4 on foreign disks.
    return file.suffix.lower() in VIDEO_SUFFIXES and not file.name.startswith(".")


def _read_table(path: Path) -> InputList:
    columns, cells = read_cells(path)
    names = {column: _our_name(column, columns) for column in columns}
    require_columns(path, list(names.values()), ["url"])
    rows = []
    for number, cell in enumerate(cells, start=1):
        row = {names[column]: value for column, value in cell.items()}
        url = "" if row["url"] is None else str(row["url"])
        title, movie_id = clean_text(row.get("title")), clean_text(row.get("movie_id"))
        rows.append(InputRow(number, url, title, movie_id, split_genres(row.get("genres"))))
    return InputList(path.name, path.parent, tuple(columns), rows)


def _our_name(column: str, columns: Sequence[str]) -> str:
    ours = _ALIASES.get(column, column)
    return column if ours in columns else ours


def read_cells(path: Path) -> tuple[list[str], list[dict[str, object]]]:
    """Column names and rows of a CSV or Parquet file; CSV cells are text.

    Raises:
        ConfigError: the file cannot be read.
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
    # utf-8-sig: Excel writes a byte-order mark.
    with path.open(encoding="utf-8-sig", newline="") as stream:
        # strict: otherwise an unclosed quote silently swallows the rest of the list.
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
                    "columns. Quote cells that contain a comma."
                )
            # In a single column, spreadsheets write an empty cell as an empty line. With more
            # columns, and at the end of a file, empty lines are not rows.
            if cells or len(columns) == 1:
                padded = cells + [""] * (len(columns) - len(cells))
                rows.append(dict(zip(columns, padded, strict=True)))
            if cells:
                n_rows = len(rows)
    return columns, rows[:n_rows]


def require_columns(path: Path, columns: Sequence[str], needed: Iterable[str]) -> None:
    """Raise ConfigError if a file lacks columns, with those that it has."""
    missing = [name for name in needed if name not in columns]
    if missing:
        raise ConfigError(
            f"{path} has no column {', '.join(map(repr, missing))}. "
            f"Received: {', '.join(map(repr, columns)) or 'no columns'}."
        )


def clean_text(cell: object) -> str:
    """A cell as text, stripped of white space (including no-break spaces)."""
    return "" if cell is None else str(cell).strip()


def split_genres(cell: object) -> tuple[str, ...]:
    """Genres of a cell, a list or text separated by `|`; sorted, unique.

    >>> split_genres("Drama| Action|Drama|")
    ('Action', 'Drama')
    """
    parts = cell if isinstance(cell, list) else clean_text(cell).split("|")
    return tuple(sorted({clean_text(part) for part in parts} - {""}))

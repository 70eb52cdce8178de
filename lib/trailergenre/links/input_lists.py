"""Lists of links to rows: a table of any format, or a directory of videos."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import VIDEO_SUFFIXES
from trailergenre.links.cells import clean_text, parse_year
from trailergenre.links.columns import BY_USUAL_NAMES, NamedColumns
from trailergenre.links.genres import read_genre_columns, read_genres
from trailergenre.links.imdb_ids import IdError, parse_movie_id
from trailergenre.links.table_files import STANDARD_INPUT, read_table
from trailergenre.links.titles import clean_title

_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class InputRow:
    """One row of the user's list; all texts but `url` may be empty.

    Attributes:
        number: of the row, from 1; not of the line.
        url: the unchanged cell.
        movie_id: IMDb id in its canonical spelling, or another id.
        genres: sorted, unique.
        year: four digits.
        problem: why the genres or the id cannot be read.
        other: the list's other columns, and those that have our names for other things; as text.
    """

    number: int
    url: str
    title: str
    movie_id: str
    genres: tuple[str, ...]
    year: str = ""
    problem: str = ""
    other: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class InputList:
    """A list of links.

    Attributes:
        name: of the file, without its directory.
        base: directory of relative paths.
        columns: as the file names them, or those that a directory's folders and names provide.
        has_genres: whether it has genres of its own.
        is_directory: whether the titles are names of files.
        notes: what was not obvious in reading it; one sentence each.
    """

    name: str
    base: Path
    columns: tuple[str, ...]
    rows: list[InputRow]
    has_genres: bool = False
    is_directory: bool = False
    notes: list[str] = field(default_factory=list)


def read_input(
    path: Path, named: NamedColumns = BY_USUAL_NAMES, *, needs_genres: bool = True
) -> InputList:
    """Read a list of links.

    Args:
        path: a table (see `read_table`) with `url`, optionally `title`, `movie_id`, `year` and
            `genres` or a column for each genre; or a directory of videos in folders named by genre
            (`comedy/x.mp4`, `action+comedy/y.mp4`).
        named: columns that have other names.
        needs_genres: False leaves the genres of a table unread.

    Raises:
        ConfigError: the list cannot be read, has no such column, or is empty.
    """
    if path != STANDARD_INPUT:
        path = path.absolute()
    if not is_video_directory(path):
        source = _read_table(path, named, needs_genres=needs_genres)
    elif named == BY_USUAL_NAMES:
        source = _read_directory(path)
    else:
        raise ConfigError(
            f"{path} is a folder of videos, which has no columns. Leave out --url-column and "
            "--genres-column."
        )
    if not source.rows:
        raise ConfigError(f"The list {path} is empty.")
    return source


def is_video_directory(path: Path) -> bool:
    """Whether a path is a directory without Parquet files."""
    return path.is_dir() and not any(path.glob("*.parquet"))


def _read_directory(root: Path) -> InputList:
    files = sorted(file for file in root.rglob("*") if file.is_file())
    videos = [file for file in files if _is_video(file)]
    # `comedy/2016/x.mp4` is a comedy.
    folders = [file.relative_to(root).parts[:-1] for file in videos]
    genres = read_genres(_printable(folder[0]) if folder else "" for folder in folders)
    rows = [
        InputRow(
            number=place + 1,
            url=file.as_uri(),
            title=_printable(file.stem),
            movie_id="",
            genres=genres.genres[place],
            problem=genres.problems.get(place, ""),
        )
        for place, file in enumerate(videos)
    ]
    notes = genres.describe()
    if others := [file.name for file in files if not _is_video(file)]:
        shown = ", ".join(map(_printable, others[:_MAX_SHOWN]))
        more = ", ..." if len(others) > _MAX_SHOWN else "."
        notes.append(f"{len(others)} files are not videos by their names: {shown}{more}")
    columns = ("url", "title", "genres")
    return InputList(root.name, root, columns, rows, True, is_directory=True, notes=notes)


def _printable(name: str) -> str:
    """A file's name with replacements for bytes that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_video(file: Path) -> bool:
    # macOS writes ._x.mp4 beside x.mp4 on foreign disks.
    return file.suffix.lower() in VIDEO_SUFFIXES and not file.name.startswith(".")


def _read_table(path: Path, named: NamedColumns, *, needs_genres: bool) -> InputList:
    table = read_table(path, named)
    table.require("url")
    urls = [clean_url(cell) for cell in table.column("url") or ()]
    genres = read_genre_columns(table) if needs_genres else None
    nothing: list[object] = [""] * len(urls)
    texts = {name: table.column(name) or nothing for name in ("title", "movie_id", "year")}
    others = [name for name in table.columns if name and name not in ("url", "title")]
    rows = []
    for place, url in enumerate(urls):
        problem = genres.problems.get(place, "") if genres else ""
        try:
            movie_id = parse_movie_id(texts["movie_id"][place])
        except IdError as error:
            movie_id, problem = "", str(error)
        rows.append(
            InputRow(
                number=place + 1,
                url=url,
                title=clean_title(texts["title"][place]),
                movie_id=movie_id,
                genres=genres.genres[place] if genres else (),
                year=parse_year(texts["year"][place]),
                problem=problem,
                other={name: _as_text(table.rows[place][name]) for name in others},
            )
        )
    name, base = table.path.name, path.absolute().parent
    notes = [f"{name}: {note}" for note in table.describe()]
    return InputList(name, base, tuple(table.columns), rows, genres is not None, notes=notes)


def _as_text(cell: object) -> str:
    """A cell as text; what is not a text or a number as JSON."""
    if cell is None or isinstance(cell, (str, int, float)):
        return "" if cell is None else str(cell)
    return json.dumps(cell, ensure_ascii=False, default=str)


def clean_url(cell: object) -> str:
    """A cell with a link, unchanged if it is text."""
    return cell if isinstance(cell, str) else clean_text(cell)

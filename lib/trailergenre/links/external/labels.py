"""Labels of external features: a row for each id, with genres and the parts of given splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trailergenre.base.errors import ConfigError
from trailergenre.links.cells import clean_text
from trailergenre.links.columns import NamedColumns, TableFile, listed
from trailergenre.links.genres import read_genre_columns
from trailergenre.links.imdb_ids import IdError, parse_movie_id
from trailergenre.links.labelled_links import Part
from trailergenre.links.table_files import read_table
from trailergenre.links.titles import clean_title

_PARTS = {
    **dict.fromkeys(("0", "0.0", "train", "training", "trn"), Part.TRAIN),
    **dict.fromkeys(("1", "1.0", "validation", "valid", "val", "dev"), Part.VALIDATION),
    **dict.fromkeys(("2", "2.0", "test", "tst"), Part.TEST),
}
_SPLIT_COLUMNS = ("split", "subset", "part")


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of a table of labels."""

    name: str  # the id of its array
    title: str
    movie_id: str  # IMDb id, or another id; empty if unknown
    genres: tuple[str, ...]
    part: Part | None
    problem: str = ""  # why genres or ids cannot be read


@dataclass(frozen=True, slots=True)
class Labels:
    """A table of labels.

    Attributes:
        rows: in order.
        columns: of the file.
        notes: what was not obvious in reading it; one sentence each.
    """

    rows: list[LabelRow]
    columns: tuple[str, ...]
    notes: list[str]


def read_label_table(path: Path, id_column: str, split: str | None) -> Labels:
    """Read a table with an id, genres (in one column, or columns of 0 and 1) and splits.

    Args:
        path: the file; see `read_table`.
        id_column: name of the column with the ids.
        split: name of the column with the parts (0, 1, 2 or train, validation, test); None for
            `split`, `subset` or `part`, or the first whose name begins so.

    Raises:
        ConfigError: the file cannot be read or lacks a column, or a part does not exist.
    """
    table = read_table(path, NamedColumns(url=id_column))
    if id_column not in table.columns:
        raise ConfigError(f"{path} has no column {id_column!r}. Received: {listed(table.columns)}.")
    notes: list[str] = []
    column = _find_split(table, split, notes)
    names = [clean_text(row[id_column]) for row in table.rows]
    # Else a column of 0 and 1 may be taken for a genre.
    splits = [name for name in table.columns if _is_split(name) or name == column]
    cells = [row.pop(column) for row in table.rows] if column else [""] * len(names)
    for row in table.rows:
        row.update(dict.fromkeys(splits, "-"))
    genres = read_genre_columns(table)
    if genres is None:
        raise ConfigError(f"{path} has no genres. Received: {listed(table.columns)}.")
    nothing: list[object] = [""] * len(names)
    titles = table.column("title") or nothing
    movie_ids = table.column("movie_id") or (names if id_column == "mid" else nothing)
    rows = []
    for place, name in enumerate(names):
        problem = genres.problems.get(place, "")
        try:
            movie_id = parse_movie_id(movie_ids[place])
        except IdError as error:
            movie_id, problem = "", str(error)
        rows.append(
            LabelRow(
                name=name,
                title=clean_title(titles[place]),
                movie_id=movie_id,
                genres=genres.genres[place],
                part=_read_part(cells[place], f"{path}, {table.places[place]}"),
                problem=problem,
            )
        )
    notes += [f"{path.name}: {note}" for note in table.notes]
    return Labels(rows, tuple(table.columns), notes)


def _is_split(column: str) -> bool:
    return column.casefold().startswith(_SPLIT_COLUMNS)


def _find_split(table: TableFile, wanted: str | None, notes: list[str]) -> str | None:
    found = [name for name in table.columns if _is_split(name)]
    if wanted is not None and wanted not in table.columns:
        raise ConfigError(
            f"{table.path} has no column {wanted!r}. Received: {listed(table.columns)}. Give one "
            "of them as --splits."
        )
    if wanted is None and len(found) > 1:
        notes.append(
            f"the parts are those of {found[0]!r}. --splits names others: {listed(found[1:])}."
        )
    return wanted or (found[0] if found else None)


def _read_part(cell: object, where: str) -> Part | None:
    text = clean_text(cell).casefold()
    if text and text not in _PARTS:
        raise ConfigError(
            f"{where}: {text[:40]!r} is no part of a split. Give 0, 1 and 2, or train, validation "
            "and test."
        )
    return _PARTS.get(text)

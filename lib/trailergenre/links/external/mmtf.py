"""Trailer features in the format of MMTF-14K: one CSV, one movie per row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trailergenre.base.errors import ConfigError
from trailergenre.links.cells import clean_text
from trailergenre.links.external.features import MAX_VALUES, SCHEME, ExternalFeatures
from trailergenre.links.genres import read_genres
from trailergenre.links.input_lists import InputList, InputRow
from trailergenre.links.table_files import read_table

_COLUMNS = ("itemId", "title", "genres", "embedding")


def read_mmtf(path: Path) -> ExternalFeatures:
    """Read a CSV with itemId, title, genres and embedding: comma-separated numbers in one cell.

    Raises:
        ConfigError: names the row and what is wrong with it.
    """
    table = read_table(path)
    table.require(*_COLUMNS)
    if not table.rows:
        raise ConfigError(f"{path} has no rows.")
    columns = [table.column(name) or () for name in _COLUMNS]
    genres = read_genres(columns[2])
    rows, vectors = [], []
    for place, (item, title, _, embedding) in enumerate(zip(*columns, strict=True)):
        number = place + 1
        where, name = f"{path}, row {number}", clean_text(item)
        if not name:
            raise ConfigError(f"{where}: the itemId is empty.")
        if place in genres.problems:
            raise ConfigError(f"{where}: {genres.problems[place]}.")
        numbers = clean_text(embedding).strip("[]").split(",")
        if len(table.rows) * len(numbers) > MAX_VALUES:
            raise ConfigError(
                f"{where}: {len(table.rows)} rows of {len(numbers)} numbers; the limit is "
                f"{MAX_VALUES}."
            )
        try:
            vectors.append(np.array([float(number) for number in numbers]))
        except ValueError as error:
            raise ConfigError(
                f"{where}: the embedding is not a list of numbers: {error}."
            ) from error
        if len(numbers) != len(vectors[0]):
            raise ConfigError(
                f"{where}: {len(numbers)} numbers; the first row has {len(vectors[0])}."
            )
        url = f"{SCHEME}{path.stem}/{name}"
        rows.append(InputRow(number, url, clean_text(title), "", genres.genres[place]))
    notes = [f"{path.name}: {note}" for note in table.describe() + genres.describe()]
    columns_found = tuple(table.columns)
    source = InputList(path.name, path.parent, columns_found, rows, has_genres=True, notes=notes)
    return ExternalFeatures.from_values(source, np.stack(vectors), [None] * len(rows), [path])

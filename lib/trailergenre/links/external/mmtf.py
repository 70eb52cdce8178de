"""Trailer features in the format of MMTF-14K: one CSV, one movie per row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trailergenre.base.errors import ConfigError
from trailergenre.links import input_lists
from trailergenre.links.external.features import MAX_VALUES, SCHEME, ExternalFeatures, read_bytes

_COLUMNS = ("itemId", "title", "genres", "embedding")
_NO_GENRES = "(no genres listed)"
"""MovieLens' text for movies without genres."""


def read_mmtf(path: Path) -> ExternalFeatures:
    """Read a CSV with itemId, title, genres and embedding: comma-separated numbers in one cell.

    Raises:
        ConfigError: names the row and what is wrong with it.
    """
    read_bytes(path)  # checks the file's size, which `read_cells` does not
    columns, cells = input_lists.read_cells(path)
    input_lists.require_columns(path, columns, _COLUMNS)
    if not cells:
        raise ConfigError(f"{path} has no rows.")
    rows, vectors = [], []
    for number, cell in enumerate(cells, start=1):
        where = f"{path}, row {number}"
        texts = (input_lists.clean_text(cell[column]) for column in _COLUMNS)
        name, title, genres, embedding = texts
        if not name:
            raise ConfigError(f"{where}: the itemId is empty.")
        numbers = embedding.strip("[]").split(",")
        if len(cells) * len(numbers) > MAX_VALUES:
            raise ConfigError(
                f"{where}: {len(cells)} rows of {len(numbers)} numbers; the limit is {MAX_VALUES}."
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
        known = () if genres == _NO_GENRES else input_lists.split_genres(genres)
        rows.append(input_lists.InputRow(number, f"{SCHEME}{path.stem}/{name}", title, "", known))
    source = input_lists.InputList(path.name, path.parent, tuple(columns), rows)
    return ExternalFeatures.from_values(source, np.stack(vectors), [None] * len(rows), [path])

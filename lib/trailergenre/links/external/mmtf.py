"""Trailer features in the format of MMTF-14K: one CSV, one movie per row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.links.external.features import MAX_VALUES, SCHEME, ExternalFeatures, read_bytes
from trailergenre.links.input_lists import (
    InputList,
    InputRow,
    clean_text,
    read_cells,
    require_columns,
    split_genres,
)

_COLUMNS = ("itemId", "title", "genres", "embedding")
_NO_GENRES = "(no genres listed)"
"""MovieLens' text for movies without genres."""


def read_mmtf(path: Path) -> ExternalFeatures:
    """Read a CSV with itemId, title, genres and embedding: comma-separated numbers in one cell.

    Raises:
        ConfigError: names the row and what is wrong with it.
    """
    read_bytes(path)  # checks the file's size, which `read_cells` does not
    columns, cells = read_cells(path)
    require_columns(path, columns, _COLUMNS)
    if not cells:
        raise ConfigError(f"{path} has no rows.")
    rows, vectors = [], []
    for number, cell in enumerate(cells, start=1):
        where = f"{path}, row {number}"
        name, title, genres, embedding = (clean_text(cell[column]) for column in _COLUMNS)
        if not name:
            raise ConfigError(f"{where}: the itemId is empty.")
        n_values = embedding.count(",") + 1
        if len(cells) * n_values > MAX_VALUES:
            raise ConfigError(
                f"{where}: {len(cells)} rows of {n_values} numbers; the limit is {MAX_VALUES} "
                "numbers."
            )
        known = () if genres == _NO_GENRES else split_genres(genres)
        rows.append(InputRow(number, f"{SCHEME}{path.stem}/{name}", title, "", known))
        vectors.append(_parse_vector(embedding, where))
        if len(vectors[-1]) != len(vectors[0]):
            raise ConfigError(
                f"{where}: {len(vectors[-1])} numbers; the first row has {len(vectors[0])}."
            )
    source = InputList(path.name, path.parent, tuple(columns), rows)
    return ExternalFeatures.from_values(source, np.stack(vectors), [None] * len(rows), [path])


def _parse_vector(cell: str, where: str) -> NDArray[np.float64]:
    try:
        return np.array([float(number) for number in cell.strip("[]").split(",")])
    except ValueError as error:
        raise ConfigError(f"{where}: the embedding is not a list of numbers: {error}.") from error

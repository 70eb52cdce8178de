"""Trailer features in the form of MMTF-14K: one CSV, a movie a row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.links.external.data import (
    MAX_VALUES,
    SCHEME,
    ExternalFeatures,
    publish,
    read_bytes,
)
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
"""What MovieLens writes where it knows none."""


def read_mmtf(path: Path) -> ExternalFeatures:
    """Read a CSV with itemId, title, genres and embedding: numbers parted by commas in one cell.

    Raises:
        ConfigError: names the row and what is wrong there.
    """
    read_bytes(path)  # for its bounds; `read_cells` has none
    columns, cells = read_cells(path)
    require_columns(path, columns, _COLUMNS)
    if not cells:
        raise ConfigError(f"{path} has no rows.")
    rows, vectors = [], []
    for number, cell in enumerate(cells, start=1):
        name, title, genres, embedding = (clean_text(cell[column]) for column in _COLUMNS)
        if not name:
            raise ConfigError(f"{path}, row {number}: the itemId is empty.")
        n_values = embedding.count(",") + 1
        if len(cells) * n_values > MAX_VALUES:
            raise ConfigError(
                f"{path}, row {number}: {len(cells)} rows of {n_values} numbers; at most "
                f"{MAX_VALUES} numbers are read."
            )
        known = () if genres == _NO_GENRES else split_genres(genres)
        rows.append(InputRow(number, f"{SCHEME}{path.stem}/{name}", title, "", known))
        vectors.append(_parse_vector(embedding, f"{path}, row {number}"))
        if len(vectors[-1]) != len(vectors[0]):
            raise ConfigError(
                f"{path}, row {number}: {len(vectors[-1])} numbers; the first row has "
                f"{len(vectors[0])}."
            )
    source = InputList(path.name, path.parent, tuple(columns), rows)
    return publish(source, np.stack(vectors), [None] * len(rows), [path])


def _parse_vector(cell: str, where: str) -> NDArray[np.float64]:
    try:
        return np.array([float(number) for number in cell.strip("[]").split(",")])
    except ValueError as error:
        raise ConfigError(f"{where}: the embedding holds something else: {error}.") from error

"""MMTF-14K's features and Mulan's data as tables that `prepare --external table` reads."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import arff
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trailergenre.links.metadata import Metadata, Movie, read_metadata

MMTF = "trailer_visual_avg"
"""Of MMTF-14K: a CSV with itemId, title, genres and embedding, numbers in one cell."""


class Label(NamedTuple):
    """One row of the labels."""

    id: str
    movie_id: str
    title: str
    genres: str  # separated by |
    split: str


@dataclass(frozen=True)
class Table:
    """Features by row, and the labels of each."""

    labels: list[Label]
    features: NDArray[np.float32]

    @classmethod
    def of(cls, labels: list[Label], values: NDArray[np.float64]) -> Table:
        """A table; a value that is not finite becomes its column's median."""
        with np.errstate(over="ignore"):
            features = values.astype(np.float32)
        for column in np.flatnonzero(~np.isfinite(features).all(axis=0)):
            is_finite = np.isfinite(features[:, column])
            features[~is_finite, column] = np.median(values[is_finite, column])
        return cls(labels, features)

    def truth(self, genres: tuple[str, ...]) -> NDArray[np.int8]:
        """Genres of 0 and 1, shape (rows, genres)."""
        found = [[genre in row.genres.split("|") for genre in genres] for row in self.labels]
        return np.array(found, np.int8)

    def write(self, directory: Path) -> Path:
        """Write it; the directory names its rows."""
        directory.mkdir(parents=True)
        with (directory / "labels.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Label._fields)
            writer.writerows(self.labels)
        ids = [row.id for row in self.labels]
        table = pa.table({"id": ids, "features": list(self.features)})
        pq.write_table(table, directory / "features.parquet")
        return directory


def read_mmtf(source: Path, metadata: Path | None = None) -> Table:
    """Read MMTF-14K's trailers, with genres and ids from IMDB5000's movies if they are given."""
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    values = [row["embedding"].strip("[]").split(",") for row in rows]
    movies = read_metadata(metadata, []) if metadata else None
    labels = []
    for row in rows:
        movie_id, genres = "", row["genres"]
        if movies is not None:
            found = _find_dated(movies, row["title"])
            is_one = len(found) == 1
            movie_id, genres = (
                (found[0].movie_id, "|".join(found[0].genres)) if is_one else ("", "")
            )
        labels.append(Label(row["itemId"], movie_id, row["title"], genres, ""))
    return Table.of(labels, np.array(values, np.float64))


def _find_dated(movies: Metadata, title: str) -> tuple[Movie, ...]:
    """The movies with a title and year in MovieLens' spelling: "Celebration, The (Festen) (1998)".

    A second title in parentheses is left out if the whole is unknown.
    """
    match = re.fullmatch(r"(.+?)( \(.+\))? \(([0-9]{4})\)", title)
    names = (f"{match[1]}{match[2] or ''}", match[1]) if match else ()
    for name in names:
        own = re.sub(r"(.+), (The|An|A)$", r"\2 \1", name)
        found = tuple(m for m in movies.by_title.get(own, ()) if match and m.year == match[3])
        if found:
            return found
    return ()


def read_mulan(source: Path) -> Table:
    """Read data of Mulan: NAME.xml names the labels of NAME-train.arff and NAME-test.arff."""
    (names_of_labels,) = source.glob("*.xml")
    genres = [tag.attrib["name"] for tag in ElementTree.parse(names_of_labels).getroot()]
    labels, blocks = [], []
    for part in ("train", "test"):
        with (source / f"{names_of_labels.stem}-{part}.arff").open(encoding="utf-8") as file:
            content = arff.load(file, encode_nominal=False)
        names = [name for name, _ in content["attributes"]]
        cells = np.array(content["data"], np.float64)
        columns = [names.index(genre) for genre in genres]
        for number, marks in enumerate(cells[:, columns], start=1):
            own = sorted(genre for genre, mark in zip(genres, marks, strict=True) if mark == 1)
            labels.append(Label(f"{part}/{number}", "", "", "|".join(own), part))
        blocks.append(np.delete(cells, columns, axis=1))
    return Table.of(labels, np.concatenate(blocks))

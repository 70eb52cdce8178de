"""Made files of the layouts of Trailers12k and Trailers15k, from which the right table is known."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

GENRES = (
    *("action", "adventure", "comedy", "crime", "drama", "fantasy", "horror", "romance"),
    *("sci-fi", "thriller"),
)
N_SPLITS = 3


@dataclass(frozen=True)
class MadeMovies:
    """Movies with features: ids, arrays of frames, genres of 0 and 1, and parts of each split."""

    names: tuple[str, ...]
    arrays: tuple[NDArray[np.float32], ...]
    truth: NDArray[np.int8]
    parts: NDArray[np.int8]  # (movies, splits): 0 train, 1 validation, 2 test

    def rows_of(self, part: int, split: int = 0) -> list[int]:
        """Positions of the movies of a part."""
        return np.flatnonzero(self.parts[:, split] == part).tolist()


def make_movies(
    n_movies: int = 200,
    *,
    width: int = 16,
    frames: tuple[int, int] = (3, 40),
    labels: Literal["determined", "shuffled"] = "determined",
    seed: int = 7,
) -> MadeMovies:
    """Make movies whose frames tell their genres, or whose labels have nothing to do with them."""
    random = np.random.default_rng(seed)
    truth = (random.random((n_movies, len(GENRES))) < 0.3).astype(np.int8)
    truth[np.arange(n_movies), random.integers(0, len(GENRES), n_movies)] = 1
    mixing = random.normal(size=(len(GENRES), width)) / np.sqrt(width)
    if width >= len(GENRES):
        mixing[:, : len(GENRES)] += 2 * np.eye(len(GENRES))
    arrays = []
    for genres in truth:
        n_frames = int(random.integers(*frames))
        noise = 0.1 * random.normal(size=(n_frames, width))
        arrays.append((genres @ mixing + noise).astype(np.float32))
    if labels == "shuffled":
        truth = truth[random.permutation(n_movies)]
    order = [random.permutation(n_movies) for _ in range(N_SPLITS)]
    parts = np.zeros((n_movies, N_SPLITS), np.int8)
    for split, places in enumerate(order):
        parts[places[: n_movies // 5], split] = 2
        parts[places[n_movies // 5 : n_movies // 5 + n_movies // 8], split] = 1
    names = tuple(f"tt{number:07d}" for number in range(1, n_movies + 1))
    return MadeMovies(names, tuple(arrays), truth, parts)


def write_trailers12k(
    directory: Path,
    movies: MadeMovies,
    *,
    network: str = "trailers_i_resnet_fpc24",
    zarr_format: Literal[2, 3] = 2,
    is_zip: bool = False,
) -> Path:
    """Write mtgc.csv and one network's group; gives the group's path."""
    directory.mkdir(parents=True, exist_ok=True)
    splits = {f"split{n}": movies.parts[:, n] for n in range(N_SPLITS)}
    _write_labels(directory / "mtgc.csv", movies, splits)
    (directory / "metadata.json").write_text("{}")
    path = directory / f"{network}.zarr{'.zip' if is_zip else ''}"
    pairs = zip(movies.names, movies.arrays, strict=True)
    attributes = {"num_features": movies.arrays[0].shape[1]}
    write_group(path, pairs, zarr_format=zarr_format, attributes=attributes)
    return path


def write_trailers15k(
    directory: Path,
    movies: MadeMovies,
    *,
    zarr_format: Literal[2, 3] = 2,
    is_zip: bool = True,
) -> Path:
    """Write the table of labels and a group for each part; gives the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    _write_labels(directory / "trailers15k-mltc.csv", movies, {"subset": movies.parts[:, 0]})
    for number, part in enumerate(("train", "valid", "test")):
        pairs = ((movies.names[row], movies.arrays[row]) for row in movies.rows_of(number))
        path = directory / f"{part}{'.zip' if is_zip else '.zarr'}"
        write_group(path, pairs, zarr_format=zarr_format)
    return directory


def write_group(
    path: Path,
    arrays: Iterable[tuple[str, NDArray[Any]]],
    *,
    zarr_format: Literal[2, 3] = 2,
    attributes: Mapping[str, object] | None = None,
) -> None:
    """Write a group of arrays by id, in a zip file or a directory."""
    store: Any
    if path.suffix == ".zip":
        store = zarr.storage.ZipStore(path, mode="w")
    else:
        store = zarr.storage.LocalStore(path)
    with store:
        # A group with attributes would be written twice, which a zip file keeps.
        group = zarr.create_group(
            store, zarr_format=zarr_format, attributes=dict(attributes or {}) or None
        )
        for name, values in arrays:
            chunks = (min(32, max(1, len(values))), *values.shape[1:])
            group.create_array(name, data=values, chunks=chunks, fill_value=0)


def _write_labels(path: Path, movies: MadeMovies, splits: Mapping[str, NDArray[np.int8]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mid", *GENRES, *splits])
        for row, name in enumerate(movies.names):
            writer.writerow([name, *movies.truth[row], *(parts[row] for parts in splits.values())])

"""Labels and outcomes to what a model learns from: genres, parts and truth of every link.

Both trainers go through here, so they see the same movies in the same parts. Knows nothing of
features' values or of models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trailergenre.base.config import DatasetConfig
from trailergenre.base.errors import ConfigError, StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import TruthArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import (
    LabelledLink,
    Part,
    check_no_leak,
    count_movies,
    genre_matrix,
    labelled_links,
)
from trailergenre.models.splits import split_links


@dataclass(frozen=True)
class TrainingSet:
    """The links of a run that a model can learn from, and what each is used for.

    Attributes:
        links: with features and at least one modelled genre, sorted by link_id.
        parts: one a link.
        truth: shape (n_links, n_genres), int8; what the model is told. Permuted among the movies
            that are not tested where `shuffled` is set.
        genres: the modelled ones, most frequent first.
        not_modelled: genre -> movies, of those with too few.
        shuffled: whether this is a control run.
        data_sha256: over each link's features commit, genres and part.
        links_without_features: labelled, but without features.
        links_without_part: with features, but not named by the given split.
        links_without_modelled_genre: to be used, but only of rarer genres.
    """

    links: tuple[LabelledLink, ...]
    parts: tuple[Part, ...]
    truth: TruthArray
    genres: tuple[str, ...]
    not_modelled: dict[str, int]
    shuffled: bool
    data_sha256: str
    links_without_features: int
    links_without_modelled_genre: int
    links_without_part: int

    def rows_of(self, part: Part) -> NDArray[np.int64]:
        """Positions of the links of a part."""
        return np.flatnonzero(np.array([found == part for found in self.parts]))

    def link_ids_of(self, part: Part) -> list[str]:
        """Links of a part, sorted."""
        return [self.links[row].link_id for row in self.rows_of(part)]

    def truth_of(self, part: Part) -> TruthArray:
        """Rows of `truth`, in the order of `link_ids_of`."""
        return self.truth[self.rows_of(part)]


def prepare_training(
    labels: pa.Table, outcomes: pa.Table, config: DatasetConfig, *, shuffle_labels: bool
) -> TrainingSet:
    """Choose genres and parts.

    Args:
        labels: the labels table.
        outcomes: current outcomes of the features to be used.
        config: rarest genre, split, seed.
        shuffle_labels: permute the genres among the movies that are not tested.

    Raises:
        ConfigError: no genre has enough movies, there are too few movies, or none in a part.
        LeakError: a given split has a movie in two parts.
    """
    labelled = labelled_links(labels)
    ok = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
    commits = dict(zip(ok["link_id"].to_pylist(), ok["commit"].to_pylist(), strict=True))
    ready = [link for link in labelled if link.link_id in commits]
    used = [link for link in ready if link.part or config.split == "folds"]
    if ready and not used:
        raise ConfigError(
            "dataset.split = given, but the labels table names the part of no link with features. "
            "Give a published split to jobs/prepare_dataset.py, or set dataset.split = folds."
        )
    movies = count_movies(used)
    genres = tuple(g for g, n in movies.items() if n >= config.min_movies_per_genre)
    if not genres:
        raise ConfigError(
            f"No genre has {config.min_movies_per_genre} movies with features; the most frequent "
            f"ones: {dict(list(movies.items())[:3])}. Featurize more links, or lower "
            "dataset.min_movies_per_genre."
        )
    links = tuple(link for link in used if link.genres.intersection(genres))
    parts = tuple(split_links(links, genres, config))
    pairs = list(zip(links, parts, strict=True))
    check_no_leak(
        (link for link, part in pairs if part != Part.TEST),
        (link for link, part in pairs if part == Part.TEST),
    )
    truth = genre_matrix(links, genres)
    if shuffle_labels:
        truth = _shuffle(links, parts, truth, seed=config.seed)
    return TrainingSet(
        links=links,
        parts=parts,
        truth=truth,
        genres=genres,
        not_modelled={genre: n for genre, n in movies.items() if genre not in genres},
        shuffled=shuffle_labels,
        data_sha256=_hash_data(pairs, commits),
        links_without_features=len(labelled) - len(ready),
        links_without_modelled_genre=len(used) - len(links),
        links_without_part=len(ready) - len(used),
    )


def _shuffle(
    links: Sequence[LabelledLink], parts: Sequence[Part], truth: TruthArray, *, seed: int
) -> TruthArray:
    """Permute the genres among the movies that are not tested; a movie's links stay alike."""
    rows = [row for row, part in enumerate(parts) if part != Part.TEST]
    genres_of = {links[row].movie_id: truth[row] for row in rows}
    movies = sorted(genres_of)
    order = np.random.default_rng(seed).permutation(len(movies))
    given = {movie: genres_of[movies[k]] for movie, k in zip(movies, order, strict=True)}
    shuffled = truth.copy()
    for row in rows:
        shuffled[row] = given[links[row].movie_id]
    return shuffled


def _hash_data(pairs: Sequence[tuple[LabelledLink, Part]], commits: dict[str, str]) -> str:
    digest = hashlib.sha256()
    for link, part in pairs:
        row = [link.link_id, link.movie_id, commits[link.link_id], sorted(link.genres), part]
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def check_none_lost(store: Store, *, wanted: int, found: int) -> None:
    """Refuse to go on with fewer links than the outcomes promise.

    Raises:
        StorageError: features of a link are gone.
    """
    if found != wanted:
        raise StorageError(
            f"Features of {wanted} links were to be read; {found} were found. "
            f"Check the run: trailergenre verify {store}"
        )

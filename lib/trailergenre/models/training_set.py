"""Labels and outcomes to a training set, the same for all trainers."""

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
from trailergenre.runs.tables import filter_links


@dataclass(frozen=True)
class TrainingSet:
    """The links of a run that a model can learn from, and the part of each."""

    links: tuple[LabelledLink, ...]  # with features and a modelled genre, sorted by link_id
    parts: tuple[Part, ...]
    truth: TruthArray  # if `shuffled`, permuted among the movies that are not tested
    genres: tuple[str, ...]  # the modelled ones, most frequent first
    not_modelled: dict[str, int]  # genre -> movies, for the genres with too few
    shuffled: bool  # a control
    data_sha256: str  # over each link's features commit, genres and part
    links_without_features: int
    links_without_modelled_genre: int  # of those with features
    links_without_part: int  # with features, but not in the given split

    def rows_of(self, part: Part) -> NDArray[np.int64]:
        """Positions of the links of a part."""
        return np.flatnonzero(np.array([each == part for each in self.parts]))

    def link_ids_of(self, part: Part) -> list[str]:
        """Links of a part, sorted."""
        return [self.links[row].link_id for row in self.rows_of(part)]

    def truth_of(self, part: Part) -> TruthArray:
        """Rows of `truth`, in the order of `link_ids_of`."""
        return self.truth[self.rows_of(part)]

    @property
    def genre_shares(self) -> tuple[float, ...]:
        """Share of the training part's links that have each genre."""
        return tuple(self.truth_of(Part.TRAIN).mean(axis=0).tolist())

    def describe(self) -> list[str]:
        """Sizes and exclusions, as lines for a terminal."""
        sizes = ", ".join(f"{len(self.rows_of(part))} {part}" for part in Part)
        lines = [f"{len(self.links)} links ({sizes}), {len(self.genres)} genres"]
        if self.not_modelled:
            rare = ", ".join(f"{genre} ({n})" for genre, n in self.not_modelled.items())
            lines.append(f"not modelled, too few movies: {rare}")
        if self.links_without_part:
            lines.append(f"excluded, in no part: {self.links_without_part} links")
        if self.shuffled:
            lines.append("control: trained on shuffled labels, must not beat the prior")
        return lines


def prepare_training(
    labels: pa.Table, outcomes: pa.Table, config: DatasetConfig, *, shuffle_labels: bool
) -> TrainingSet:
    """Choose genres and parts of the links that have current outcomes with features.

    `shuffle_labels` permutes the genres among the movies that are not tested.

    Raises:
        ConfigError: no genre has enough movies, or there are too few movies for the split.
        LeakError: a given split has a movie in two parts.
    """
    is_ok = pc.equal(outcomes["outcome"], Outcome.OK.value)
    ok = outcomes.select(["link_id", "commit"]).filter(is_ok)
    ready = labelled_links(filter_links(labels, ok["link_id"]))
    used = [link for link in ready if link.part or config.split == "folds"]
    if ready and not used:
        raise ConfigError(
            "dataset.split = given, but the labels table has no part for any link with features. "
            "Give an external split to `trailergenre prepare`, or set dataset.split = folds."
        )
    movies = count_movies(used)
    genres = tuple(g for g, n in movies.items() if n >= config.min_movies_per_genre)
    if not genres:
        raise ConfigError(
            f"No genre has {config.min_movies_per_genre} movies with features (most frequent: "
            f"{dict(list(movies.items())[:3])}). "
            "Featurize more links, or lower dataset.min_movies_per_genre."
        )
    links = tuple(link for link in used if link.genres.intersection(genres))
    parts = tuple(split_links(links, genres, config))
    check_no_leak(split_table(links, parts))
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
        data_sha256=_hash_data(links, parts, ok),
        links_without_features=len(labels) - len(ready),
        links_without_modelled_genre=len(used) - len(links),
        links_without_part=len(ready) - len(used),
    )


def _shuffle(
    links: Sequence[LabelledLink], parts: Sequence[Part], truth: TruthArray, *, seed: int
) -> TruthArray:
    """Permute the genres among the movies that are not tested; a movie's links stay equal."""
    rows = [row for row, part in enumerate(parts) if part != Part.TEST]
    genres_of = {links[row].movie_id: truth[row] for row in rows}
    movies = sorted(genres_of)
    order = np.random.default_rng(seed).permutation(len(movies))
    permuted = {movie: genres_of[movies[k]] for movie, k in zip(movies, order, strict=True)}
    shuffled = truth.copy()
    for row in rows:
        shuffled[row] = permuted[links[row].movie_id]
    return shuffled


def split_table(links: Sequence[LabelledLink], parts: Sequence[Part]) -> pa.Table:
    """A split as a bundle keeps it: link_id, movie_id, part."""
    return pa.table(
        {
            "link_id": [link.link_id for link in links],
            "movie_id": [link.movie_id for link in links],
            "part": pa.array(parts, pa.string()),
        }
    )


def _hash_data(links: Sequence[LabelledLink], parts: Sequence[Part], ok: pa.Table) -> str:
    link_ids = pa.array([link.link_id for link in links])
    places = pc.index_in(link_ids, ok["link_id"].combine_chunks())
    # Few commits, of many links each.
    commit = ok["commit"].combine_chunks().dictionary_encode().take(places)
    commits = commit.dictionary.to_pylist()
    digest = hashlib.sha256()
    for link, part, number in zip(links, parts, commit.indices.to_numpy(), strict=True):
        row = [link.link_id, link.movie_id, commits[number], sorted(link.genres), part]
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def check_all_read(store: Store, *, wanted: int, read: int) -> None:
    """Refuse to continue with fewer links than the outcomes promise, by a `StorageError`."""
    if read != wanted:
        raise StorageError(
            f"Read the features of {read} links instead of {wanted}. "
            f"Check the run: trailergenre verify {store}"
        )

"""Labelled links to a training, a validation and a test part, never a movie in two of them.

A group is a connected component of movies and links: two links of one movie, or two movies behind
one link, stay together. Groups are spread by iterative stratification, so that every genre has its
share in every part. Knows nothing of features or models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit
from numpy.typing import NDArray

from trailergenre.config import DatasetConfig
from trailergenre.errors import ConfigError, LeakError


class Part(StrEnum):
    """What a labelled link is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class LabelledLink:
    """One row of the labels table.

    Attributes:
        link_id: the link.
        movie_id: the movie it is a trailer of.
        genres: the movie's genres.
    """

    link_id: str
    movie_id: str
    genres: frozenset[str]


def labelled_links(labels: pa.Table) -> list[LabelledLink]:
    """Turn the labels table into records, sorted by link so that a seed means one split."""
    rows = labels.select(["link_id", "movie_id", "genres"]).sort_by("link_id").to_pylist()
    return [LabelledLink(row["link_id"], row["movie_id"], frozenset(row["genres"])) for row in rows]


def count_movies(links: Iterable[LabelledLink]) -> dict[str, int]:
    """Count the movies of each genre, most frequent first, then by name.

    >>> count_movies([LabelledLink("a", "m", frozenset({"War"}))])
    {'War': 1}
    """
    movies = {(link.movie_id, genre) for link in links for genre in link.genres}
    counts = Counter(genre for _, genre in movies)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def genre_matrix(links: Sequence[LabelledLink], genres: Sequence[str]) -> NDArray[np.int8]:
    """Mark which genres each link has.

    Returns:
        shape (n_links, n_genres), int8, 0 or 1; row i belongs to links[i].
    """
    marks = [[genre in link.genres for genre in genres] for link in links]
    return np.array(marks, dtype=np.int8).reshape(len(links), len(genres))


def group_links(links: Sequence[LabelledLink]) -> NDArray[np.int64]:
    """Number the connected components of movies and links.

    Returns:
        shape (n_links,), int64; equal numbers must not be separated. Numbered from 0 in the order
        of first appearance.
    """
    parent: dict[tuple[str, str], tuple[str, str]] = {}

    def root(node: tuple[str, str]) -> tuple[str, str]:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for link in links:
        parent[root(("movie", link.movie_id))] = root(("link", link.link_id))
    numbers: dict[tuple[str, str], int] = {}
    found = [numbers.setdefault(root(("link", link.link_id)), len(numbers)) for link in links]
    return np.array(found, dtype=np.int64)


def split_links(
    links: Sequence[LabelledLink], genres: Sequence[str], config: DatasetConfig
) -> list[Part]:
    """Choose the part of every link.

    Args:
        links: all labelled links that have features.
        genres: the modelled genres; the parts get their share of each.
        config: shares and seed. The validation share is one of the movies that are not tested.

    Returns:
        One part a link, in the order of `links`.

    Raises:
        ConfigError: there are too few movies for three parts.
    """
    groups = group_links(links)
    n_groups = int(groups.max(initial=-1)) + 1
    if n_groups < 3:
        raise ConfigError(
            f"A training, a validation and a test part need three movies at least. "
            f"Received: {n_groups} with labels and features."
        )
    marks = _group_marks(groups, genre_matrix(links, genres))
    everything = np.arange(n_groups)
    test = _choose(everything, marks, share=config.test_share, seed=config.seed)
    rest = np.setdiff1d(everything, test)
    validation = _choose(rest, marks[rest], share=config.validation_share, seed=config.seed)
    part = dict.fromkeys(everything.tolist(), Part.TRAIN)
    part |= dict.fromkeys(test.tolist(), Part.TEST)
    part |= dict.fromkeys(validation.tolist(), Part.VALIDATION)
    return [part[group] for group in groups.tolist()]


def _group_marks(groups: NDArray[np.int64], marks: NDArray[np.int8]) -> NDArray[np.int8]:
    """Union of the genres of each group's links, with one empty column more.

    The column changes no share; without it a single genre is refused as not multi-label.
    """
    union = np.zeros((int(groups.max()) + 1, marks.shape[1] + 1), dtype=np.int8)
    np.maximum.at(union[:, :-1], groups, marks)
    return union


def _choose(
    groups: NDArray[np.int64], marks: NDArray[np.int8], *, share: float, seed: int
) -> NDArray[np.int64]:
    """Take about a share of the groups; at least one, and never all."""
    n_chosen = min(max(1, round(share * len(groups))), len(groups) - 1)
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=n_chosen, random_state=seed)
    _, chosen = next(splitter.split(np.zeros(len(groups)), marks))
    if not 0 < len(chosen) < len(groups):
        # Its sizes are only nearly the wanted ones, which on a handful of movies may be none.
        chosen = np.random.default_rng(seed).permutation(len(groups))[:n_chosen]
    taken: NDArray[np.int64] = groups[np.sort(chosen)]
    return taken


def check_no_leak(train: Iterable[LabelledLink], test: Iterable[LabelledLink]) -> None:
    """Refuse a movie or a link that stands on both sides.

    Raises:
        LeakError: names the first ones.
    """
    train, test = list(train), list(test)
    movies = {link.movie_id for link in train} & {link.movie_id for link in test}
    link_ids = {link.link_id for link in train} & {link.link_id for link in test}
    if movies or link_ids:
        first = ", ".join(sorted(movies)[:3] + sorted(link_ids)[:3])
        raise LeakError(
            f"{len(movies)} movies and {len(link_ids)} links stand in the training and in the test "
            f"part ({first}). Split by movie, or train again on the labels as they are now."
        )

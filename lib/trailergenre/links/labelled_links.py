"""Links with their movie, genres and part, and checks that no movie is in two parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trailergenre.base.errors import LeakError
from trailergenre.runs.tables import iter_rows

COLUMNS = ("link_id", "movie_id", "genres", "part")
"""Of the labels table, which has others for people."""

BY_TITLE = "title:"
"""Begins the name of a movie that is known by its title."""


class Part(StrEnum):
    """What a labelled link is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class LabelledLink:
    """One row of the labels table; `part` is None if no given split names the movie."""

    link_id: str
    movie_id: str
    genres: frozenset[str]
    part: Part | None = None


def labelled_links(labels: pa.Table) -> list[LabelledLink]:
    """Records of the labels table, sorted by link so that a seed determines the split."""
    same: dict[frozenset[str], frozenset[str]] = {}  # few sets of genres, of many links
    links = []
    for row in iter_rows(labels.sort_by("link_id")):
        genres, part = frozenset(row["genres"]), row["part"]
        genres = same.setdefault(genres, genres)
        link_id, movie_id = row["link_id"], row["movie_id"]
        movie_id = link_id if movie_id == link_id else movie_id  # one string of two
        links.append(LabelledLink(link_id, movie_id, genres, Part(part) if part else None))
    return links


def count_movies(links: Iterable[LabelledLink]) -> dict[str, int]:
    """Count the movies per genre; most frequent first, then by name.

    >>> count_movies([LabelledLink("a", "m", frozenset({"War"}))])
    {'War': 1}
    """
    movies = {(link.movie_id, genre) for link in links for genre in link.genres}
    counts = Counter(genre for _, genre in movies)
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def count_movies_by_name(links: Iterable[LabelledLink]) -> dict[str, int]:
    """Count the movies by what tells that links are of one movie.

    >>> count_movies_by_name([LabelledLink("a", "title:up (2009)", frozenset())])
    {'id': 0, 'title and year': 1, 'title': 0, 'link': 0}
    """
    counts = {"id": 0, "title and year": 0, "title": 0, "link": 0}
    for movie_id, link_id in {link.movie_id: link.link_id for link in links}.items():
        if movie_id == link_id:
            counts["link"] += 1
        elif not movie_id.startswith(BY_TITLE):
            counts["id"] += 1
        else:
            counts["title and year" if movie_id.endswith(")") else "title"] += 1
    return counts


def genre_matrix(links: Sequence[LabelledLink], genres: Sequence[str]) -> NDArray[np.int8]:
    """Genres as a binary matrix.

    Returns:
        shape (n_links, n_genres), int8, 0 or 1; row i belongs to links[i].
    """
    marks = [[genre in link.genres for genre in genres] for link in links]
    return np.array(marks, dtype=np.int8).reshape(len(links), len(genres))


def group_links(links: Sequence[LabelledLink]) -> NDArray[np.int64]:
    """Number the connected components of movies and links, in order of first appearance.

    Returns:
        shape (n_links,), int64, from 0. Links with equal numbers must be in one part.
    """
    of_link = _number([link.link_id for link in links])
    of_movie = _number([link.movie_id for link in links]) + len(links)
    parent = list(range(2 * len(links)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for link, movie in zip(of_link.tolist(), of_movie.tolist(), strict=True):
        parent[root(movie)] = root(link)
    return _number([root(link) for link in of_link.tolist()])


def _number(values: Sequence[str] | Sequence[int]) -> NDArray[np.int64]:
    """Number values in order of first appearance, from 0."""
    numbers: NDArray[np.int64] = pa.array(values).dictionary_encode().indices.to_numpy()
    return numbers.astype(np.int64)


def check_parts(links: Iterable[LabelledLink]) -> None:
    """Raise LeakError if a given split has one movie in two parts."""
    named = [link for link in links if link.part is not None]
    by_group: dict[int, list[LabelledLink]] = {}
    for group, link in zip(group_links(named).tolist(), named, strict=True):
        by_group.setdefault(group, []).append(link)
    parts = {group[-1].movie_id: {str(link.part) for link in group} for group in by_group.values()}
    wrong = [f"{movie} in {' and '.join(sorted(p))}" for movie, p in parts.items() if len(p) > 1]
    if wrong:
        raise LeakError(
            f"The given split has {len(wrong)} movies in more than one part: "
            f"{', '.join(wrong[:3])}. Correct the split, or split by folds."
        )


def check_no_leak(split: pa.Table) -> None:
    """Raise LeakError if a movie or a link is in the test part and in another one.

    `split` has link_id, movie_id and part.
    """
    is_test = pc.equal(split["part"], Part.TEST.value)

    def common(column: str) -> list[str]:
        tested = pc.unique(split[column].filter(is_test))
        others = split[column].filter(pc.invert(is_test)).combine_chunks()
        found: list[str] = tested.filter(pc.is_in(tested, others)).to_pylist()
        return sorted(found)

    movies, link_ids = common("movie_id"), common("link_id")
    if movies or link_ids:
        first = ", ".join(movies[:3] + link_ids[:3])
        raise LeakError(
            f"{len(movies)} movies and {len(link_ids)} links are in both the training and the test "
            f"part ({first}). Split by movie, or train again on the current labels."
        )

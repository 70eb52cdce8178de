"""Labelled links to a training, a validation and a test part, never a movie in two of them.

Links and movies that are connected (two links of one movie, two movies behind one link) form a
group. Groups are assigned to folds by iterative stratification, so that every genre has its share
in each; or the parts are those of an external split.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from iterstrat.ml_stratifiers import MultilabelStratifiedKFold, MultilabelStratifiedShuffleSplit
from numpy.typing import NDArray

from trailergenre.base.config import DatasetConfig
from trailergenre.base.errors import ConfigError
from trailergenre.links.labelled_links import (
    LabelledLink,
    Part,
    check_parts,
    genre_matrix,
    group_links,
)


def split_links(
    links: Sequence[LabelledLink], genres: Sequence[str], config: DatasetConfig
) -> list[Part]:
    """Choose the part of every link; all folds of one seed are one partition.

    Each part gets its share of the modelled `genres`. For a given split, `links` are those that it
    names.

    Raises:
        ConfigError: there are too few movies, or a given split lacks a part.
        LeakError: a given split has a movie in two parts.
    """
    groups = group_links(links)
    marks = _group_marks(groups, genre_matrix(links, genres))
    if config.split == "given":
        parts = _given_parts(links, groups)
    else:
        fold_of = _assign_folds(marks, config)
        parts = [Part.TEST if fold == config.fold else Part.TRAIN for fold in fold_of.tolist()]
    if Part.VALIDATION not in parts:
        rest = np.flatnonzero([part is Part.TRAIN for part in parts])
        if len(rest) < 2:
            raise ConfigError(
                "The training and validation parts need at least two movies besides the test part. "
                f"Received: {len(rest)} with labels and features."
            )
        for group in _choose(rest, marks[rest], share=config.validation_share, seed=config.seed):
            parts[group] = Part.VALIDATION
    return [parts[group] for group in groups.tolist()]


def _given_parts(links: Sequence[LabelledLink], groups: NDArray[np.int64]) -> list[Part]:
    """The part of every group by the labels table, perhaps without a validation part."""
    check_parts(links)
    given = dict(zip(groups.tolist(), (link.part for link in links), strict=True))
    parts = [part for _, part in sorted(given.items()) if part is not None]
    counts = Counter(parts)
    if not (counts[Part.TRAIN] and counts[Part.TEST]):
        raise ConfigError(
            "dataset.split = given needs a training and a test part. The labels table gives movies "
            f"with features: {dict(counts)}. Give an external split to "
            "`trailergenre prepare`, or set dataset.split = folds."
        )
    return parts


def fold_links(
    links: Sequence[LabelledLink], genres: Sequence[str], config: DatasetConfig
) -> NDArray[np.int64]:
    """The fold of every link, e.g. the inner folds of a training part.

    Raises:
        ConfigError: there are fewer movies than folds.
    """
    groups = group_links(links)
    return _assign_folds(_group_marks(groups, genre_matrix(links, genres)), config)[groups]


def _assign_folds(marks: NDArray[np.int8], config: DatasetConfig) -> NDArray[np.int64]:
    """The fold of every group."""
    n_groups, n_folds = len(marks), config.folds
    if n_groups < n_folds:
        raise ConfigError(
            f"{n_folds} folds need at least as many movies. Received: {n_groups} with labels and "
            "features. Featurize more links, or lower dataset.folds."
        )
    splitter = MultilabelStratifiedKFold(n_folds, shuffle=True, random_state=config.seed)
    folds = np.zeros(n_groups, dtype=np.int64)
    for number, (_, chosen) in enumerate(splitter.split(np.zeros(n_groups), marks)):
        folds[chosen] = number
    if len(np.unique(folds)) < n_folds:
        # The splitter's sizes are approximate: with a handful of movies a fold may be empty.
        order = np.random.default_rng(config.seed).permutation(n_groups)
        folds[order] = np.arange(n_groups) % n_folds
    return folds


def _group_marks(groups: NDArray[np.int64], marks: NDArray[np.int8]) -> NDArray[np.int8]:
    """Union of each group's genres, and an empty column: the splitter refuses a single genre."""
    union = np.zeros((int(groups.max()) + 1, marks.shape[1] + 1), dtype=np.int8)
    np.maximum.at(union[:, :-1], groups, marks)
    return union


def _choose(
    groups: NDArray[np.int64], marks: NDArray[np.int8], *, share: float, seed: int
) -> NDArray[np.int64]:
    """Choose about a share of the groups; at least one, and never all."""
    n_chosen = min(max(1, round(share * len(groups))), len(groups) - 1)
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=n_chosen, random_state=seed)
    _, chosen = next(splitter.split(np.zeros(len(groups)), marks))
    if not 0 < len(chosen) < len(groups):
        # The splitter's sizes are approximate.
        chosen = np.random.default_rng(seed).permutation(len(groups))[:n_chosen]
    taken: NDArray[np.int64] = groups[np.sort(chosen)]
    return taken

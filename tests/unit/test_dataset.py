from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from runs import GENRES, labelled, labels_table, outcome_row
from trailergenre import schemas
from trailergenre.config import DatasetConfig
from trailergenre.dataset import TrainingSet, check_none_lost, prepare_training
from trailergenre.errors import ConfigError, StorageError
from trailergenre.outcomes import Outcome
from trailergenre.splits import LabelledLink, Part
from trailergenre.storage import Store

CONFIG = DatasetConfig(min_movies_per_genre=5)


def outcomes(links: list[LabelledLink], *, failed: int = 0, commit: str = "c") -> pa.Table:
    rows = [
        outcome_row(link.link_id, Outcome.NOT_MEDIA)
        if place < failed
        else outcome_row(link.link_id, Outcome.OK, frames=1, commit=commit, features_file="f")
        for place, link in enumerate(links)
    ]
    return pa.Table.from_pylist(rows, schemas.OUTCOMES)


def clips(n: int = 40) -> list[LabelledLink]:
    return [labelled(f"clip-{i}", [GENRES[i % 4]]) for i in range(n)]


def prepare(
    links: list[LabelledLink], found: pa.Table | None = None, *, shuffle: bool = False
) -> TrainingSet:
    found = outcomes(links) if found is None else found
    return prepare_training(labels_table(links), found, CONFIG, shuffle_labels=shuffle)


def test_every_labelled_link_is_used_or_counted() -> None:
    links = [*clips(), labelled("rare-1", ["Western"]), labelled("rare-2", ["Western", "Action"])]
    training = prepare(links, outcomes(links, failed=3))
    assert training.links_without_features == 3
    assert training.links_without_modelled_genre == 1
    assert len(training.links) == len(links) - 3 - 1
    assert training.not_modelled == {"Western": 2}
    assert set(training.genres) == set(GENRES)


def test_truth_belongs_to_the_links() -> None:
    training = prepare(clips())
    for link, row in zip(training.links, training.truth, strict=True):
        assert {g for g, has in zip(training.genres, row, strict=True) if has} == link.genres


def test_parts_are_disjoint_and_complete() -> None:
    training = prepare(clips())
    ids = [link_id for part in Part for link_id in training.link_ids_of(part)]
    assert sorted(ids) == [link.link_id for link in training.links]


def test_no_frequent_genre_is_an_error_that_names_the_most_frequent() -> None:
    with pytest.raises(ConfigError, match=r"No genre has 5 movies .*'Action': 2"):
        prepare(clips(8))


def test_shuffling_keeps_the_test_part_and_the_number_of_each_genre() -> None:
    links = clips(80)
    true, shuffled = prepare(links), prepare(links, shuffle=True)
    tested = true.rows_of(Part.TEST)
    np.testing.assert_array_equal(shuffled.truth[tested], true.truth[tested])
    np.testing.assert_array_equal(shuffled.truth.sum(axis=0), true.truth.sum(axis=0))
    rest = np.setdiff1d(np.arange(80), tested)
    same = (shuffled.truth[rest] == true.truth[rest]).all(axis=1).mean()
    assert same < 0.5
    assert shuffled.parts == true.parts


def test_shuffling_keeps_the_trailers_of_a_movie_alike() -> None:
    links = clips(40) + [
        labelled(f"second-{i}", [GENRES[i % 4]], f"tt-clip-{i}") for i in range(40)
    ]
    shuffled = prepare(links, shuffle=True)
    rows: dict[str, set[tuple[int, ...]]] = {}
    for link, row in zip(shuffled.links, shuffled.truth.tolist(), strict=True):
        rows.setdefault(link.movie_id, set()).add(tuple(row))
    assert all(len(found) == 1 for found in rows.values())


def test_the_hash_follows_features_and_labels() -> None:
    links = clips()
    first = prepare(links).data_sha256
    assert prepare(links).data_sha256 == first
    assert prepare(links, outcomes(links, commit="other")).data_sha256 != first
    relabelled = [labelled("clip-0", ["Action", "Drama"]), *links[1:]]
    assert prepare(relabelled).data_sha256 != first


def test_lost_features_are_not_passed_over(tmp_path: str) -> None:
    check_none_lost(Store(str(tmp_path)), wanted=3, found=3)
    with pytest.raises(StorageError, match=r"of 3 links .* 2 were found"):
        check_none_lost(Store(str(tmp_path)), wanted=3, found=2)

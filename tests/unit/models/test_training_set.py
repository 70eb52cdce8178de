from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from runs import GENRES, labelled, labels_table, outcome_row
from trailergenre.base.config import DatasetConfig
from trailergenre.base.errors import ConfigError, LeakError, StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import LabelledLink, Part
from trailergenre.models import training_set
from trailergenre.models.training_set import TrainingSet, check_all_read, prepare_training
from trailergenre.runs import schemas

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


def with_parts(links: list[LabelledLink], parts: list[str | None]) -> pa.Table:
    table = labels_table(links)
    place = table.column_names.index("part")
    return table.set_column(place, "part", pa.array(parts, pa.string()))


def test_links_that_a_given_split_does_not_name_are_left_out_and_counted() -> None:
    links = clips(48)
    labels = with_parts(links, ["train", "test", None] * 16)
    config = DatasetConfig(min_movies_per_genre=5, split="given")
    training = prepare_training(labels, outcomes(links, failed=3), config, shuffle_labels=False)
    assert training.links_without_features == 3
    assert training.links_without_part == 15
    tested = {link.link_id for link in links[1::3]} - {link.link_id for link in links[:3]}
    assert set(training.link_ids_of(Part.TEST)) == tested
    assert prepare(links).links_without_part == 0


def test_a_given_split_of_none_of_the_links_is_refused() -> None:
    links = clips(12)
    config = DatasetConfig(min_movies_per_genre=2, split="given")
    with pytest.raises(ConfigError, match=r"no part for any link .* dataset\.split = folds"):
        prepare_training(labels_table(links), outcomes(links), config, shuffle_labels=False)


def test_a_split_that_forgets_the_movies_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    links = clips(40) + [
        labelled(f"second-{i}", [GENRES[i % 4]], f"tt-clip-{i}") for i in range(40)
    ]

    def by_link(links: list[LabelledLink], *_: object) -> list[Part]:
        return [Part.TEST if i % 5 == 0 else Part.TRAIN for i in range(len(links))]

    monkeypatch.setattr(training_set, "split_links", by_link)
    with pytest.raises(LeakError, match="movies and 0 links are in both the training and the test"):
        prepare(links)


def test_lost_features_are_not_passed_over(tmp_path: str) -> None:
    check_all_read(Store(str(tmp_path)), wanted=3, read=3)
    with pytest.raises(StorageError, match=r"of 2 links instead of 3"):
        check_all_read(Store(str(tmp_path)), wanted=3, read=2)

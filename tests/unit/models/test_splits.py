from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from runs import GENRES, labelled, labels_table, link_id
from trailergenre.base.config import DatasetConfig
from trailergenre.base.errors import ConfigError, LeakError
from trailergenre.links.labelled_links import (
    LabelledLink,
    Part,
    check_no_leak,
    count_movies,
    count_movies_by_name,
    genre_matrix,
    group_links,
    labelled_links,
)
from trailergenre.models.splits import fold_links, split_links
from trailergenre.models.training_set import split_table


def clips(n: int) -> list[LabelledLink]:
    return [labelled(f"clip-{i}", [GENRES[i % 4]]) for i in range(n)]


def parts_by_movie(links: list[LabelledLink], parts: list[Part]) -> dict[str, set[Part]]:
    found: dict[str, set[Part]] = {}
    for link, part in zip(links, parts, strict=True):
        found.setdefault(link.movie_id, set()).add(part)
    return found


def test_labels_come_sorted_by_link() -> None:
    links = [labelled("b", ["War"]), labelled("a", ["War", "Drama"])]
    expected = sorted(links, key=lambda link: link.link_id)
    assert labelled_links(labels_table(links)) == expected
    assert labelled_links(labels_table(links[::-1])) == expected


def test_a_movie_with_two_trailers_counts_once() -> None:
    links = [labelled("a", ["War"], "tt1"), labelled("b", ["War"], "tt1"), labelled("c", ["Drama"])]
    assert count_movies(links) == {"Drama": 1, "War": 1}


def test_movies_are_counted_by_what_tells_them_apart() -> None:
    ids = ["tt1", "tt1", "film-7", "title:up (2009)", "title:up (2009)", "title:heat"]
    links = [labelled(f"link-{n}", ["War"], movie_id) for n, movie_id in enumerate(ids)]
    links.append(labelled("alone", ["War"], link_id("alone")))
    assert count_movies_by_name(links) == {"id": 2, "title and year": 1, "title": 1, "link": 1}


def test_genre_matrix_marks_the_columns_asked_for() -> None:
    links = [labelled("a", ["War", "Drama"]), labelled("b", ["Crime"])]
    assert genre_matrix(links, ["Drama", "War"]).tolist() == [[1, 1], [0, 0]]


def test_links_are_grouped_over_movies_and_movies_over_links() -> None:
    links = [
        labelled("a", ["War"], "tt1"),
        labelled("b", ["War"], "tt1"),
        LabelledLink(link_id("b"), "tt2", frozenset({"War"})),
        labelled("c", ["War"], "tt3"),
    ]
    assert group_links(links).tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(("n", "folds"), [(4, 2), (5, 5), (6, 3), (24, 5), (100, 5)])
def test_every_part_has_movies_and_no_movie_has_two_parts(n: int, folds: int) -> None:
    links = clips(n) + [labelled(f"second-{i}", [GENRES[i % 4]], f"tt-clip-{i}") for i in range(2)]
    parts = split_links(links, GENRES, DatasetConfig(folds=folds))
    assert set(parts) == set(Part)
    assert all(len(found) == 1 for found in parts_by_movie(links, parts).values())


def test_each_genre_has_its_share_of_the_test_part() -> None:
    links = clips(200)
    parts = split_links(links, GENRES, DatasetConfig(folds=4))
    tested = [link for link, part in zip(links, parts, strict=True) if part == Part.TEST]
    assert all(abs(n - 12.5) <= 2 for n in count_movies(tested).values())


def test_every_movie_is_tested_in_one_fold_of_five() -> None:
    links = clips(60)
    tested = [
        link.link_id
        for fold in range(5)
        for link, part in zip(
            links, split_links(links, GENRES, DatasetConfig(fold=fold)), strict=True
        )
        if part == Part.TEST
    ]
    assert sorted(tested) == sorted(link.link_id for link in links)


def test_links_of_a_movie_are_dealt_to_one_fold() -> None:
    links = [*clips(20), labelled("again", ["Action"], "tt-clip-3")]
    folds = fold_links(links, GENRES, DatasetConfig(folds=3))
    assert folds[3] == folds[-1]
    assert sorted(set(folds.tolist())) == [0, 1, 2]


def test_one_genre_alone_can_be_split() -> None:
    parts = split_links(clips(20), ["Action"], DatasetConfig())
    assert parts.count(Part.TEST) in range(2, 7)


def test_the_seed_decides_the_split() -> None:
    links = clips(60)
    first, again, other = (
        split_links(links, GENRES, DatasetConfig(seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_fewer_movies_than_folds_are_too_few() -> None:
    with pytest.raises(ConfigError, match=r"5 folds need .* Received: 4 .* lower dataset.folds"):
        split_links(clips(4), GENRES, DatasetConfig())


def test_two_movies_cannot_be_three_parts() -> None:
    with pytest.raises(ConfigError, match=r"besides the test part. Received: 1"):
        split_links(clips(2), GENRES, DatasetConfig(folds=2))


def given(n: int, *parts: Part) -> list[LabelledLink]:
    """Movies in turn in these parts."""
    return [replace(link, part=parts[i % len(parts)]) for i, link in enumerate(clips(n))]


GIVEN = DatasetConfig(split="given")


def test_a_given_split_is_kept() -> None:
    links = given(12, Part.TRAIN, Part.TEST, Part.VALIDATION)
    assert split_links(links, GENRES, GIVEN) == [link.part for link in links]


def test_where_no_validation_part_is_given_a_tenth_of_training_becomes_it() -> None:
    links = given(80, Part.TRAIN, Part.TEST)
    parts = split_links(links, GENRES, GIVEN)
    assert [part == Part.TEST for part in parts] == [link.part == Part.TEST for link in links]
    assert parts.count(Part.VALIDATION) in range(2, 7)


@pytest.mark.parametrize("part", [Part.TRAIN, Part.TEST])
def test_a_given_split_must_have_a_training_and_a_test_part(part: Part) -> None:
    with pytest.raises(ConfigError, match=f"{part.value}.*: 8"):
        split_links(given(8, part), GENRES, GIVEN)


def test_a_given_split_with_a_movie_in_two_parts_is_refused() -> None:
    links = [*given(8, Part.TRAIN, Part.TEST), labelled("again", ["War"], "tt-clip-0")]
    links[-1] = replace(links[-1], part=Part.TEST)
    with pytest.raises(LeakError, match="1 movies in more than one part: tt-clip-0 in test and tr"):
        split_links(links, GENRES, GIVEN)


def test_parts_come_from_the_labels_table() -> None:
    links = given(3, Part.TRAIN, Part.TEST, Part.VALIDATION)
    table = labels_table(links)
    assert all(link.part is None for link in labelled_links(table))
    words = pa.array([link.part for link in links], pa.string())
    table = table.set_column(table.column_names.index("part"), "part", words)
    assert {link.link_id: link.part for link in labelled_links(table)} == {
        link.link_id: link.part for link in links
    }


def check_sides(train: list[LabelledLink], test: list[LabelledLink]) -> None:
    parts = [Part.TRAIN] * len(train) + [Part.TEST] * len(test)
    check_no_leak(split_table([*train, *test], parts))


def test_a_movie_on_both_sides_is_a_leak() -> None:
    with pytest.raises(LeakError, match=r"1 movies and 0 links .*tt1"):
        check_sides([labelled("a", ["War"], "tt1")], [labelled("b", ["War"], "tt1")])


def test_a_link_on_both_sides_is_a_leak() -> None:
    with pytest.raises(LeakError, match="0 movies and 1 links"):
        check_sides([labelled("a", ["War"], "tt1")], [labelled("a", ["War"], "tt2")])


def test_a_split_by_row_would_be_refused() -> None:
    links = [labelled(f"{movie}-{cut}", ["War"], movie) for movie in "abcd" for cut in range(4)]
    with pytest.raises(LeakError):
        check_sides(links[::2], links[1::2])


def test_a_split_by_frame_would_be_refused() -> None:
    frames = [link for link in clips(4) for _ in range(10)]
    with pytest.raises(LeakError, match="4 movies and 4 links"):
        check_sides(frames[::2], frames[1::2])

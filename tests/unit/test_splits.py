from __future__ import annotations

import pytest

from runs import GENRES, labelled, labels_table, link_id
from trailergenre.config import DatasetConfig
from trailergenre.errors import ConfigError, LeakError
from trailergenre.splits import (
    LabelledLink,
    Part,
    check_no_leak,
    count_movies,
    genre_matrix,
    group_links,
    labelled_links,
    split_links,
)


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


@pytest.mark.parametrize("n", [3, 5, 24, 100])
def test_every_part_has_movies_and_no_movie_has_two_parts(n: int) -> None:
    links = clips(n) + [labelled(f"second-{i}", [GENRES[i % 4]], f"tt-clip-{i}") for i in range(2)]
    parts = split_links(links, GENRES, DatasetConfig())
    assert set(parts) == set(Part)
    assert all(len(found) == 1 for found in parts_by_movie(links, parts).values())


def test_each_genre_has_its_share_of_the_test_part() -> None:
    links = clips(200)
    parts = split_links(links, GENRES, DatasetConfig(test_share=0.25))
    tested = [link for link, part in zip(links, parts, strict=True) if part == Part.TEST]
    assert all(abs(n - 12.5) <= 2 for n in count_movies(tested).values())


def test_one_genre_alone_can_be_split() -> None:
    parts = split_links(clips(20), ["Action"], DatasetConfig())
    assert {part: parts.count(part) for part in Part}[Part.TEST] in range(2, 7)


def test_the_seed_decides_the_split() -> None:
    links = clips(60)
    first, again, other = (
        split_links(links, GENRES, DatasetConfig(seed=seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_two_movies_are_too_few() -> None:
    with pytest.raises(ConfigError, match=r"three movies at least. Received: 2"):
        split_links(clips(2), GENRES, DatasetConfig())


def test_a_movie_on_both_sides_is_a_leak() -> None:
    with pytest.raises(LeakError, match=r"1 movies and 0 links .*tt1"):
        check_no_leak([labelled("a", ["War"], "tt1")], [labelled("b", ["War"], "tt1")])


def test_a_link_on_both_sides_is_a_leak() -> None:
    with pytest.raises(LeakError, match="0 movies and 1 links"):
        check_no_leak([labelled("a", ["War"], "tt1")], [labelled("a", ["War"], "tt2")])


def test_a_split_by_row_would_be_refused() -> None:
    links = [labelled(f"{movie}-{cut}", ["War"], movie) for movie in "abcd" for cut in range(4)]
    with pytest.raises(LeakError):
        check_no_leak(links[::2], links[1::2])

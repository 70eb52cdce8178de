from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runs import Movie, labelled, make_features_table, make_movies, make_run
from trailergenre.base.config import RowsConfig
from trailergenre.base.records import INCEPTION_V3_WIDTH, FeatureArray, LinkFrames
from trailergenre.base.storage import Store
from trailergenre.models.pooling import (
    frames_of_table,
    iter_links,
    link_rows,
    pool_frames,
    select_span,
    training_rows,
)
from trailergenre.runs import outcomes_table

ALL = ("mean", "max", "std")


def frames(*values: float, width: int = 3) -> FeatureArray:
    return np.repeat(np.array(values, np.float32)[:, None], width, axis=1)


def link(*values: float, frames_per_s: float = 1.0) -> LinkFrames:
    return LinkFrames("a", frames(*values), np.arange(len(values)) / frames_per_s)


def test_mean_then_maximum_then_population_deviation() -> None:
    pooled = pool_frames(frames(0, 2, 4), ALL)
    assert pooled.dtype == np.float32
    assert pooled.tolist() == pytest.approx([2] * 3 + [4] * 3 + [(8 / 3) ** 0.5] * 3)


def test_only_the_named_statistics_are_pooled_in_their_order() -> None:
    assert pool_frames(frames(0, 2, 4, width=1), ["max", "mean"]).tolist() == [4, 2]


def test_one_frame_has_no_deviation() -> None:
    assert pool_frames(frames(3, width=1), ALL).tolist() == [3, 3, 0]


def test_is_computed_in_double_precision() -> None:
    values = np.float32(1e4) + np.arange(301, dtype=np.float32) / 256
    expected = values.astype(np.float64).std()
    assert pool_frames(frames(*values), ALL)[-1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (3,)])
def test_links_without_a_frame_are_refused(shape: tuple[int, ...]) -> None:
    nothing = LinkFrames("a", np.zeros(shape, np.float32), np.zeros(0))
    with pytest.raises(ValueError, match="Received"):
        link_rows(nothing, "pooled", RowsConfig())


@pytest.mark.parametrize("kind", ["pooled", "frames"])
def test_values_that_are_not_finite_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        link_rows(link(1, np.nan), kind, RowsConfig())  # type: ignore[arg-type]


def test_the_middle_third_is_chosen_by_time() -> None:
    middle = select_span(link(*range(9), frames_per_s=2), "middle")
    assert middle.features[:, 0].tolist() == [3, 4, 5]
    assert middle.frame_time_s.tolist() == [1.5, 2, 2.5]


def test_a_short_video_keeps_the_frame_nearest_to_its_middle() -> None:
    assert select_span(link(5, 6), "middle").features[:, 0].tolist() == [5]
    assert select_span(link(5), "middle").features[:, 0].tolist() == [5]


def test_pooling_leaves_out_what_is_not_in_the_span() -> None:
    config = RowsConfig(span="middle", statistics=("mean",))
    assert link_rows(link(*range(9)), "pooled", config).tolist() == [[4, 4, 4]]


def test_frame_rows_are_all_scored_and_evenly_sampled_for_training() -> None:
    config = RowsConfig(frames_per_link=3)
    long = link(*range(9))
    assert len(link_rows(long, "frames", config)) == 9
    assert training_rows(long, "frames", config)[:, 0].tolist() == [1, 4, 7]
    assert training_rows(link(1, 2, 3), "frames", config)[:, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("kind", ["pooled", "frames"])
@pytest.mark.parametrize("span", ["whole", "middle"])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_training_rows_do_not_keep_a_whole_file_in_memory(kind: str, span: str, n: int) -> None:
    config = RowsConfig(frames_per_link=3, span=span)  # type: ignore[arg-type]
    one = link(*range(n))
    rows = training_rows(one, kind, config)  # type: ignore[arg-type]
    assert not np.shares_memory(rows, one.features)
    assert rows.base is None or rows.base.nbytes == rows.nbytes


def test_a_table_is_taken_apart_link_by_link_in_the_order_of_frames() -> None:
    features = {
        "b": frames(1, 5, width=INCEPTION_V3_WIDTH),
        "a": frames(2, width=INCEPTION_V3_WIDTH),
        "c": frames(3, 2, 1, width=INCEPTION_V3_WIDTH),
    }
    table = make_features_table(features)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    found = list(frames_of_table(shuffled))
    assert [link.link_id for link in found] == ["a", "b", "c"]
    for one in found:
        np.testing.assert_array_equal(one.features, features[one.link_id])
        assert one.frame_time_s.tolist() == list(range(len(one.features)))


def test_an_empty_table_gives_no_link() -> None:
    empty = make_features_table({"a": frames(1, width=INCEPTION_V3_WIDTH)}).slice(0, 0)
    assert list(frames_of_table(empty)) == []


def test_only_the_wanted_links_with_features_are_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    movies = [*make_movies(9), Movie(labelled("broken", ["Drama"]), None)]
    outcomes = outcomes_table.read_outcomes(store, make_run(store, movies, links_per_file=4))
    wanted = [movie.link.link_id for movie in movies[2:]]
    read = [link for links in iter_links(store, outcomes, wanted) for link in links]
    assert sorted(link.link_id for link in read) == sorted(wanted[:-1])
    of_link = {movie.link.link_id: movie.features for movie in movies}
    for one in read:
        np.testing.assert_array_equal(one.features, of_link[one.link_id])

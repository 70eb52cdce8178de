from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trailergenre.pooling import N_POOLED, pool_frames, pool_links, pool_table

from runs import Movie, features_table, labelled, make_movies, make_run
from trailergenre import tables
from trailergenre.records import N_FEATURES, FeatureArray
from trailergenre.storage import Store


def frames(*values: float) -> FeatureArray:
    return np.repeat(np.array(values, np.float32)[:, None], N_FEATURES, axis=1)


def test_mean_then_maximum_then_population_deviation() -> None:
    pooled = pool_frames(frames(0, 2, 4))
    assert pooled.dtype == np.float32
    assert pooled.shape == (N_POOLED,)
    assert pooled[[0, N_FEATURES, 2 * N_FEATURES]] == pytest.approx([2, 4, (8 / 3) ** 0.5])


def test_one_frame_has_no_deviation() -> None:
    pooled = pool_frames(frames(3))
    assert pooled[: 2 * N_FEATURES].tolist() == [3] * 2 * N_FEATURES
    assert not pooled[2 * N_FEATURES :].any()


def test_is_computed_in_double_precision() -> None:
    values = np.float32(1e4) + np.arange(301, dtype=np.float32) / 256
    expected = values.astype(np.float64).std()
    assert pool_frames(frames(*values))[-1] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(0, N_FEATURES), (3, 7), (N_FEATURES,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="Received"):
        pool_frames(np.zeros(shape, np.float32))


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        pool_frames(frames(1, np.nan))


def test_a_table_is_pooled_link_by_link_in_the_order_of_frames() -> None:
    features = {"b": frames(1, 5), "a": frames(2), "c": frames(1e30, -1e30, 1)}
    # Sums of c depend on their order even in float64.
    table = features_table(features)
    shuffled = table.take(np.random.default_rng(0).permutation(len(table)))
    link_ids, rows = pool_table(shuffled)
    assert link_ids == ["a", "b", "c"]
    for link, row in zip(link_ids, rows, strict=True):
        np.testing.assert_array_equal(row, pool_frames(features[link]))


def test_an_empty_table_gives_no_row() -> None:
    link_ids, rows = pool_table(features_table({"a": frames(1)}).slice(0, 0))
    assert link_ids == []
    assert rows.shape == (0, N_POOLED)


def test_links_are_pooled_from_the_files_that_outcomes_name(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    movies = make_movies(5)
    fingerprint = make_run(
        store, [*movies, Movie(labelled("broken", ["Drama"]), None)], links_per_file=2
    )
    wanted = [movie.link.link_id for movie in movies[1:]] + [labelled("broken", []).link_id]
    link_ids, rows = pool_links(store, tables.read_outcomes(store, fingerprint), wanted)
    expected = {
        m.link.link_id: pool_frames(m.features) for m in movies[1:] if m.features is not None
    }
    assert link_ids == sorted(expected)
    np.testing.assert_array_equal(rows, [expected[link] for link in link_ids])

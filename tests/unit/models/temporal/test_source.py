from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runs import link_id, make_movies, make_run
from trailergenre.base.errors import StorageError
from trailergenre.base.storage import Store
from trailergenre.models.temporal.source import FeatureSource
from trailergenre.runs import outcomes_table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, str]:
    """Twelve links in files of three."""
    store = Store(str(tmp_path_factory.mktemp("run")))
    return store, make_run(store, make_movies(12, frames=3), links_per_file=3)


def source(run: tuple[Store, str], names: list[int], **settings: object) -> FeatureSource:
    store, fingerprint = run
    ids = [link_id(f"movie-{number}") for number in names]
    truth = np.array([[number] for number in names], np.int8)
    outcomes = outcomes_table.read_outcomes(store, fingerprint)
    return FeatureSource(store, outcomes, ids, truth, **settings)  # type: ignore[arg-type]


def test_each_link_wanted_comes_once_with_its_frames_and_truth(run: tuple[Store, str]) -> None:
    features = {m.link.link_id: m.features for m in make_movies(12, frames=3)}
    wanted = [11, 2, 3, 7, 5]
    given = {link.link_id: (link, truth) for link, truth in source(run, wanted).stream(1)}
    assert set(given) == {link_id(f"movie-{number}") for number in wanted}
    for number in wanted:
        link, truth = given[link_id(f"movie-{number}")]
        assert truth.tolist() == [number]
        np.testing.assert_array_equal(link.features, features[link.link_id])
        np.testing.assert_array_equal(link.frame_time_s, [0, 1, 2])


def test_the_seed_decides_the_order_of_the_files(run: tuple[Store, str]) -> None:
    orders = {
        seed: tuple(link.link_id for link, _ in source(run, list(range(12))).stream(seed))
        for seed in range(6)
    }
    assert len(set(orders.values())) > 1
    again = tuple(link.link_id for link, _ in source(run, list(range(12))).stream(3))
    assert again == orders[3]


def test_the_middle_third_alone_is_given(run: tuple[Store, str]) -> None:
    [(link, _)] = source(run, [4], span="middle").stream(1)
    assert link.frame_time_s.tolist() == [1]


def test_a_link_without_features_is_not_left_out_in_silence(
    run: tuple[Store, str], tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="of 1 links instead of 2"):
        list(source(run, [1, 99]).stream(1))


def test_a_value_that_is_no_number_is_refused(tmp_path: Path) -> None:
    movies = make_movies(2, frames=3)
    assert movies[1].features is not None
    movies[1].features[2, 5] = np.inf
    store = Store(str(tmp_path))
    run = store, make_run(store, movies)
    assert len(list(source(run, [0]).stream(1))) == 1
    with pytest.raises(StorageError, match="not all finite"):
        list(source(run, [0, 1]).stream(1))


def test_a_run_elsewhere_is_read_once(
    run: tuple[Store, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    plain = Store.read_bytes

    def noted(store: Store, path: str) -> bytes:
        asked.extend([path] if store is run[0] else [])
        return plain(store, path)

    copied = source(run, list(range(12)), copy=Store(str(tmp_path)))
    expected = [list(source(run, list(range(12))).stream(seed)) for seed in (1, 2)]
    monkeypatch.setattr(Store, "read_bytes", noted)
    given = [list(copied.stream(seed)) for seed in (1, 2)]
    assert sorted(asked) == [file.path for file in run[0].list_files("features")]
    for epoch, other in zip(given, expected, strict=True):
        assert [link.link_id for link, _ in epoch] == [link.link_id for link, _ in other]
        for (link, _), (wanted, _) in zip(epoch, other, strict=True):
            np.testing.assert_array_equal(link.features, wanted.features)


def test_a_damaged_file_is_named_where_it_is(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "run"))
    fingerprint = make_run(store, make_movies(3))
    path = store.list_files("features")[0].path
    store.write_bytes(path, b"other")
    copied = source((store, fingerprint), [0, 1, 2], copy=Store(str(tmp_path / "copy")))
    with pytest.raises(StorageError, match=f"{path} below {store} was truncated or changed"):
        list(copied.stream(1))

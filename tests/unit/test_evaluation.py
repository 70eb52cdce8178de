from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bundles import make_bundle, make_manifest
from runs import GENRES, labelled, labels_table
from trailergenre.bundle import Bundle
from trailergenre.errors import BundleError, ConfigError, LeakError
from trailergenre.evaluation import check_control, compare, find_test_links
from trailergenre.storage import Store

PARTS = {"a": "train", "b": "validation", "c": "test", "d": "test"}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(Store(str(tmp_path / "bundle")), parts=PARTS)


def test_test_links_are_those_of_the_bundle(bundle: Bundle) -> None:
    links = [labelled(name, ["Action"]) for name in "abcdx"]
    found = find_test_links(bundle, labels_table(links))
    assert sorted(link.movie_id for link in found) == ["tt-c", "tt-d"]


def test_a_test_movie_that_was_trained_on_is_refused(bundle: Bundle) -> None:
    # The label of c was mended since: it is the movie of a.
    links = [labelled("a", ["Action"]), labelled("c", ["Action"], "tt-a")]
    with pytest.raises(LeakError, match="tt-a"):
        find_test_links(bundle, labels_table(links))


def test_a_split_with_a_leak_is_refused(tmp_path: Path) -> None:
    leaky = make_bundle(Store(str(tmp_path)), parts={"a": "train", "b": "test"})
    split = leaky.split.set_column(1, "movie_id", [["tt-a", "tt-a"]])
    with pytest.raises(LeakError):
        find_test_links(
            Bundle(leaky.manifest, leaky.scorer, split, leaky.sha256),
            labels_table([labelled("x", ["Action"])]),
        )


def test_another_runs_labels_are_refused(bundle: Bundle) -> None:
    with pytest.raises(ConfigError, match="none of the bundle's test links"):
        find_test_links(bundle, labels_table([labelled("x", ["Action"])]))


def test_a_control_must_be_shuffled_and_have_the_same_test_part(
    bundle: Bundle, tmp_path: Path
) -> None:
    shuffled = make_manifest(shuffled=True)
    store = Store(str(tmp_path / "control"))
    check_control(bundle, make_bundle(store, parts=PARTS, manifest=shuffled))
    with pytest.raises(BundleError, match="true labels"):
        check_control(bundle, bundle)
    with pytest.raises(BundleError, match="another test part"):
        check_control(bundle, make_bundle(store, parts={"a": "test"}, manifest=shuffled))


def movies(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth of n movies, and the kind of video that each is: the first genre of its own."""
    rng = np.random.default_rng(seed)
    kinds = np.arange(n) % 4
    truth = np.eye(4, dtype=np.int8)[kinds]
    truth |= (rng.random((n, 4)) < 0.1).astype(np.int8)
    return truth, kinds


def test_a_model_that_knows_beats_and_one_that_guesses_does_not(bundle: Bundle) -> None:
    truth, _ = movies(40, seed=1)
    rng = np.random.default_rng(2)
    knows = np.clip(0.6 * truth + 0.4 * rng.random(truth.shape), 0, 1)
    record = compare(truth, knows, bundle, control=(rng.random(truth.shape), bundle))
    assert record["beats_prior"] == {"model": True, "control": False}
    assert list(record["models"]) == ["prior", "majority", "model", "control"]  # type: ignore[call-overload]


def test_telling_videos_apart_without_knowing_genres_is_not_enough(bundle: Bundle) -> None:
    """Each kind of video gets its own random scores; by luck many rank above random scores."""
    passed_random = passed_all = 0
    for seed in range(20):
        truth, kinds = movies(30, seed)
        scores = np.random.default_rng(seed).random((4, 4))[kinds]
        record = compare(truth, scores, bundle, control=None)
        mean_ap = record["models"]["model"]["mean_ap"]  # type: ignore[index]
        passed_random += mean_ap > record["random"]["mean_ap_p95"]  # type: ignore[index]
        passed_all += record["beats_prior"]["model"]  # type: ignore[index]
    assert passed_random >= 4
    assert passed_all <= 3


def test_baselines_are_what_they_say(bundle: Bundle) -> None:
    truth, _ = movies(40, seed=1)
    record = compare(truth, truth.astype(float), bundle, control=None)
    models = record["models"]
    assert models["prior"]["mean_ap"] == pytest.approx(truth.mean(axis=0).mean())  # type: ignore[index]
    assert models["prior"]["macro_auc"] == 0.5  # type: ignore[index]
    hits = truth[:, :3].sum(axis=1)  # genre_shares fall with the column
    assert models["majority"]["precision_at_3"] == pytest.approx(hits.mean() / 3)  # type: ignore[index]
    assert [g["genre"] for g in models["model"]["genres"]] == list(GENRES)  # type: ignore[index]

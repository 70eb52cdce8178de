from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save
from sklearn.ensemble import RandomForestClassifier

from trailergenre.base.config import ForestConfig
from trailergenre.base.errors import BundleError
from trailergenre.models.estimators.forest import (
    Forest,
    check_forest,
    constant_tree,
    fit_forest,
    from_bytes,
    join_trees,
    to_bytes,
)

CONFIG = ForestConfig(trees=12, max_depth=8, min_rows_per_leaf=2, parallelism=1)


def rows(
    n: int, *, n_genres: int = 3, seed: int = 7
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 30)).astype(np.float32)
    y = (X[:, :n_genres] + rng.normal(size=(n, n_genres)) > 0).astype(np.int8)
    return X, y


def stump(threshold: float = 0.5) -> Forest:
    """Left of the threshold of column 1: .2, right: .9."""
    return Forest(
        offsets=np.array([0, 3], np.int64),
        first_genre=np.array([0], np.int32),
        feature=np.array([1, -1, -1], np.int32),
        threshold=np.array([threshold, 0, 0]),
        left=np.array([1, -1, -1], np.int32),
        right=np.array([2, -1, -1], np.int32),
        value=np.array([[0.5], [0.2], [0.9]]),
        n_features=2,
    )


def test_a_row_on_the_threshold_goes_left() -> None:
    X = np.array([[9, 0.5], [9, 0.5001], [9, -3]], np.float32)
    assert stump().predict_proba(X).tolist() == [[0.2], [0.9], [0.2]]


def test_a_threshold_is_compared_as_a_double() -> None:
    # As float32 both are the same number.
    just_below = float(np.float32(0.1)) - 1e-12
    X = np.array([[0, 0.1]], np.float32)
    assert stump(just_below).predict_proba(X).tolist() == [[0.9]]


def test_no_row_gives_no_probability() -> None:
    assert stump().predict_proba(np.empty((0, 2), np.float32)).shape == (0, 1)


@pytest.mark.parametrize(
    "X",
    [np.zeros((1, 3), np.float32), np.zeros((1, 2)), np.array([[0, np.inf]], np.float32)],
    ids=["width", "float64", "infinite"],
)
def test_other_rows_are_refused(X: NDArray[np.float32]) -> None:
    with pytest.raises(ValueError, match=r"Received|finite"):
        stump().predict_proba(X)


def test_trees_of_a_genre_are_averaged_and_genres_kept_apart() -> None:
    second = constant_tree(0.4, genre=1, n_features=2)
    forest = join_trees([stump(), stump(threshold=2.0), second])
    check_forest(forest)
    X = np.array([[0, 1], [0, 3]], np.float32)
    np.testing.assert_allclose(forest.predict_proba(X), [[0.55, 0.4], [0.9, 0.4]])


@pytest.mark.parametrize("n_genres", [1, 3])
def test_scikit_learn_forest_gives_its_trainers_probabilities(n_genres: int) -> None:
    X, y = rows(200, n_genres=n_genres)
    unseen, _ = rows(700, seed=8)
    forest = fit_forest(X, y, CONFIG)
    check_forest(forest)
    theirs = RandomForestClassifier(
        n_estimators=12, max_depth=8, min_samples_leaf=2, max_features="sqrt", random_state=7
    ).fit(X, y if n_genres > 1 else y[:, 0])
    expected = theirs.predict_proba(unseen)
    columns = expected if n_genres > 1 else [expected]
    ours = forest.predict_proba(unseen)
    assert np.ptp(ours) > 0.5
    np.testing.assert_allclose(ours, np.stack([c[:, 1] for c in columns], axis=1), atol=1e-12)
    nodes = [tree.tree_.node_count for tree in theirs.estimators_]
    assert np.diff(forest.offsets).tolist() == nodes


def test_a_tree_of_few_rows_is_the_one_that_scikit_learn_draws(tmp_path: Path) -> None:
    """From rows that are mapped from a file, of which the tree copies its own."""
    X, y = rows(200)
    np.save(tmp_path / "rows.npy", X)
    config = CONFIG.model_copy(update={"rows_per_tree": 50})
    forest = fit_forest(np.load(tmp_path / "rows.npy", mmap_mode="r"), y, config)
    settings = {"max_depth": 8, "min_samples_leaf": 2, "max_features": "sqrt", "random_state": 7}
    theirs = RandomForestClassifier(n_estimators=12, max_samples=50, **settings).fit(X, y)
    expected = np.stack([c[:, 1] for c in theirs.predict_proba(X)], axis=1)
    np.testing.assert_allclose(forest.predict_proba(X), expected, atol=1e-12)


def test_a_genre_that_all_or_no_training_row_has_stays_so() -> None:
    X, y = rows(60)
    y[:, 0], y[:, 2] = 0, 1
    probabilities = fit_forest(X, y, CONFIG).predict_proba(X)
    assert set(probabilities[:, 0]) == {0.0}
    assert set(probabilities[:, 2]) == {1.0}
    assert np.ptp(probabilities[:, 1]) > 0.3


def test_the_seed_decides_the_forest() -> None:
    X, y = rows(60)
    first, again, other = (
        fit_forest(X, y, CONFIG.model_copy(update={"seed": seed})).predict_proba(X)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"left": np.array([0, -1, -1], np.int32)}, "after its parent"),
        ({"right": np.array([7, -1, -1], np.int32)}, "after its parent"),
        ({"right": np.array([-1, -1, -1], np.int32)}, "one child"),
        ({"right": np.array([1, -1, -1], np.int32)}, "no parent, or two"),
        ({"feature": np.array([2, -1, -1], np.int32)}, "outside 0..1"),
        ({"threshold": np.array([np.nan, 0, 0])}, "not finite"),
        ({"value": np.array([[0.5], [1.2], [0.1]])}, "outside 0..1"),
        ({"value": np.array([[0.5], [np.nan], [0.1]])}, "outside 0..1"),
        ({"value": np.zeros((2, 1))}, "shape"),
        ({"left": np.array([1, -1], np.int32)}, "different lengths"),
        ({"offsets": np.array([0, 2], np.int64)}, "cover"),
        ({"first_genre": np.array([1], np.int32)}, "every genre"),
        ({"first_genre": np.zeros(2, np.int32)}, "2 offsets for 2 trees"),
        ({"feature": np.array([1.0, -1, -1])}, "float64"),
    ],
)
def test_arrays_that_are_no_forest_are_refused(
    change: dict[str, NDArray[np.float64]], reason: str
) -> None:
    check_forest(stump())
    with pytest.raises(BundleError, match=reason):
        check_forest(replace(stump(), **change))  # type: ignore[arg-type]


def leaves(n_trees: int, width: int) -> Forest:
    """Trees of one leaf, each of which speaks of all genres."""
    return replace(
        stump(),
        offsets=np.arange(n_trees + 1),
        first_genre=np.zeros(n_trees, np.int32),
        feature=np.full(n_trees, -1, np.int32),
        threshold=np.zeros(n_trees),
        left=np.full(n_trees, -1, np.int32),
        right=np.full(n_trees, -1, np.int32),
        value=np.full((n_trees, width), 0.25),
    )


@pytest.mark.parametrize(("n_trees", "width"), [(1_000, 27), (27_000, 1), (1, 100)])
def test_forests_of_many_trees_or_genres_are_taken(n_trees: int, width: int) -> None:
    assert check_forest(leaves(n_trees, width)) is None


def test_a_forest_of_too_many_trees_of_too_many_genres_is_refused() -> None:
    with pytest.raises(BundleError, match="2001 trees of 1000 genres each"):
        check_forest(leaves(2_001, 1_000))


def test_the_memory_of_a_walk_does_not_grow_with_the_width_of_leaves() -> None:
    forest = leaves(2_000, 50)  # 512 rows at once would be 0.4 GB
    X = np.zeros((512, 2), np.float32)
    tracemalloc.start()
    probabilities = forest.predict_proba(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 250e6
    assert np.unique(probabilities).tolist() == [0.25]


def chain(depth: int) -> Forest:
    """A tree that is a line: each inner node's left child is a leaf."""
    n = 2 * depth + 1
    is_inner = np.arange(n) % 2 == 0
    is_inner[-1] = False
    place = np.arange(n, dtype=np.int32)
    return replace(
        stump(),
        offsets=np.array([0, n], np.int64),
        feature=np.where(is_inner, 0, -1).astype(np.int32),
        threshold=np.zeros(n),
        left=np.where(is_inner, place + 1, -1).astype(np.int32),
        right=np.where(is_inner, place + 2, -1).astype(np.int32),
        value=np.zeros((n, 1)),
    )


def test_a_tree_that_would_be_walked_forever_is_refused() -> None:
    assert check_forest(chain(63)) is None
    with pytest.raises(BundleError, match="deeper than 64 levels"):
        check_forest(chain(1000))


@pytest.mark.parametrize("n_genres", [1, 3])
def test_bytes_give_the_same_forest_back(n_genres: int) -> None:
    X, y = rows(60, n_genres=n_genres)
    forest = fit_forest(X, y, CONFIG)
    content = to_bytes(forest)
    again = from_bytes(content)
    np.testing.assert_array_equal(again.predict_proba(X), forest.predict_proba(X))
    assert to_bytes(again) == content


@pytest.mark.parametrize(
    ("n_features", "reason"),
    [
        (0, "takes 0 columns"),
        (2.0, "takes 2.0 columns"),
        (10**9, "takes 1000000000 columns"),
        (1, "outside 0..0"),
        (np.zeros(2), "not a forest"),
    ],
)
def test_a_file_with_another_width_is_refused(n_features: object, reason: str) -> None:
    arrays = {field.name: np.asarray(getattr(stump(), field.name)) for field in fields(Forest)}
    assert from_bytes(save(arrays)).n_features == 2
    with pytest.raises(BundleError, match=reason):
        from_bytes(save(arrays | {"n_features": np.asarray(n_features)}))


@pytest.mark.parametrize("content", [b"", b"PK", save({"left": np.zeros(2)})])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="not a forest"):
        from_bytes(content)


def test_what_would_be_refused_is_not_written() -> None:
    with pytest.raises(BundleError, match="not finite"):
        to_bytes(stump(threshold=np.nan))


def test_scoring_imports_neither_spark_nor_scikit_learn_nor_pandas() -> None:
    code = (
        "import sys, trailergenre.models.bundle, trailergenre.models.pooling;"
        "print([m for m in ('pyspark', 'sklearn', 'pandas', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

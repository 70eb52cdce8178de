"""A random forest as plain arrays: the one form that both trainers export to and scoring reads.

Needs numpy only. Knows nothing of Spark, of scikit-learn, of links or of genre names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from trailergenre.base.config import ForestConfig
from trailergenre.base.errors import BundleError
from trailergenre.base.records import ProbabilityArray

_MAX_DEPTH = 64
"""`ForestConfig.max_depth` ends at 30."""
_MAX_SPOKEN = 2_000_000
"""Trees times the genres that each speaks of; 27 genres of 1,000 trees each are 27,000."""

_MAX_FEATURES = 1_000_000
"""Pooled rows of Inception-V3 have 6,144."""

_ROWS_AT_A_TIME = 512
"""Rows walked together; fewer where their leaves would be more than `_VALUES_AT_A_TIME`."""
_VALUES_AT_A_TIME = 16_000_000
"""Of leaves, looked up together: 128 MB; the walk to them takes at most six times that."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees, one after the other in flat arrays.

    A tree's leaf holds the probabilities of `width` genres beside each other, from the tree's
    first genre on: one genre a tree (MLlib: a forest a genre) or all of them (scikit-learn: one
    multi-output forest). A genre's probability is the mean over the trees that speak of it.

    Attributes:
        offsets: shape (n_trees + 1,), int64; tree t has the nodes offsets[t]..offsets[t + 1] - 1,
            its root first.
        first_genre: shape (n_trees,), int32; column of the first genre of each tree.
        feature: shape (n_nodes,), int32; column that a node splits on, -1 in a leaf.
        threshold: shape (n_nodes,), float64; a row goes left where its value <= threshold.
        left: shape (n_nodes,), int32; node among all nodes, after its parent; -1 in a leaf.
        right: like `left`.
        value: shape (n_nodes, width), float64, 0..1; only leaves' values are used.
        n_features: columns of a row.
    """

    offsets: NDArray[np.int64]
    first_genre: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: NDArray[np.float64]
    n_features: int

    @property
    def n_trees(self) -> int:
        """Trees of all genres together."""
        return len(self.first_genre)

    @property
    def n_genres(self) -> int:
        """Columns of the predictions."""
        return int(self.first_genre.max()) + int(self.value.shape[1])

    def predict_proba(self, X: NDArray[np.float32]) -> ProbabilityArray:
        """Give each row's genre probabilities.

        Args:
            X: shape (n, n_features), float32, finite.

        Returns:
            shape (n, n_genres), float64, 0..1; row i belongs to X[i]. n = 0 gives (0, n_genres).

        Raises:
            ValueError: the rows have another width, another type or values that are not finite.
        """
        if X.ndim != 2 or X.shape[1] != self.n_features or X.dtype != np.float32:
            raise ValueError(
                f"Expected float32 (n, {self.n_features}). Received: {X.dtype} {X.shape}."
            )
        if not np.isfinite(X).all():
            raise ValueError("Rows are not all finite.")
        probabilities = np.zeros((len(X), self.n_genres))
        width = self.value.shape[1]
        step = max(1, min(_ROWS_AT_A_TIME, _VALUES_AT_A_TIME // (self.n_trees * width)))
        for start in range(0, len(X), step):
            leaves = self._walk(X[start : start + step])
            block = probabilities[start : start + step]
            for genre in np.unique(self.first_genre):
                of_genre = leaves[:, self.first_genre == genre]
                # Without a name, or the last values would stay while the next are looked up.
                block[:, genre : genre + width] = self.value[of_genre].mean(axis=1)
        return probabilities

    def _walk(self, X: NDArray[np.float32]) -> NDArray[np.int64]:
        """Find the leaf of every row in every tree, shape (n, n_trees); all trees step together."""
        nodes = np.tile(self.offsets[:-1], (len(X), 1))
        rows, trees = np.nonzero(self.left[nodes] >= 0)
        while len(rows):
            here = nodes[rows, trees]
            # float32 against float64 compares as doubles: what Spark and scikit-learn both do.
            goes_left = X[rows, self.feature[here]] <= self.threshold[here]
            here = np.where(goes_left, self.left[here], self.right[here])
            nodes[rows, trees] = here
            inner = self.left[here] >= 0
            rows, trees = rows[inner], trees[inner]
        return nodes


def join_trees(trees: Sequence[Forest]) -> Forest:
    """Put forests of the same width behind each other, e.g. one a genre into one."""
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees)])

    def moved(name: str) -> NDArray[np.int32]:
        parts = [getattr(tree, name) for tree in trees]
        return np.concatenate(
            [np.where(part < 0, part, part + s) for part, s in zip(parts, starts, strict=False)]
        ).astype(np.int32)

    offsets = [tree.offsets[:-1] + start for tree, start in zip(trees, starts, strict=False)]
    return Forest(
        offsets=np.concatenate([*offsets, starts[-1:]]).astype(np.int64),
        first_genre=np.concatenate([tree.first_genre for tree in trees]),
        feature=np.concatenate([tree.feature for tree in trees]),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        left=moved("left"),
        right=moved("right"),
        value=np.concatenate([tree.value for tree in trees]),
        n_features=trees[0].n_features,
    )


def constant_tree(probability: float, *, genre: int, n_features: int) -> Forest:
    """Make the forest of a genre that every training row has, or none: one leaf."""
    return Forest(
        offsets=np.array([0, 1], np.int64),
        first_genre=np.array([genre], np.int32),
        feature=np.array([-1], np.int32),
        threshold=np.zeros(1),
        left=np.array([-1], np.int32),
        right=np.array([-1], np.int32),
        value=np.array([[probability]]),
        n_features=n_features,
    )


def fit_forest(X: NDArray[np.float32], y: NDArray[np.int8], config: ForestConfig) -> Forest:
    """Fit one multi-output forest for all genres with scikit-learn, all rows in memory.

    Four bytes a value: 4,000 pooled rows of 6,144 columns are 0.1 GB, 100,000 frames of 2,048
    columns 0.8 GB.

    Args:
        X: shape (n, n_features), float32.
        y: shape (n, n_genres), int8, 0 or 1.
        config: size and seed.
    """
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(
        n_estimators=config.trees,
        max_depth=config.max_depth,
        min_samples_leaf=config.min_rows_per_leaf,
        max_features="sqrt",
        random_state=config.seed,
        n_jobs=config.parallelism,
    )
    # One genre alone must be a vector, and its classes are then not in a list.
    model.fit(X, y if y.shape[1] > 1 else y[:, 0])
    classes = model.classes_ if y.shape[1] > 1 else [model.classes_]
    return join_trees(
        [_export_tree(estimator.tree_, classes, X.shape[1]) for estimator in model.estimators_]
    )


def _export_tree(tree: object, classes: Sequence[NDArray[np.int8]], n_features: int) -> Forest:
    """Copy one scikit-learn tree.

    Args:
        tree: `sklearn.tree._tree.Tree`, which has no stubs.
        classes: the labels seen of each genre: [0, 1], or one alone where it is constant.
        n_features: columns of a row.
    """
    counts: NDArray[np.float64] = tree.value  # type: ignore[attr-defined]
    value = np.empty(counts.shape[:2])
    for genre, seen in enumerate(classes):
        if len(seen) == 1:
            value[:, genre] = seen[0]
        else:
            value[:, genre] = counts[:, genre, 1] / counts[:, genre, :2].sum(axis=1)
    left: NDArray[np.int64] = tree.children_left  # type: ignore[attr-defined]
    is_leaf = left < 0
    return Forest(
        offsets=np.array([0, len(left)], np.int64),
        first_genre=np.zeros(1, np.int32),
        feature=np.where(is_leaf, -1, tree.feature).astype(np.int32),  # type: ignore[attr-defined]
        threshold=np.where(is_leaf, 0.0, tree.threshold),  # type: ignore[attr-defined]
        left=left.astype(np.int32),
        right=tree.children_right.astype(np.int32),  # type: ignore[attr-defined]
        value=value,
        n_features=n_features,
    )


def to_bytes(forest: Forest) -> bytes:
    """Serialize a forest as safetensors."""
    check_forest(forest)
    arrays = {field.name: getattr(forest, field.name) for field in fields(forest)}
    # safetensors writes memory as it lies: it must be in C order.
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def from_bytes(content: bytes) -> Forest:
    """Read what `to_bytes` wrote; the caller verifies the checksum.

    Raises:
        BundleError: the content is not a valid forest.
    """
    try:
        loaded = load(content)
        forest = Forest(**{**loaded, "n_features": loaded["n_features"].item()})
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"The model's file is not a forest: {error}. Train the bundle again."
        ) from error
    check_forest(forest)
    return forest


def check_forest(forest: Forest) -> None:
    """Refuse arrays that are no forest, before a walk over them could run wild.

    Raises:
        BundleError: the first thing that is wrong.
    """
    problem = _width_problem(forest) or _shape_problem(forest) or _tree_problem(forest)
    if problem:
        raise BundleError(f"The forest is broken: {problem}. Train the bundle again.")


_DTYPES = {
    "offsets": (np.int64, 1),
    "first_genre": (np.int32, 1),
    "feature": (np.int32, 1),
    "threshold": (np.float64, 1),
    "left": (np.int32, 1),
    "right": (np.int32, 1),
    "value": (np.float64, 2),
}


def _width_problem(forest: Forest) -> str | None:
    # From a file it may be anything that an array of one number can hold.
    if not isinstance(forest.n_features, int) or not 1 <= forest.n_features <= _MAX_FEATURES:
        return f"it takes {forest.n_features} columns"
    return None


def _shape_problem(forest: Forest) -> str | None:
    for name, (dtype, n_dimensions) in _DTYPES.items():
        array = getattr(forest, name)
        if array.dtype != dtype or array.ndim != n_dimensions:
            return f"{name} is {array.dtype} with {array.ndim} dimensions"
    n_nodes = len(forest.feature)
    if any(len(getattr(forest, name)) != n_nodes for name in ("threshold", "left", "right")):
        return "its arrays have different lengths"
    if forest.value.shape[0] != n_nodes or forest.value.shape[1] < 1:
        return f"value has the shape {forest.value.shape} for {n_nodes} nodes"
    offsets = forest.offsets
    if forest.n_trees * forest.value.shape[1] > _MAX_SPOKEN:
        return f"it has {forest.n_trees} trees of {forest.value.shape[1]} genres each"
    if forest.n_trees < 1 or len(offsets) != forest.n_trees + 1:
        return f"{len(offsets)} offsets for {forest.n_trees} trees"
    if offsets[0] != 0 or offsets[-1] != n_nodes or (np.diff(offsets) < 1).any():
        return "its trees do not cover its nodes"
    return None


def _parent_problem(forest: Forest, inner: NDArray[np.bool_]) -> str | None:
    """Every node but a root has one parent, and no tree is deeper than any trainer grows it."""
    children = np.concatenate([forest.left[inner], forest.right[inner]])
    parents = np.bincount(children, minlength=len(forest.feature))
    parents[forest.offsets[:-1]] += 1
    if (parents != 1).any():
        return "a node has no parent, or two"
    level = forest.offsets[:-1]
    for _ in range(_MAX_DEPTH):
        level = level[inner[level]]
        level = np.concatenate([forest.left[level], forest.right[level]])
    return f"a tree is deeper than {_MAX_DEPTH} levels" if len(level) else None


def _tree_problem(forest: Forest) -> str | None:
    width = forest.value.shape[1]
    starts = np.unique(forest.first_genre)
    if not np.array_equal(starts, width * np.arange(len(starts))):
        return "its trees do not speak of every genre once"
    inner = forest.left >= 0
    if not np.array_equal(inner, forest.right >= 0):
        return "a node has one child"
    nodes = np.arange(len(forest.feature))
    ends = np.repeat(forest.offsets[1:], np.diff(forest.offsets))
    for child in (forest.left, forest.right):
        if (child[inner] <= nodes[inner]).any() or (child[inner] >= ends[inner]).any():
            return "a child does not stand after its parent in its tree"
    if ((forest.feature[inner] < 0) | (forest.feature[inner] >= forest.n_features)).any():
        return f"a node splits on a column outside 0..{forest.n_features - 1}"
    problem = _parent_problem(forest, inner)
    if problem:
        return problem
    if not np.isfinite(forest.threshold).all():
        return "a threshold is not finite"
    if not ((forest.value >= 0) & (forest.value <= 1)).all():
        return "a leaf's probability is outside 0..1"
    return None

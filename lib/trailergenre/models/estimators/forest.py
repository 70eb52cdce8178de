"""A random forest as plain arrays: all trainers export it; scoring it needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from trailergenre.base.config import ForestConfig
from trailergenre.base.errors import BundleError
from trailergenre.base.records import ProbabilityArray
from trailergenre.models.estimators.checks import check_file, check_input

_MAX_DEPTH = 64
"""`ForestConfig.max_depth` is at most 30."""
_MAX_TREE_GENRES = 2_000_000
"""Trees times genres per tree; 27 genres of 1,000 trees each are 27,000."""
_MAX_FEATURES = 1_000_000
"""Pooled rows of Inception-V3 have 6,144 columns."""

_BLOCK_ROWS = 512
"""Rows scored together; fewer if their leaves would hold more than `_BLOCK_VALUES`."""
_BLOCK_VALUES = 16_000_000
"""Leaf values looked up together: 128 MB; finding the leaves takes at most six times that."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees, one after the other in flat arrays.

    A leaf holds the probabilities of `width` genres, from the tree's first genre on: one genre per
    tree (MLlib, a forest per genre) or all of them (scikit-learn, one multi-output forest). A
    genre's probability is the mean over the trees that predict it.
    """

    offsets: NDArray[np.int64]  # (n_trees + 1,); tree t has nodes offsets[t]..offsets[t + 1] - 1
    first_genre: NDArray[np.int32]  # (n_trees,); column of each tree's first genre
    feature: NDArray[np.int32]  # (n_nodes,); column of the split, -1 in a leaf
    threshold: NDArray[np.float64]  # (n_nodes,); a row goes left if its value <= threshold
    left: NDArray[np.int32]  # (n_nodes,); node number, after its parent's; -1 in a leaf
    right: NDArray[np.int32]
    value: NDArray[np.float64]  # (n_nodes, width), 0..1; used in leaves only
    n_features: int

    @property
    def n_trees(self) -> int:
        """Of all genres together."""
        return len(self.first_genre)

    @property
    def n_genres(self) -> int:
        """Columns of the predictions."""
        return int(self.first_genre.max()) + int(self.value.shape[1])

    def predict_proba(self, X: NDArray[np.float32]) -> ProbabilityArray:
        """Predict the genre probabilities of rows, shape (n, n_genres).

        Raises:
            ValueError: X is not finite float32 of shape (n, n_features).
        """
        check_input(X, self.n_features)
        probabilities = np.zeros((len(X), self.n_genres))
        width = self.value.shape[1]
        step = max(1, min(_BLOCK_ROWS, _BLOCK_VALUES // (self.n_trees * width)))
        for start in range(0, len(X), step):
            leaves = self._find_leaves(X[start : start + step])
            block = probabilities[start : start + step]
            for genre in np.unique(self.first_genre):
                of_genre = leaves[:, self.first_genre == genre]
                # Unnamed, so that the values are freed before the next ones are looked up.
                block[:, genre : genre + width] = self.value[of_genre].mean(axis=1)
        return probabilities

    def _find_leaves(self, X: NDArray[np.float32]) -> NDArray[np.int64]:
        """The leaf of every row in every tree, shape (n, n_trees); all trees step together."""
        nodes = np.tile(self.offsets[:-1], (len(X), 1))
        rows, trees = np.nonzero(self.left[nodes] >= 0)
        while len(rows):
            here = nodes[rows, trees]
            # float32 is compared with float64 as doubles, as in Spark and scikit-learn.
            goes_left = X[rows, self.feature[here]] <= self.threshold[here]
            here = np.where(goes_left, self.left[here], self.right[here])
            nodes[rows, trees] = here
            inner = self.left[here] >= 0
            rows, trees = rows[inner], trees[inner]
        return nodes


def join_trees(trees: Sequence[Forest]) -> Forest:
    """Concatenate forests of the same width, e.g. one per genre."""
    starts = np.cumsum([0, *(len(tree.feature) for tree in trees)])

    def concatenate(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(tree, name) for tree in trees])

    first_nodes = np.repeat(starts[:-1], np.diff(starts))
    left, right = concatenate("left"), concatenate("right")
    offsets = [tree.offsets[:-1] + start for tree, start in zip(trees, starts[:-1], strict=True)]
    return Forest(
        offsets=np.concatenate([*offsets, starts[-1:]]).astype(np.int64),
        first_genre=concatenate("first_genre"),
        feature=concatenate("feature"),
        threshold=concatenate("threshold"),
        left=np.where(left < 0, left, left + first_nodes).astype(np.int32),
        right=np.where(right < 0, right, right + first_nodes).astype(np.int32),
        value=concatenate("value"),
        n_features=trees[0].n_features,
    )


def constant_tree(probability: float, *, genre: int, n_features: int) -> Forest:
    """A forest of one leaf, for a genre that every training row has, or none."""
    leaf = np.array([-1], np.int32)
    return Forest(
        offsets=np.array([0, 1], np.int64),
        first_genre=np.array([genre], np.int32),
        feature=leaf,
        threshold=np.zeros(1),
        left=leaf,
        right=leaf,
        value=np.array([[probability]]),
        n_features=n_features,
    )


def fit_forest(X: NDArray[np.float32], y: NDArray[np.int8], config: ForestConfig) -> Forest:
    """Fit one multi-output forest for all genres with scikit-learn, in threads.

    All rows are in memory: 0.1 GB for 4,000 pooled rows of 6,144 columns. `y` has the shape
    (n, n_genres).
    """
    with ThreadPoolExecutor(config.parallelism) as threads:
        return join_trees(list(threads.map(partial(grow_tree, X, y, config), tree_seeds(config))))


def tree_seeds(config: ForestConfig) -> list[int]:
    """The seed of each tree, drawn as scikit-learn's `RandomForestClassifier` draws them."""
    from sklearn.utils import check_random_state

    rng = check_random_state(config.seed)
    return [int(rng.randint(np.iinfo(np.int32).max)) for _ in range(config.trees)]


def grow_tree(
    X: NDArray[np.float32], y: NDArray[np.int8], config: ForestConfig, seed: int
) -> Forest:
    """Grow the tree that scikit-learn's `RandomForestClassifier` grows from this seed.

    `X` may be mapped from a file. Of more than `config.rows_per_tree` rows, the tree sees so many
    drawn ones, and they alone are brought to memory.
    """
    from sklearn.tree import DecisionTreeClassifier
    from sklearn.utils import check_random_state

    n_draws = min(len(X), config.rows_per_tree)
    places = check_random_state(seed).randint(0, len(X), n_draws)
    drawn = np.bincount(places, minlength=len(X))
    if n_draws < len(X):
        rows = np.flatnonzero(drawn)
        X, y, drawn = X[rows], y[rows], drawn[rows]
    tree = DecisionTreeClassifier(
        max_depth=config.max_depth,
        min_samples_leaf=config.min_rows_per_leaf,
        max_features="sqrt",
        random_state=seed,
    )
    # The checks would read all of X for each tree; its rows are float32 and finite.
    tree.fit(X, y, sample_weight=drawn, check_input=False)
    # The classes of a single genre are not in a list.
    classes = tree.classes_ if y.shape[1] > 1 else [tree.classes_]
    return _export_tree(tree.tree_, classes, X.shape[1])


def _export_tree(tree: Any, classes: Sequence[NDArray[np.int8]], n_features: int) -> Forest:  # noqa: ANN401 - untyped
    """Copy a `sklearn.tree._tree.Tree`; `classes` are each genre's: [0, 1], or one if constant."""
    counts: NDArray[np.float64] = tree.value
    value = np.empty(counts.shape[:2])
    for genre, seen in enumerate(classes):
        if len(seen) == 1:
            value[:, genre] = seen[0]
        else:
            value[:, genre] = counts[:, genre, 1] / counts[:, genre, :2].sum(axis=1)
    is_leaf = tree.children_left < 0
    return Forest(
        offsets=np.array([0, len(is_leaf)], np.int64),
        first_genre=np.zeros(1, np.int32),
        feature=np.where(is_leaf, -1, tree.feature).astype(np.int32),
        threshold=np.where(is_leaf, 0.0, tree.threshold),
        left=tree.children_left.astype(np.int32),
        right=tree.children_right.astype(np.int32),
        value=value,
        n_features=n_features,
    )


def to_bytes(forest: Forest) -> bytes:
    """Serialize a forest as safetensors, which copies memory as it is: arrays in C order."""
    check_forest(forest)
    names = (*_DTYPES, "n_features")
    return save({name: np.asarray(getattr(forest, name), order="C") for name in names})


def from_bytes(content: bytes) -> Forest:
    """Read what `to_bytes` wrote, and check all but its checksum; raises BundleError."""
    with check_file("forest"):
        arrays: dict[str, Any] = load(content)
        forest = Forest(**{**arrays, "n_features": arrays["n_features"].item()})
    check_forest(forest)
    return forest


def check_forest(forest: Forest) -> None:
    """Raise a BundleError unless the arrays are a forest that scoring can walk safely."""
    problem = _array_problem(forest) or _tree_problem(forest)
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
"""Data type and number of dimensions of each array."""


def _array_problem(forest: Forest) -> str | None:
    # In a file, n_features may be a float.
    if not isinstance(forest.n_features, int) or not 1 <= forest.n_features <= _MAX_FEATURES:
        return f"it takes {forest.n_features} columns"
    for name, expected in _DTYPES.items():
        array = getattr(forest, name)
        if (array.dtype, array.ndim) != expected:
            return f"{name} is {array.dtype} with {array.ndim} dimensions"
    n_nodes = len(forest.feature)
    if any(len(getattr(forest, name)) != n_nodes for name in ("threshold", "left", "right")):
        return "its arrays have different lengths"
    if forest.value.shape[0] != n_nodes or forest.value.shape[1] < 1:
        return f"value has the shape {forest.value.shape} for {n_nodes} nodes"
    if forest.n_trees * forest.value.shape[1] > _MAX_TREE_GENRES:
        return f"it has {forest.n_trees} trees of {forest.value.shape[1]} genres each"
    offsets = forest.offsets
    if forest.n_trees < 1 or len(offsets) != forest.n_trees + 1:
        return f"{len(offsets)} offsets for {forest.n_trees} trees"
    if offsets[0] != 0 or offsets[-1] != n_nodes or (np.diff(offsets) < 1).any():
        return "its trees do not cover its nodes"
    return None


def _tree_problem(forest: Forest) -> str | None:
    width = forest.value.shape[1]
    starts = np.unique(forest.first_genre)
    if not np.array_equal(starts, width * np.arange(len(starts))):
        return "its trees do not cover every genre once"
    inner = forest.left >= 0
    if not np.array_equal(inner, forest.right >= 0):
        return "a node has one child"
    nodes = np.arange(len(forest.feature))
    ends = np.repeat(forest.offsets[1:], np.diff(forest.offsets))
    for child in (forest.left, forest.right):
        if (child[inner] <= nodes[inner]).any() or (child[inner] >= ends[inner]).any():
            return "a child is not after its parent in its tree"
    if ((forest.feature[inner] < 0) | (forest.feature[inner] >= forest.n_features)).any():
        return f"a node splits on a column outside 0..{forest.n_features - 1}"
    if not np.isfinite(forest.threshold).all():
        return "a threshold is not finite"
    if not ((forest.value >= 0) & (forest.value <= 1)).all():
        return "a leaf's probability is outside 0..1"
    return _parent_problem(forest, inner)


def _parent_problem(forest: Forest, inner: NDArray[np.bool_]) -> str | None:
    """Every node but a root has one parent, and no tree is deeper than a trainer grows it."""
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

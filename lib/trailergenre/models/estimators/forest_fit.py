"""Rows and truth to a forest, by scikit-learn on one machine; `spark.forest` does it by MLlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.config import ForestConfig
from trailergenre.models.estimators.forest import Forest, join_trees


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

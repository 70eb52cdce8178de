"""Reads the trees of a forest of MLlib from its description in words (`toDebugString`).

Every version of Spark gives that, also over Spark Connect, and writes numbers in full. To save the
model instead would take a file system that executors and driver share.
"""

from __future__ import annotations

import re

import numpy as np
from pyspark.ml.regression import RandomForestRegressionModel

from trailergenre.base.errors import ClusterError
from trailergenre.models.estimators.forest import Forest

_NODE = re.compile(r"^ *(?:If \(feature (\d+) <= (\S+)\)|Predict: (\S+))$", re.MULTILINE)
"""What an inner node or a leaf begins with; nodes come with each before those below it."""


def read_forest(model: RandomForestRegressionModel, *, genre: int, n_features: int) -> Forest:
    """Read one genre's forest, whose leaves hold probabilities."""
    n_trees, found = model.getNumTrees, _NODE.findall(model.toDebugString)
    left, right = [-1] * len(found), [-1] * len(found)
    roots: list[int] = []
    waiting: list[int] = []  # inner nodes whose right child is still to come
    for node, (feature, _, _) in enumerate(found):
        if not waiting:
            roots.append(node)
        elif left[waiting[-1]] < 0:
            left[waiting[-1]] = node
        else:
            right[waiting.pop()] = node
        if feature:
            waiting.append(node)
    if len(roots) != n_trees or waiting:
        raise ClusterError(
            f"Spark describes {len(roots)} of {n_trees} trees in a known form: this version of "
            "MLlib writes another one. Train with --trainer sklearn."
        )
    features, thresholds, values = zip(*found, strict=True)
    return Forest(
        offsets=np.array([*roots, len(found)], np.int64),
        first_genre=np.full(len(roots), genre, np.int32),
        feature=np.array([int(feature or -1) for feature in features], np.int32),
        threshold=np.array([float(threshold or 0) for threshold in thresholds]),
        left=np.array(left, np.int32),
        right=np.array(right, np.int32),
        value=np.array([float(value or 0) for value in values])[:, None],
        n_features=n_features,
    )

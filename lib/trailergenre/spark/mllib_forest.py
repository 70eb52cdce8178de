"""Reads the trees of a forest that MLlib 4.3 saved as Parquet, without Spark.

Only `data/` is read: one row per node, with treeID and nodeData. Nothing in the metadata is
trusted or imported.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trailergenre.base.storage import Store
from trailergenre.models.estimators.forest import Forest


def read_saved_forest(store: Store, path: str, *, genre: int, n_features: int) -> Forest:
    """Read one genre's forest, of two classes and continuous features; `path` is its directory."""
    nodes = _read_nodes(store, f"{path}/data")
    children = ("nodeData.leftChild", "nodeData.rightChild")
    names = ("treeID", *children, "nodeData.split.featureIndex")
    tree, left, right, feature = (nodes[name].to_numpy().astype(np.int64) for name in names)
    starts = np.flatnonzero(np.diff(tree, prepend=-1))
    offsets = np.append(starts, len(tree)).astype(np.int64)
    # Node ids count within a tree; arrays count over all trees.
    start = np.repeat(offsets[:-1], np.diff(offsets))
    is_inner = left >= 0
    threshold = np.zeros(len(tree))
    # A leaf has an empty list of thresholds, an inner node a list of one.
    threshold[is_inner] = _flatten(nodes, "nodeData.split.leftCategoriesOrThreshold")
    counts = _flatten(nodes, "nodeData.impurityStats").reshape(-1, 2)
    return Forest(
        offsets=offsets,
        first_genre=np.full(len(starts), genre, np.int32),
        feature=np.where(is_inner, feature, -1).astype(np.int32),
        threshold=threshold,
        left=np.where(is_inner, left + start, -1).astype(np.int32),
        right=np.where(is_inner, right + start, -1).astype(np.int32),
        # Not `prediction`, which is a class; the share of true rows is the probability.
        value=counts[:, 1:] / counts.sum(axis=1, keepdims=True),
        n_features=n_features,
    )


def _read_nodes(store: Store, directory: str) -> pa.Table:
    """Read all nodes with nested columns flattened, by tree and node."""
    tables = []
    for file in store.list_files(directory):
        with store.open_input(file.path) as source:
            tables.append(pq.read_table(source))
    nodes = pa.concat_tables(tables).flatten().flatten()
    return nodes.sort_by([("treeID", "ascending"), ("nodeData.id", "ascending")])


def _flatten(nodes: pa.Table, name: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = nodes[name].combine_chunks().flatten().to_numpy()
    return values

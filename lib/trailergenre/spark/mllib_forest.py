"""A random forest that MLlib saved as Parquet, read into plain arrays without Spark.

metadata/        one line of JSON: class, numFeatures, numClasses, numTrees
treesMetadata/   _1 tree, _2 its metadata, _3 its weight
data/            treeID, nodeData: one row a node
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trailergenre.base.errors import SchemaError
from trailergenre.base.storage import Store
from trailergenre.models.estimators.forest import Forest

_CLASS = "org.apache.spark.ml.classification.RandomForestClassificationModel"

_COLUMNS = {
    "treeID": pa.int32(),
    "nodeData.id": pa.int32(),
    "nodeData.impurityStats": pa.list_(pa.float64()),
    "nodeData.leftChild": pa.int32(),
    "nodeData.rightChild": pa.int32(),
    "nodeData.split.featureIndex": pa.int32(),
    "nodeData.split.leftCategoriesOrThreshold": pa.list_(pa.float64()),
    "nodeData.split.numCategories": pa.int32(),
}
"""What is read, of Spark 4.3. `prediction` is not: it is a class, not a probability."""


def read_saved_forest(store: Store, path: str, *, genre: int, n_features: int) -> Forest:
    """Read the forest of one genre.

    Args:
        store: where it was saved.
        path: its directory below the store.
        genre: the column that its trees speak of.
        n_features: columns of a row.

    Raises:
        SchemaError: it is not a forest of two classes and continuous features as Spark 4.3
            writes it.
    """
    _check_metadata(store, path, n_features)
    nodes = _read_parquet(store, f"{path}/data")
    for _ in range(2):
        nodes = nodes.flatten()
    received = {field.name: field.type for field in nodes.schema}
    wrong = [name for name, kind in _COLUMNS.items() if not _is_kind(received.get(name), kind)]
    if wrong:
        raise _refusal(path, f"the columns {wrong} are missing or of another type: {received}")
    return _to_forest(nodes.select(list(_COLUMNS)), path, genre=genre, n_features=n_features)


def _is_kind(received: pa.DataType | None, expected: pa.DataType) -> bool:
    if received is not None and pa.types.is_list(received) and pa.types.is_list(expected):
        return bool(received.value_type == expected.value_type)
    return bool(received == expected)


def _check_metadata(store: Store, path: str, n_features: int) -> None:
    lines = b"".join(store.read_bytes(f.path) for f in store.list_files(f"{path}/metadata"))
    try:
        metadata = json.loads(lines)
        found = {key: metadata[key] for key in ("class", "numFeatures", "numClasses", "numTrees")}
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise _refusal(path, f"its metadata cannot be read ({error!r})") from error
    # Spark's own reader would import whatever class stands here.
    if found["class"] != _CLASS:
        raise _refusal(path, f"expected the class {_CLASS}, received {found['class']!r}")
    trees = _read_parquet(store, f"{path}/treesMetadata")
    if trees.column_names != ["_1", "_2", "_3"] or set(trees["_3"].to_pylist()) != {1.0}:
        raise _refusal(path, f"its trees are not weighted alike: {trees.schema}")
    wanted = {"class": _CLASS, "numFeatures": n_features, "numClasses": 2, "numTrees": len(trees)}
    if found != wanted:
        raise _refusal(path, f"expected {wanted}, received {found}")


def _read_parquet(store: Store, directory: str) -> pa.Table:
    parts = []
    for file in store.list_files(directory):
        with store.open_input(file.path) as source:
            parts.append(pq.read_table(source))
    if not parts:
        raise _refusal(directory, "it holds no Parquet file")
    return pa.concat_tables(parts)


def _to_forest(nodes: pa.Table, path: str, *, genre: int, n_features: int) -> Forest:
    ordered = nodes.sort_by([("treeID", "ascending"), ("nodeData.id", "ascending")])
    tree = _integers(ordered, "treeID")
    trees, starts = np.unique(tree, return_index=True)
    offsets = np.append(starts, len(tree)).astype(np.int64)
    # Node ids count within a tree; arrays count over all.
    start = np.repeat(offsets[:-1], np.diff(offsets))
    is_dense = np.array_equal(_integers(ordered, "nodeData.id") + start, np.arange(len(tree)))
    if not is_dense or not np.array_equal(trees, np.arange(len(trees))):
        raise _refusal(path, "its trees or nodes are not numbered from 0")
    left = _integers(ordered, "nodeData.leftChild")
    right = _integers(ordered, "nodeData.rightChild")
    inner = left >= 0
    if (_integers(ordered, "nodeData.split.numCategories")[inner] != -1).any():
        raise _refusal(path, "it splits on categories")
    feature = _integers(ordered, "nodeData.split.featureIndex")
    return Forest(
        offsets=offsets,
        first_genre=np.full(len(trees), genre, np.int32),
        feature=np.where(inner, feature, -1).astype(np.int32),
        threshold=_thresholds(ordered, inner, path),
        left=np.where(inner, left + start, -1).astype(np.int32),
        right=np.where(inner, right + start, -1).astype(np.int32),
        value=_probabilities(ordered, path),
        n_features=n_features,
    )


def _integers(nodes: pa.Table, name: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] = nodes[name].to_numpy().astype(np.int64)
    return values


def _thresholds(nodes: pa.Table, inner: NDArray[np.bool_], path: str) -> NDArray[np.float64]:
    lists = nodes["nodeData.split.leftCategoriesOrThreshold"].filter(pa.array(inner))
    flat = lists.combine_chunks().flatten().to_numpy()
    if len(flat) != inner.sum():
        raise _refusal(path, "a split has not one threshold")
    thresholds = np.zeros(len(inner))
    thresholds[inner] = flat
    return thresholds


def _probabilities(nodes: pa.Table, path: str) -> NDArray[np.float64]:
    """Share of the second class among the training rows of each node, shape (n_nodes, 1)."""
    flat = nodes["nodeData.impurityStats"].combine_chunks().flatten().to_numpy()
    if len(flat) != 2 * len(nodes):
        raise _refusal(path, "a node has not the counts of two classes")
    counts = flat.reshape(-1, 2)
    shares: NDArray[np.float64] = counts[:, 1:] / counts.sum(axis=1, keepdims=True)
    return shares


def _refusal(path: str, reason: str) -> SchemaError:
    return SchemaError(
        f"The forest that Spark saved at {path} cannot be read: {reason}. "
        "This package reads what Spark 4.3 writes."
    )

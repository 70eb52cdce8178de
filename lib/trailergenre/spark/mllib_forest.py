"""Takes the trees of MLlib's forests out of Spark, through the driver's JVM.

MLlib itself saves models from executors to an address, which would need Hadoop's classes and keys
for each kind of storage. Here Jackson, which is part of Spark, writes the nodes as JSON.
"""

from __future__ import annotations

import json
from typing import Any, cast

import numpy as np
from py4j.java_gateway import JavaObject
from pyspark.ml.classification import RandomForestClassificationModel
from pyspark.sql import SparkSession

from trailergenre.models.estimators.forest import Forest

Node = dict[str, Any]
"""Fields of MLlib's `LeafNode` or `InternalNode`."""


def read_forest(model: RandomForestClassificationModel, *, genre: int, n_features: int) -> Forest:
    """Convert one genre's forest, of two classes and continuous features."""
    mapper, forest = _field_mapper(), cast("JavaObject", model._java_obj)
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []
    offsets = [0]

    def add(node: Node) -> int:
        """Append a node and those below it, from left to right; return its place."""
        place = len(feature)
        no, yes = node["impurityStats"]["stats"]
        # Not `prediction`, which is a class; the share of true rows is the probability.
        value.append(yes / (no + yes))
        split = node.get("split", {"featureIndex": -1, "threshold": 0.0})
        feature.append(split["featureIndex"])
        threshold.append(split["threshold"])
        left.append(-1)
        right.append(-1)
        if "split" in node:
            left[place] = add(node["leftChild"])
            right[place] = add(node["rightChild"])
        return place

    for tree in forest.trees():
        add(json.loads(mapper.writeValueAsString(tree.rootNode())))
        offsets.append(len(feature))
    return Forest(
        offsets=np.array(offsets, np.int64),
        first_genre=np.full(len(offsets) - 1, genre, np.int32),
        feature=np.array(feature, np.int32),
        threshold=np.array(threshold),
        left=np.array(left, np.int32),
        right=np.array(right, np.int32),
        value=np.array(value)[:, None],
        n_features=n_features,
    )


def _field_mapper() -> JavaObject:
    """Jackson's mapper, told to write fields: MLlib's nodes have none of Java's getters."""
    jvm = cast("JavaObject", SparkSession.active()._jvm)
    annotations = jvm.com.fasterxml.jackson.annotation
    visibility = getattr(annotations, "JsonAutoDetect$Visibility")
    mapper = jvm.com.fasterxml.jackson.databind.ObjectMapper()
    return mapper.setVisibility(annotations.PropertyAccessor.FIELD, visibility.ANY)

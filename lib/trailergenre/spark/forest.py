"""One MLlib forest a genre, fitted side by side on the cluster, and taken out of Spark as arrays.

MLlib by default merges sibling leaves that predict the same class, whatever their probabilities
(SPARK-3159); the mean over trees is then a mean of other numbers. Hence `pruneTree=False`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.classification import RandomForestClassificationModel, RandomForestClassifier
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from trailergenre.base.config import ForestConfig
from trailergenre.base.storage import Store
from trailergenre.models.estimators.forest import Forest, constant_tree, join_trees
from trailergenre.spark.fit_per_genre import Report, fit_each, label_rows
from trailergenre.spark.mllib_forest import read_saved_forest


def fit_forests(
    rows: DataFrame,
    link_ids: Sequence[str],
    truth: NDArray[np.int8],
    *,
    config: ForestConfig,
    store: Store,
    report: Report,
) -> Forest:
    """Fit one forest a genre; the same rows give the same forest on any number of slots.

    Args:
        rows: link_id, number, row; see `label_rows`.
        link_ids: the training part.
        truth: shape (n_links, n_genres), int8; row i belongs to link_ids[i].
        config: size, seed, and how many forests are fitted at the same time.
        store: the run; holds the saved models for a moment, since executors write them.
        report: progress; called from this thread.

    Raises:
        StorageError: features of a training link are gone.
        SchemaError: rows have different widths.
    """
    labelled = label_rows(rows, link_ids, truth, store=store)
    n_features = labelled.n_features
    vectors = labelled.rows.select(array_to_vector(F.col("row")).alias("row"), "truth").cache()
    scratch = f"training/{uuid4().hex}"

    def fit(genre: int) -> tuple[Forest, int]:
        share = float(truth[:, genre].mean())
        if share in (0.0, 1.0):
            return constant_tree(share, genre=genre, n_features=n_features), 1
        model = fit_genre(vectors, genre, config)
        path = f"{scratch}/{genre}"
        model.write().save(store.spark_path(path))
        forest = read_saved_forest(store, path, genre=genre, n_features=n_features)
        return forest, len(forest.feature)

    try:
        return join_trees(fit_each(fit, truth.shape[1], config.parallelism, report))
    finally:
        store.delete_directory(scratch)
        vectors.unpersist()


def _with_copies(n_rows: int) -> int:
    """How often the bootstrap drew so many rows, on average; one row may be drawn once."""
    return 1 if n_rows == 1 else round(n_rows / (1 - math.exp(-1)))


def fit_genre(
    rows: DataFrame, genre: int, config: ForestConfig, *, prune: bool = False
) -> RandomForestClassificationModel:
    """Fit the forest of one genre.

    Args:
        rows: row (vector), truth (0.0 or 1.0 for each genre).
        genre: its column of truth.
        config: size and seed. MLlib counts a row in a leaf as often as the bootstrap drew it,
            scikit-learn once; `min_rows_per_leaf` means rows. MLlib's other settings are left: a
            larger `maxMemoryInMB` and `cacheNodeIds` change no node and gain nothing (1,450 rows
            of 107 columns, 60 trees: 6.5, 6.4 and 7.0 CPU-seconds a genre); on 6,144 columns most
            goes into finding the 32 bins of each, for every genre anew.
        prune: MLlib's own default, for the test that shows what it costs.
    """
    forest = RandomForestClassifier(
        featuresCol="row",
        labelCol="label",
        numTrees=config.trees,
        maxDepth=config.max_depth,
        minInstancesPerNode=_with_copies(config.min_rows_per_leaf),
        featureSubsetStrategy="sqrt",
        pruneTree=prune,
        seed=config.seed + genre,
    )
    labelled = rows.select("row", F.col("truth")[genre].alias("label"))
    model: RandomForestClassificationModel = forest.fit(labelled)
    return model

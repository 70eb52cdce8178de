"""Fits one MLlib forest per genre, several at a time, and takes them out of Spark as arrays.

By default MLlib merges sibling leaves that predict the same class (SPARK-3159), whatever their
probabilities, which changes the mean over the trees. Hence `pruneTree=False`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from uuid import uuid4

from pyspark.ml.classification import RandomForestClassificationModel, RandomForestClassifier
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from trailergenre.base.config import ForestConfig
from trailergenre.base.progress import OnStep
from trailergenre.base.storage import Store
from trailergenre.models.estimators.forest import Forest, constant_tree, join_trees
from trailergenre.spark.fit_per_genre import LabelledRows, run_parallel
from trailergenre.spark.mllib_forest import read_saved_forest


def fit_forests(
    labelled: LabelledRows,
    *,
    genres: Sequence[str],
    config: ForestConfig,
    store: Store,
    on_step: OnStep,
) -> Forest:
    """Fit one forest per genre (column of truth); `config` says how many at the same time.

    The same rows give the same forest on any number of slots. Executors save models to the store
    for a moment.
    """
    n_features = labelled.n_features
    vectors = labelled.rows.select(array_to_vector(F.col("row")).alias("row"), "truth").cache()
    scratch = f"training/{uuid4().hex}"

    def fit(genre: int) -> Forest:
        share = float(labelled.truth[:, genre].mean())
        if share in (0.0, 1.0):
            return constant_tree(share, genre=genre, n_features=n_features)
        model = fit_genre(vectors, genre, config)
        path = f"{scratch}/{genre}"
        model.write().save(store.spark_path(path))
        return read_saved_forest(store, path, genre=genre, n_features=n_features)

    def describe(genre: int, forest: Forest) -> str:
        return f"{genres[genre]} ({len(forest.feature)})"

    try:
        return join_trees(run_parallel(fit, len(genres), config.parallelism, on_step, describe))
    finally:
        store.delete_directory(scratch)
        vectors.unpersist()


def fit_genre(
    rows: DataFrame, genre: int, config: ForestConfig, *, prune: bool = False
) -> RandomForestClassificationModel:
    """Fit the forest of a genre (column of truth) on row (vector) and truth.

    MLlib's other settings keep their defaults: a larger `maxMemoryInMB` and `cacheNodeIds` change
    no node and save no time. `prune` is for the test that shows its cost.
    """
    forest = RandomForestClassifier(
        featuresCol="row",
        labelCol="label",
        numTrees=config.trees,
        maxDepth=config.max_depth,
        minInstancesPerNode=_count_draws(config.min_rows_per_leaf),
        featureSubsetStrategy="sqrt",
        pruneTree=prune,
        seed=config.seed + genre,
    )
    labelled = rows.select("row", F.col("truth")[genre].alias("label"))
    model: RandomForestClassificationModel = forest.fit(labelled)
    return model


def _count_draws(n_rows: int) -> int:
    """Return how many bootstrap draws hit `n_rows` distinct rows on average.

    MLlib counts a row of a leaf as often as the bootstrap drew it, scikit-learn once.
    """
    return 1 if n_rows == 1 else round(n_rows / (1 - math.exp(-1)))

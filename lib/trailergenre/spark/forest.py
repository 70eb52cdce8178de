"""One MLlib forest a genre, fitted side by side on the cluster, and taken out of Spark as arrays.

MLlib by default merges sibling leaves that predict the same class, whatever their probabilities
(SPARK-3159); the mean over trees is then a mean of other numbers. Hence `pruneTree=False`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from uuid import uuid4

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.classification import RandomForestClassificationModel, RandomForestClassifier
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from trailergenre.config import ForestConfig
from trailergenre.dataset import check_none_lost
from trailergenre.forest import Forest, constant_tree, join_trees
from trailergenre.pooling import N_POOLED
from trailergenre.spark.saved_forest import read_saved_forest
from trailergenre.storage import Store

_ROWS_PER_PARTITION = 256
"""12 MB of vectors. Every level of every tree is a job over all partitions: on a hundred rows one
partition fits in half the time of four."""

Report = Callable[[int, int], None]
"""Told the column of a genre whose forest is ready, and its nodes."""


def fit_forests(
    pooled: DataFrame,
    link_ids: Sequence[str],
    truth: NDArray[np.int8],
    *,
    config: ForestConfig,
    store: Store,
    report: Report,
) -> Forest:
    """Fit one forest a genre.

    Args:
        pooled: link_id, pooled; may hold other links too. Cached and computed before, or the few
            partitions of training would pool as well.
        link_ids: the training part.
        truth: shape (n_links, n_genres), int8; row i belongs to link_ids[i].
        config: size, seed, and how many forests are fitted at the same time.
        store: the run; holds the saved models for a moment, since executors write them.
        report: progress; called from this thread.

    Raises:
        StorageError: features of a training link are gone.
    """
    n_partitions = -(-len(link_ids) // _ROWS_PER_PARTITION)
    rows = _join_truth(pooled, link_ids, truth).coalesce(n_partitions).cache()
    scratch = f"training/{uuid4().hex}"
    check_none_lost(store, wanted=len(link_ids), found=rows.count())

    def fit(genre: int) -> Forest:
        share = float(truth[:, genre].mean())
        if share in (0.0, 1.0):
            return constant_tree(share, genre=genre, n_features=N_POOLED)
        model = fit_genre(rows, genre, config)
        model.write().save(store.spark_path(f"{scratch}/{genre}"))
        return read_saved_forest(store, f"{scratch}/{genre}", genre=genre, n_features=N_POOLED)

    try:
        return join_trees(_run_all(fit, truth.shape[1], config.parallelism, report))
    finally:
        store.delete_directory(scratch)
        rows.unpersist()


def _join_truth(pooled: DataFrame, link_ids: Sequence[str], truth: NDArray[np.int8]) -> DataFrame:
    table = pa.table({"link_id": list(link_ids), "truth": truth.astype(np.float64).tolist()})
    labels = pooled.sparkSession.createDataFrame(table)
    return pooled.join(F.broadcast(labels), on="link_id", how="inner").select(
        "link_id", array_to_vector(F.col("pooled")).alias("pooled"), "truth"
    )


def fit_genre(
    rows: DataFrame, genre: int, config: ForestConfig, *, prune: bool = False
) -> RandomForestClassificationModel:
    """Fit the forest of one genre.

    Args:
        rows: link_id, pooled (vector), truth (0.0 or 1.0 for each genre).
        genre: its column of truth.
        config: size and seed.
        prune: MLlib's own default, for the test that shows what it costs.
    """
    forest = RandomForestClassifier(
        featuresCol="pooled",
        labelCol="label",
        numTrees=config.trees,
        maxDepth=config.max_depth,
        minInstancesPerNode=config.min_rows_per_leaf,
        featureSubsetStrategy="sqrt",
        pruneTree=prune,
        seed=config.seed + genre,
    )
    labelled = rows.select("pooled", F.col("truth")[genre].alias("label"))
    model: RandomForestClassificationModel = forest.fit(labelled)
    return model


def _run_all(
    fit: Callable[[int], Forest], n_genres: int, parallelism: int, report: Report
) -> list[Forest]:
    """Fit all genres, some at a time; the first failure ends the others."""
    forests: dict[int, Forest] = {}
    executor = ThreadPoolExecutor(max_workers=parallelism)
    try:
        genre_of = {executor.submit(fit, genre): genre for genre in range(n_genres)}
        for future in as_completed(genre_of):
            genre = genre_of[future]
            forests[genre] = future.result()
            report(genre, len(forests[genre].feature))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
    return [forests[genre] for genre in range(n_genres)]

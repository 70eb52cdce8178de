"""Fits one MLlib forest per genre, several at a time, and takes them out of Spark as arrays.

The trees are of regression on 0 and 1: a leaf's value is the share of true rows, and splits have
the same order as in classification, because the variance of two classes is half of their Gini
impurity. Of classification MLlib merges sibling leaves that predict the same class (SPARK-3159),
whatever their probabilities, which changes the mean over the trees. Spark 4.3 can be told not to
(`pruneTree`), older versions can't. Of regression it merges leaves of equal value alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector
from pyspark.ml.regression import RandomForestRegressionModel, RandomForestRegressor
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from trailergenre.base.config import ForestConfig
from trailergenre.base.progress import OnStep
from trailergenre.models.estimators.forest import Forest, constant_tree, join_trees
from trailergenre.spark.feature_files import from_lists, to_lists
from trailergenre.spark.training.fit_per_genre import (
    LabelledRows,
    collect_sample,
    fits_at_a_time,
    run_parallel,
)
from trailergenre.spark.training.mllib_forest import read_forest


def fit_forests(
    labelled: LabelledRows,
    *,
    genres: Sequence[str],
    config: ForestConfig,
    on_step: OnStep,
) -> Forest:
    """Fit one forest per genre (column of truth); `config` says how many at the same time.

    The same rows give the same forest on any number of slots.
    """
    n_features = labelled.n_features
    edges = find_edges(collect_sample(labelled), config.max_bins)
    vectors = to_codes(labelled, edges).cache()

    def fit(genre: int) -> Forest | RandomForestRegressionModel:
        share = float(labelled.truth[:, genre].mean())
        if share in (0.0, 1.0):
            return constant_tree(share, genre=genre, n_features=n_features)
        return fit_genre(vectors, genre, config)

    forests: dict[int, Forest] = {}
    try:
        parallelism = fits_at_a_time(vectors.sparkSession, config.parallelism)
        for genre, model in run_parallel(fit, len(genres), parallelism):
            if not isinstance(model, Forest):
                forest = read_forest(model, genre=genre, n_features=n_features)
                model = _with_values(forest, edges)
            forests[genre] = model
            on_step(len(forests), len(genres), f"{genres[genre]} ({len(model.feature)})")
    finally:
        vectors.unpersist()
    return join_trees([forests[genre] for genre in range(len(genres))])


def find_edges(X: NDArray[np.float32], max_bins: int) -> NDArray[np.float64]:
    """Find the edges of each column's bins, shape (max_bins - 1, n_features): those of MLlib.

    Where a column has up to `max_bins` different values, each is a bin; otherwise bins have about
    as many rows each. Edges lie between two values; columns with fewer are filled up with infinity.
    """
    edges = np.full((max_bins - 1, X.shape[1]), np.inf)
    for column, values in enumerate(np.ascontiguousarray(X.T, np.float64)):
        different, counts = np.unique(values, return_counts=True)
        between = (different[:-1] + different[1:]) / 2
        if len(between) > max_bins - 1:
            between = between[_choose_edges(np.cumsum(counts), max_bins)]
        edges[: len(between), column] = between
    return edges


def _choose_edges(up_to: NDArray[np.int64], max_bins: int) -> NDArray[np.int64]:
    """Choose the values behind which a bin ends; `up_to` has the rows up to each different value.

    As MLlib does: next to each multiple of the rows per bin, and behind one more value than before.
    """
    numbers = np.arange(max_bins - 1)
    targets = (numbers + 1) * (up_to[-1] / max_bins)
    after = np.searchsorted(up_to, targets, side="right")
    is_after = up_to[after] - targets <= targets - up_to[np.maximum(after - 1, 0)]
    nearest = np.where(is_after, after, np.maximum(after - 1, 0))
    chosen: NDArray[np.int64] = np.maximum.accumulate(nearest - numbers) + numbers
    return chosen[chosen < len(up_to) - 1]


def to_codes(labelled: LabelledRows, edges: NDArray[np.float64]) -> DataFrame:
    """Replace values by the numbers of their bins; gives row (vector) and truth.

    For each genre MLlib counts how often each column has each value, to find bins anew: of 4,000
    rows of 6,144 columns 8 CPU seconds of the 41 that a forest of 100 trees takes. Of values not
    yet rounded it took 24.
    """

    def encode(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                codes = from_lists(batch.column("row")).astype(np.float64)
                for column in range(codes.shape[1]):
                    codes[:, column] = np.searchsorted(edges[:, column], codes[:, column])
                columns = {"row": to_lists(codes), "truth": batch.column("truth")}
                yield pa.RecordBatch.from_pydict(columns)

    rows = labelled.rows.select("row", "truth")
    coded = rows.mapInArrow(encode, "row array<double>, truth array<double>")
    return coded.select(array_to_vector(F.col("row")).alias("row"), "truth")


def _with_values(forest: Forest, edges: NDArray[np.float64]) -> Forest:
    """Turn thresholds on bins' numbers into thresholds on values."""
    inner = forest.feature >= 0
    threshold = forest.threshold.copy()
    bins = np.floor(threshold[inner]).astype(np.int64)
    threshold[inner] = edges[bins, forest.feature[inner]]
    return replace(forest, threshold=threshold)


def fit_genre(rows: DataFrame, genre: int, config: ForestConfig) -> RandomForestRegressionModel:
    """Fit the forest of a genre (column of truth) on row (vector) and truth.

    Most of the time, trees grow: for each open node, bins are added up and all splits are tried.
    MLlib's other settings keep their defaults: a larger `maxMemoryInMB` and `cacheNodeIds` change
    no node and save no time.
    """
    forest = RandomForestRegressor(
        featuresCol="row",
        labelCol="label",
        numTrees=config.trees,
        maxDepth=config.max_depth,
        minInstancesPerNode=_count_draws(config.min_rows_per_leaf),
        featureSubsetStrategy="sqrt",
        maxBins=config.max_bins,
        seed=config.seed + genre,
    )
    labelled = rows.select("row", F.col("truth")[genre].alias("label"))
    model: RandomForestRegressionModel = forest.fit(labelled)
    return model


def _count_draws(n_rows: int) -> int:
    """Return how many bootstrap draws hit `n_rows` distinct rows on average.

    MLlib counts a row of a leaf as often as the bootstrap drew it, scikit-learn once.
    """
    return 1 if n_rows == 1 else round(n_rows / (1 - math.exp(-1)))

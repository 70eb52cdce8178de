"""A training set to a fitted forest with MLlib: pooled on the cluster, fitted there, exported."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from trailergenre.config import ForestConfig
from trailergenre.dataset import TrainingSet, check_none_lost
from trailergenre.spark.forest import Report, fit_forests
from trailergenre.spark.pooling import collect_pooled, pool_links
from trailergenre.splits import Part
from trailergenre.storage import Store
from trailergenre.training import FittedForest


def fit_mllib(
    spark: SparkSession,
    store: Store,
    outcomes: pa.Table,
    training: TrainingSet,
    *,
    config: ForestConfig,
    report: Report,
) -> FittedForest:
    """Fit one forest a genre on the cluster.

    Args:
        spark: the session.
        store: the run, on storage that every worker sees.
        outcomes: from `tables.read_outcomes`.
        training: genres, parts and truth.
        config: size, seed, parallelism.
        report: progress.

    Raises:
        StorageError: features of a link are gone.
    """
    train, validation = training.link_ids_of(Part.TRAIN), training.link_ids_of(Part.VALIDATION)
    pooled = pool_links(spark, store, outcomes, [*train, *validation]).cache()
    check_none_lost(store, wanted=len(train) + len(validation), found=pooled.count())
    forest = fit_forests(
        pooled,
        train,
        training.truth_of(Part.TRAIN),
        config=config,
        store=store,
        report=report,
    )
    _, rows = collect_pooled(pooled.where(F.col("link_id").isin(validation)))
    pooled.unpersist()
    return FittedForest("mllib", forest, forest.predict_proba(rows))

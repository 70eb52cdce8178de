"""G3: the exported models' probabilities against the trainers' own, on every row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from quality.commands import prepare_mmtf
from trailergenre.base.config import DatasetConfig, ForestConfig, LogisticConfig, RowsConfig
from trailergenre.base.storage import Store
from trailergenre.models.estimators import forest, logistic
from trailergenre.models.estimators.forest import fit_forest, join_trees
from trailergenre.models.estimators.logistic import TOLERANCE, Logistic, fit_logistic
from trailergenre.models.estimators.rank_scaling import fit_scaling
from trailergenre.models.pooling import RowArray, iter_links, link_rows
from trailergenre.models.training_set import TrainingSet, prepare_training
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.spark.session import spark_session
from trailergenre.spark.training.forest import fit_genre
from trailergenre.spark.training.logistic import fit_genre as fit_regression
from trailergenre.spark.training.mllib_forest import read_forest

FOREST = ForestConfig(trees=60, max_depth=25)
GENRES = 2
"""MLlib's models are one a genre; the others are made in the same way."""


def measure_exported(work: Path) -> dict[str, Any]:
    """Fit on all trailers, and compare both sides on all of them."""
    run = work / "mmtf"
    if not run.exists():
        prepare_mmtf(work, run)
    store = Store(str(run))
    training, X = _read(store)
    y = training.truth
    with spark_session("quality", store) as spark:
        differences = {
            "forest, scikit-learn": _forest_sklearn(X, y),
            "logistic, scikit-learn": _logistic_sklearn(X, y),
            "forest, MLlib": _forest_mllib(spark, X, y),
            "logistic, MLlib": _logistic_mllib(spark, X, y),
        }
    return {"data": "MMTF-14K trailer_visual_avg.csv", "rows": len(X), "largest": differences}


def _read(store: Store) -> tuple[TrainingSet, RowArray]:
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    labels = tables.read_table(store, "labels")
    config = DatasetConfig(min_movies_per_genre=20)
    training = prepare_training(labels, outcomes, config, shuffle_labels=False)
    rows_config = RowsConfig(statistics=("mean",))
    of_link = {
        link.link_id: link_rows(link, "pooled", rows_config)[0]
        for links in iter_links(store, outcomes)
        for link in links
    }
    return training, np.stack([of_link[link.link_id] for link in training.links])


def _forest_sklearn(X: RowArray, y: NDArray[np.int8]) -> float:
    from sklearn.ensemble import RandomForestClassifier

    own = RandomForestClassifier(
        n_estimators=FOREST.trees,
        max_depth=FOREST.max_depth,
        min_samples_leaf=FOREST.min_rows_per_leaf,
        max_features="sqrt",
        random_state=FOREST.seed,
        n_jobs=2,
    ).fit(X, y)
    theirs = np.column_stack([genre[:, 1] for genre in own.predict_proba(X)])
    exported = forest.from_bytes(forest.to_bytes(fit_forest(X, y, FOREST)))
    return float(np.abs(exported.predict_proba(X) - theirs).max())


def _logistic_sklearn(X: RowArray, y: NDArray[np.int8]) -> float:
    from sklearn.linear_model import LogisticRegression

    model = logistic.from_bytes(logistic.to_bytes(fit_logistic(X, y, LogisticConfig())))
    scaled = model.scaling.scale(X)
    own = [
        LogisticRegression(C=LogisticConfig().c, tol=TOLERANCE, max_iter=500).fit(scaled, truth)
        for truth in y.T
    ]
    theirs = np.column_stack([each.predict_proba(scaled)[:, 1] for each in own])
    return float(np.abs(model.predict_proba(X) - theirs).max())


def _table(spark: SparkSession, X: NDArray[np.floating[Any]], y: NDArray[np.int8]) -> DataFrame:
    columns = {
        "place": pa.array(range(len(X))),
        "row": pa.array(list(X)),
        "truth": pa.array(y.astype(np.float64).tolist()),
    }
    frame = spark.createDataFrame(pa.table(columns))
    return frame.select("place", array_to_vector(F.col("row")).alias("row"), "truth").cache()


def _probabilities(scored: DataFrame) -> NDArray[np.float64]:
    is_regression = "probability" not in scored.columns
    second = F.col("prediction") if is_regression else vector_to_array(F.col("probability"))[1]
    ordered = scored.select("place", second.alias("probability")).toArrow().sort_by("place")
    found: NDArray[np.float64] = ordered["probability"].to_numpy()
    return found


def _forest_mllib(spark: SparkSession, X: RowArray, y: NDArray[np.int8]) -> float:
    rows = _table(spark, X, y)
    theirs, trees = [], []
    for genre in range(GENRES):
        model = fit_genre(rows, genre, FOREST)
        trees.append(read_forest(model, genre=genre, n_features=X.shape[1]))
        theirs.append(_probabilities(model.transform(rows)))
    exported = forest.from_bytes(forest.to_bytes(join_trees(trees)))
    return float(np.abs(exported.predict_proba(X) - np.stack(theirs, axis=1)).max())


def _logistic_mllib(spark: SparkSession, X: RowArray, y: NDArray[np.int8]) -> float:
    scaling = fit_scaling(X)
    rows = _table(spark, scaling.scale(X), y)
    models = [fit_regression(rows, genre, len(X), LogisticConfig()) for genre in range(GENRES)]
    theirs = np.stack([_probabilities(model.transform(rows)) for model in models], axis=1)
    model = Logistic(
        scaling,
        np.stack([model.coefficients.toArray() for model in models]),
        np.array([model.intercept for model in models]),
    )
    exported = logistic.from_bytes(logistic.to_bytes(model))
    return float(np.abs(exported.predict_proba(X) - theirs).max())

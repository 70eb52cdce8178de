"""MLlib beside scikit-learn on real trailers, fold by fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from quality.external import read_mmtf

from trailergenre.base.config import ForestConfig
from trailergenre.base.records import ProbabilityArray
from trailergenre.metrics.multilabel import mean_ap
from trailergenre.models.estimators.forest import fit_forest
from trailergenre.spark.training.forest import fit_genre
from trailergenre.spark.versions import from_arrow

GENRES = ("Horror", "Romance")
"""Of 166 and 358 of 1,807 trailers: no leaf of fifty rows predicts them, some make them likely."""
CONFIG = ForestConfig(trees=20, max_depth=5, min_rows_per_leaf=50, parallelism=1)
N_FOLDS = 3

Rows = NDArray[np.float32]
Truth = NDArray[np.int8]


def fit_mllib(
    spark: SparkSession, X: Rows, y: Truth, *, unseen: Rows, classifies: bool
) -> ProbabilityArray:
    """Probabilities by our trees, or by MLlib's classifier, which merges leaves of one class."""
    table = pa.table({"row": list(X), "truth": list(y.astype(np.float64))})
    rows = from_arrow(spark, table).select(array_to_vector(F.col("row")).alias("row"), "truth")
    rows = rows.coalesce(1).cache()
    others = from_arrow(spark, pa.table({"number": range(len(unseen)), "row": list(unseen)}))
    others = others.withColumn("row", array_to_vector(F.col("row")))
    columns = []
    for genre in range(y.shape[1]):
        model = fit_genre(rows, genre, CONFIG)
        column = F.col("prediction")
        if classifies:
            names = ("featuresCol", "numTrees", "maxDepth", "minInstancesPerNode", "seed")
            settings = {name: model.getOrDefault(name) for name in names}
            labelled = rows.withColumn("label", F.col("truth")[genre])
            model = RandomForestClassifier(**settings).fit(labelled)
            column = vector_to_array("probability")[1]
        scored = model.transform(others).orderBy("number").select(column).collect()
        columns.append(np.array(scored)[:, 0])
    rows.unpersist()
    return np.stack(columns, axis=1)


def fit_sklearn(X: Rows, y: Truth, *, unseen: Rows) -> ProbabilityArray:
    forests = [fit_forest(X, truth[:, None], CONFIG) for truth in y.T]
    return np.hstack([forest.predict_proba(unseen) for forest in forests])


@pytest.mark.soak
def test_trainers_differ_by_less_than_folds_and_the_classifier_by_more(
    spark: SparkSession, data_dir: Path
) -> None:
    trailers = read_mmtf(data_dir / "mmtf" / "trailer_visual_avg.csv")
    X = trailers.features
    y = trailers.truth(GENRES)
    figures: dict[str, list[float]] = {"sklearn": [], "mllib": [], "mllib classifier": []}
    for fold in range(N_FOLDS):
        is_test = np.arange(len(X)) % N_FOLDS == fold
        train_X, train_y, unseen = X[~is_test], y[~is_test], X[is_test]
        probabilities = {
            "sklearn": fit_sklearn(train_X, train_y, unseen=unseen),
            "mllib": fit_mllib(spark, train_X, train_y, unseen=unseen, classifies=False),
            "mllib classifier": fit_mllib(spark, train_X, train_y, unseen=unseen, classifies=True),
        }
        for name, columns in probabilities.items():
            figures[name].append(mean_ap(y[is_test], columns))
    spread = float(np.std(figures["sklearn"]))
    mean = {name: float(np.mean(values)) for name, values in figures.items()}
    assert spread < 0.06, figures
    assert abs(mean["mllib"] - mean["sklearn"]) <= spread, figures
    assert mean["sklearn"] - mean["mllib classifier"] > spread, figures

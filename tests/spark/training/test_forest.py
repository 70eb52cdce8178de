from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.ml.classification import RandomForestClassifier
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.regression import RandomForestRegressionModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from trailergenre.base.config import ForestConfig
from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.storage import Store
from trailergenre.models.estimators.forest import Forest, check_forest, fit_forest, to_bytes
from trailergenre.spark.training import fit_per_genre
from trailergenre.spark.training.forest import fit_forests, fit_genre
from trailergenre.spark.training.mllib_forest import read_forest

pytestmark = pytest.mark.slow

N_COLUMNS = 3
CONFIG = ForestConfig(trees=10, max_depth=6, min_rows_per_leaf=60, parallelism=2)


def likely_rows(n: int = 600) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Rows of which 97 % are true left of zero in column 0, 70 % right of it: both likely true."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n, N_COLUMNS)).astype(np.float32)
    y = rng.random(n) < np.where(X[:, 0] <= 0, 0.97, 0.7)
    return X, y.astype(np.int8)


def to_rows(spark: SparkSession, X: NDArray[np.float32], y: NDArray[np.int8]) -> DataFrame:
    table = pa.table({"row": list(X), "truth": [[float(value)] for value in y]})
    return spark.createDataFrame(table).select(array_to_vector(F.col("row")).alias("row"), "truth")


def export(model: RandomForestRegressionModel) -> Forest:
    return read_forest(model, genre=0, n_features=N_COLUMNS)


def leaf_shares(
    forest: Forest, X: NDArray[np.float32], y: NDArray[np.int8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The forest's probability left and right of zero, each next to the share of true rows."""
    sides = [X[:, 0] <= 0, X[:, 0] > 0]
    ours = np.array([forest.predict_proba(X[side]).mean() for side in sides])
    return ours, np.array([y[side].mean() for side in sides])


@pytest.fixture(scope="module")
def model(spark: SparkSession) -> RandomForestRegressionModel:
    return fit_genre(to_rows(spark, *likely_rows()), 0, CONFIG)


def test_leaf_probabilities_survive_training(model: RandomForestRegressionModel) -> None:
    ours, shares = leaf_shares(export(model), *likely_rows())
    np.testing.assert_allclose(ours, shares, atol=0.08)


@pytest.mark.parametrize("min_rows", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_a_leafs_rows_mean_the_same_to_both_trainers(min_rows: int, spark: SparkSession) -> None:
    """MLlib counts what the bootstrap drew twice as two: its trees would be 20 to 40 % larger."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(600, N_COLUMNS)).astype(np.float32)
    y = (rng.random(600) < 0.3).astype(np.int8)
    config = ForestConfig(trees=20, max_depth=20, min_rows_per_leaf=min_rows, parallelism=1)
    by_mllib = export(fit_genre(to_rows(spark, X, y), 0, config))
    by_sklearn = fit_forest(X, y[:, None], config)
    assert len(by_mllib.feature) == pytest.approx(len(by_sklearn.feature), rel=0.15)


def test_mllibs_classifier_loses_leaf_probabilities(spark: SparkSession) -> None:
    """The first test must be able to fail: both sides get what is right for neither."""
    X, y = likely_rows()
    rows = to_rows(spark, X, y).withColumn("label", F.col("truth")[0])
    classifier = RandomForestClassifier(
        featuresCol="row", numTrees=10, maxDepth=6, minInstancesPerNode=95, seed=CONFIG.seed
    )
    column = vector_to_array("probability")[1]
    sides = F.col("row_0") <= 0
    scored = classifier.fit(rows).transform(rows.withColumn("row_0", vector_to_array("row")[0]))
    means = {row[0]: row[1] for row in scored.groupBy(sides).agg(F.mean(column)).collect()}
    assert abs(means[True] - means[False]) < 0.05


def test_exported_probabilities_are_sparks_on_every_row(
    spark: SparkSession, model: RandomForestRegressionModel
) -> None:
    forest = export(model)
    check_forest(forest)
    theirs = model.transform(to_rows(spark, *likely_rows()))
    collected = theirs.select(vector_to_array("row", "float32").alias("row"), "prediction")
    seen, expected = (np.array(column) for column in zip(*collected.collect(), strict=True))
    assert (forest.left < 0).sum() > 30
    np.testing.assert_allclose(
        forest.predict_proba(seen.astype(np.float32))[:, 0], expected, rtol=0, atol=1e-12
    )


def frame_rows(
    spark: SparkSession, X: NDArray[np.float32], *, per_link: int, n_partitions: int
) -> tuple[DataFrame, list[str]]:
    """Rows of X, some a link, in no order; column 0 tells the genres."""
    link_ids = [f"{number:064x}" for number in range(len(X) // per_link)]
    table = pa.table(
        {
            "link_id": np.repeat(link_ids, per_link),
            "number": np.tile(np.arange(per_link, dtype=np.int32), len(link_ids)),
            "row": list(X),
        }
    )
    mixed = table.take(np.random.default_rng(n_partitions).permutation(len(X)))
    return spark.createDataFrame(mixed).repartition(n_partitions), link_ids


def test_one_forest_a_genre_from_rows_of_any_width(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    X, _ = likely_rows(120)
    rows, link_ids = frame_rows(spark, X, per_link=2, n_partitions=3)
    first = X[::2]
    # The third genre has every link, the fourth none; the last link is another part's.
    truth = np.stack([first[:, 0] > 0, first[:, 1] > 1, first[:, 0] < 9, first[:, 0] > 9], axis=1)
    train, truth = link_ids[:-1], truth[:-1].astype(np.int8)
    config = ForestConfig(trees=4, max_depth=4, parallelism=2)
    labels: list[str] = []
    arguments: dict[str, Any] = {"genres": "ABCD", "config": config}
    labelled = fit_per_genre.label_rows(rows, train, truth, model="forest", store=store)
    forest = fit_forests(
        labelled, **arguments, on_step=lambda done, total, label="": labels.append(label)
    )
    check_forest(forest)
    assert (forest.n_trees, forest.n_features) == (4 + 4 + 1 + 1, N_COLUMNS)
    assert sorted(label[:3] for label in labels) == ["A (", "B (", "C (", "D ("]
    assert sum(int(label[3:-1]) for label in labels) == len(forest.feature)
    probabilities = forest.predict_proba(first[:-1])
    for genre in (0, 1):
        true = truth[:, genre] == 1
        assert probabilities[true, genre].mean() > probabilities[~true, genre].mean() + 0.2
    assert set(probabilities[:, 2]) == {1.0}
    assert set(probabilities[:, 3]) == {0.0}
    with pytest.raises(StorageError, match="of 59 links instead of 60"):
        gone = np.vstack([truth, truth[:1]])
        fit_per_genre.label_rows(rows, [*train, "gone"], gone, model="forest", store=store)


def test_the_forest_does_not_depend_on_how_the_rows_come(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLlib draws a tree's rows by partition and place, which slots and files decide otherwise."""
    # Several partitions, or there would be one and its order alone to get wrong.
    monkeypatch.setitem(fit_per_genre.PARTITION_BYTES, "forest", 150 * N_COLUMNS * 8)
    store = Store(str(tmp_path))
    X, y = likely_rows(600)
    config = ForestConfig(trees=3, max_depth=3, min_rows_per_leaf=3)
    contents = set()
    for n_partitions in (1, 7):
        rows, link_ids = frame_rows(spark, X, per_link=3, n_partitions=n_partitions)
        labelled = fit_per_genre.label_rows(
            rows, link_ids, y[::3, None], model="forest", store=store
        )
        assert labelled.rows.rdd.getNumPartitions() == 4
        forest = fit_forests(labelled, genres=("A",), config=config, on_step=lambda *_: None)
        contents.add(to_bytes(forest))
    assert len(contents) == 1


def test_rows_of_two_widths_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    table = pa.table({"link_id": ["a", "b"], "number": [0, 0], "row": [[1.0], [1.0, 2.0]]})
    rows = spark.createDataFrame(table)
    with pytest.raises(SchemaError, match=r"same width\. Received: \[1, 2\]"):
        fit_per_genre.label_rows(
            rows, ["a", "b"], np.ones((2, 1), np.int8), model="forest", store=Store(str(tmp_path))
        )


@pytest.mark.parametrize("is_rounded", [False, True])
def test_bins_found_once_give_the_trees_of_mllibs_own_bins(
    is_rounded: bool, spark: SparkSession, tmp_path: Path
) -> None:
    """Of many values and of few, with zeros and frequent ones, to the last digit."""
    store = Store(str(tmp_path))
    X = np.maximum(likely_rows(300)[0], -1.5)
    X = np.round(X * 3) if is_rounded else X
    y = (X[:, 0] + X[:, 1] > 1).astype(np.int8)
    rows, link_ids = frame_rows(spark, X, per_link=1, n_partitions=2)
    labelled = fit_per_genre.label_rows(rows, link_ids, y[:, None], model="forest", store=store)
    config = ForestConfig(trees=4, max_depth=5)
    forest = fit_forests(labelled, genres="A", config=config, on_step=lambda *_: None)
    raw = labelled.rows.select(array_to_vector(F.col("row")).alias("row"), "truth")
    expected = export(fit_genre(raw, 0, config))
    assert len(forest.feature) > 60
    assert to_bytes(forest) == to_bytes(expected)

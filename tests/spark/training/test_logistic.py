from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from trailergenre.base.config import LogisticConfig
from trailergenre.base.errors import StorageError
from trailergenre.base.storage import Store
from trailergenre.models.estimators import rank_scaling
from trailergenre.models.estimators.logistic import Logistic, check_logistic, fit_logistic
from trailergenre.models.estimators.rank_scaling import fit_scaling
from trailergenre.spark.training import fit_per_genre
from trailergenre.spark.training.fit_per_genre import label_rows
from trailergenre.spark.training.logistic import fit_genre, fit_regressions

pytestmark = pytest.mark.slow

CONFIG = LogisticConfig()
N_COLUMNS = 12
GENRES = ("Action", "Comedy", "War")


def make_rows(
    spark: SparkSession, n_links: int, *, per_link: int
) -> tuple[DataFrame, list[str], NDArray[np.float32], NDArray[np.int8]]:
    """Rows in no order, with a constant column and cells of 3e15; two genres and a constant one.

    Returns:
        The rows for MLlib; the links, sorted; the same rows by link and number; truth by link.
    """
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n_links * per_link, N_COLUMNS)).astype(np.float32)
    likely = X.reshape(n_links, per_link, -1).mean(axis=1) + rng.normal(size=(n_links, N_COLUMNS))
    truth = (likely[:, :3] > [0, 1, -np.inf]).astype(np.int8)
    X[:, 3] = 4
    X[::9, 4] = 3e15
    link_ids = [f"{number:064x}" for number in range(n_links)]
    table = pa.table(
        {
            "link_id": np.repeat(link_ids, per_link),
            "number": np.tile(np.arange(per_link, dtype=np.int32), n_links),
            "row": list(X),
        }
    )
    mixed = spark.createDataFrame(table.take(rng.permutation(len(X)))).repartition(3)
    return mixed, link_ids, X, truth


def fit_both(
    spark: SparkSession, directory: Path, *, n_links: int, per_link: int
) -> tuple[Logistic, Logistic]:
    rows, link_ids, X, truth = make_rows(spark, n_links, per_link=per_link)
    labels: list[str] = []
    ours = fit_regressions(
        label_rows(rows, link_ids, truth, model="logistic", store=Store(str(directory))),
        genres=GENRES,
        config=CONFIG,
        on_step=lambda done, total, label="": labels.append(label),
    )
    assert sorted(labels) == ["Action (12)", "Comedy (12)", "War (0)"]
    return ours, fit_logistic(X, np.repeat(truth, per_link, axis=0), CONFIG)


@pytest.mark.parametrize("per_link", [1, 3])
def test_mllib_and_scikit_learn_find_the_same_coefficients(
    spark: SparkSession, tmp_path: Path, per_link: int
) -> None:
    """Within 1e-3, where they are of size 1: a probability then moves by less than .001.

    Both go down the same bowl, and each stops by a rule of its own a little above the ground.
    """
    ours, theirs = fit_both(spark, tmp_path, n_links=300, per_link=per_link)
    check_logistic(ours)
    np.testing.assert_array_equal(ours.scaling.quantiles, theirs.scaling.quantiles)
    assert np.abs(theirs.coefficients[:2]).max() > 0.3
    np.testing.assert_allclose(ours.coefficients, theirs.coefficients, rtol=0, atol=1e-3)
    np.testing.assert_allclose(ours.intercepts, theirs.intercepts, rtol=0, atol=1e-3)


def test_of_many_rows_both_scale_by_the_same(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_scaling, "MAX_SCALING_ROWS", 50)
    monkeypatch.setattr(fit_per_genre, "MAX_SCALING_ROWS", 50)
    ours, theirs = fit_both(spark, tmp_path, n_links=60, per_link=3)
    np.testing.assert_array_equal(ours.scaling.quantiles, theirs.scaling.quantiles)


def test_probabilities_are_sparks_on_every_row(spark: SparkSession) -> None:
    _, _, X, truth = make_rows(spark, 300, per_link=1)
    rank_scaling = fit_scaling(X)
    scaled = rank_scaling.scale(X)
    table = pa.table({"row": list(scaled), "truth": list(truth.astype(np.float64))})
    rows = spark.createDataFrame(table).select(array_to_vector(F.col("row")).alias("row"), "truth")
    model = fit_genre(rows, 0, len(X), CONFIG)
    seen = model.transform(rows).select(
        vector_to_array("row").alias("row"), vector_to_array("probability").alias("probability")
    )
    collected = seen.toArrow()
    np.testing.assert_array_equal(np.array(collected["row"].to_pylist()), scaled)
    expected = np.array(collected["probability"].to_pylist())[:, 1]
    exported = Logistic(
        rank_scaling, model.coefficients.toArray()[None], np.array([float(model.intercept)])
    )
    ours = exported.predict_proba(X)[:, 0]
    assert np.ptp(ours) > 0.5
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6)


def test_lost_rows_are_not_trained_without(spark: SparkSession, tmp_path: Path) -> None:
    rows, link_ids, _, truth = make_rows(spark, 5, per_link=2)
    with pytest.raises(StorageError, match="features of 5 links instead of 6"):
        gone = np.vstack([truth, truth[:1]])
        label_rows(rows, [*link_ids, "gone"], gone, model="logistic", store=Store(str(tmp_path)))

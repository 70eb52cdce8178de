"""Fits one MLlib logistic regression per genre, several at a time.

Our own code scales the columns, as for scikit-learn, so that training sees what scoring will see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.classification import LogisticRegression, LogisticRegressionModel
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from trailergenre.base.config import LogisticConfig
from trailergenre.base.progress import OnStep
from trailergenre.models.estimators.logistic import Logistic, constant_intercept
from trailergenre.models.estimators.rank_scaling import Scaling, fit_scaling
from trailergenre.spark.feature_files import from_lists, to_lists
from trailergenre.spark.training.fit_per_genre import (
    LabelledRows,
    collect_sample,
    fits_at_a_time,
    run_parallel,
)

_PARALLELISM = 2
"""MLlib holds a copy of the rows for each genre that is being fitted."""

_TOLERANCE = 1e-8
"""MLlib stops when the loss changes by a smaller share. Coefficients are then within 2e-6 of
scikit-learn's (1,400 rows of 40 columns); a smaller one brings them no closer."""

Weights = tuple[NDArray[np.float64], float]
"""Coefficients, shape (n_features,), and intercept."""


def fit_regressions(
    labelled: LabelledRows, *, genres: Sequence[str], config: LogisticConfig, on_step: OnStep
) -> Logistic:
    """Fit one regression per genre (column of truth); scikit-learn's coefficients within 1e-3."""
    scaling = fit_scaling(collect_sample(labelled))
    scaled = _scale(labelled, scaling).cache()

    def fit(genre: int) -> LogisticRegressionModel | None:
        is_constant = labelled.truth[:, genre].mean() in (0.0, 1.0)
        return None if is_constant else fit_genre(scaled, genre, labelled.n_rows, config)

    fitted: dict[int, Weights] = {}
    try:
        parallelism = fits_at_a_time(scaled.sparkSession, _PARALLELISM)
        for genre, model in run_parallel(fit, len(genres), parallelism):
            if model is None:
                share = float(labelled.truth[:, genre].mean())
                intercept = constant_intercept(share, labelled.n_rows)
                fitted[genre] = np.zeros(labelled.n_features), intercept
            else:
                fitted[genre] = model.coefficients.toArray(), float(model.intercept)
            n_weights = 0 if model is None else labelled.n_features
            on_step(len(fitted), len(genres), f"{genres[genre]} ({n_weights})")
    finally:
        scaled.unpersist()
    coefficients, intercepts = zip(*(fitted[genre] for genre in range(len(genres))), strict=True)
    return Logistic(scaling, np.stack(coefficients), np.array(intercepts))


def fit_genre(
    scaled: DataFrame, genre: int, n_rows: int, config: LogisticConfig
) -> LogisticRegressionModel:
    """Fit the regression of a genre (column of truth) on row (scaled vector) and truth."""
    regression = LogisticRegression(
        featuresCol="row",
        labelCol="label",
        regParam=1 / (config.c * n_rows),  # scikit-learn sums the loss that MLlib averages
        elasticNetParam=0.0,
        standardization=False,
        maxIter=config.max_iterations,
        tol=_TOLERANCE,
    )
    labelled = scaled.select("row", F.col("truth")[genre].alias("label"))
    model: LogisticRegressionModel = regression.fit(labelled)
    return model


def _scale(labelled: LabelledRows, scaling: Scaling) -> DataFrame:
    """Scale the rows on the workers; gives row (vector) and truth."""

    def scale(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                values = from_lists(batch.column("row")).astype(np.float32, copy=False)
                scaled = to_lists(scaling.scale(values))
                yield pa.RecordBatch.from_pydict({"row": scaled, "truth": batch.column("truth")})

    rows = labelled.rows.select("row", "truth")
    scaled = rows.mapInArrow(scale, "row array<double>, truth array<double>")
    return scaled.select(array_to_vector(F.col("row")).alias("row"), "truth")

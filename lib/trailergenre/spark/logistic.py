"""One MLlib logistic regression a genre, fitted side by side on the cluster.

The columns are scaled by our own code, the same as for scikit-learn, so that MLlib sees what
scoring will see; of its model two arrays are taken and no file is written.
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
from trailergenre.base.storage import Store
from trailergenre.models.estimators.logistic import Logistic, constant_intercept
from trailergenre.models.estimators.rank_scaling import (
    MAX_SCALING_ROWS,
    Scaling,
    evenly_spaced,
    fit_scaling,
)
from trailergenre.spark.feature_files import collect_rows, from_lists, to_lists
from trailergenre.spark.fit_per_genre import Labelled, Report, fit_each, label_rows

_GENRES_AT_A_TIME = 2
"""MLlib holds a copy of the rows for each."""

_TOLERANCE = 1e-8
"""MLlib stops when the loss changes by less than this share. On 1,400 rows of 40 columns its
coefficients are then within 2e-6 of scikit-learn's; a smaller one brings them no nearer."""

Weights = tuple[NDArray[np.float64], float]
"""Coefficients, shape (n_features,), and intercept."""


def fit_regressions(
    rows: DataFrame,
    link_ids: Sequence[str],
    truth: NDArray[np.int8],
    *,
    config: LogisticConfig,
    store: Store,
    report: Report,
) -> Logistic:
    """Fit one regression a genre; scikit-learn's coefficients within 1e-3.

    Args:
        rows: link_id, number, row; see `label_rows`.
        link_ids: the training part.
        truth: shape (n_links, n_genres), int8; row i belongs to link_ids[i].
        config: strength of the penalty.
        store: the run, to be named if features are gone.
        report: progress; called from this thread.

    Raises:
        StorageError: features of a training link are gone.
        SchemaError: rows have different widths.
    """
    labelled = label_rows(rows, link_ids, truth, store=store)
    scaling = fit_scaling(_scaling_rows(labelled))
    scaled = _scale(labelled, scaling).cache()

    def fit(genre: int) -> tuple[Weights, int]:
        share = float(truth[:, genre].mean())
        if share in (0.0, 1.0):
            intercept = constant_intercept(share, labelled.n_rows)
            return (np.zeros(labelled.n_features), intercept), 0
        model = fit_genre(scaled, genre, labelled.n_rows, config)
        return (model.coefficients.toArray(), float(model.intercept)), labelled.n_features

    try:
        fitted = fit_each(fit, truth.shape[1], _GENRES_AT_A_TIME, report)
    finally:
        scaled.unpersist()
    coefficients, intercepts = zip(*fitted, strict=True)
    return Logistic(scaling, np.stack(coefficients), np.array(intercepts))


def fit_genre(
    scaled: DataFrame, genre: int, n_rows: int, config: LogisticConfig
) -> LogisticRegressionModel:
    """Fit the regression of one genre.

    Args:
        scaled: row (vector, scaled), truth (0.0 or 1.0 for each genre).
        genre: its column of truth.
        n_rows: of `scaled`; scikit-learn sums the loss that MLlib takes the mean of.
        config: strength of the penalty.
    """
    regression = LogisticRegression(
        featuresCol="row",
        labelCol="label",
        regParam=1 / (config.c * n_rows),
        elasticNetParam=0.0,
        standardization=False,
        maxIter=config.max_iterations,
        tol=_TOLERANCE,
    )
    model: LogisticRegressionModel = regression.fit(
        scaled.select("row", F.col("truth")[genre].alias("label"))
    )
    return model


def _scaling_rows(labelled: Labelled) -> NDArray[np.float32]:
    """Bring the rows to the driver that scikit-learn's scaling is learned on: 100 MB at most."""
    counts = labelled.counts["n_rows"].to_numpy()
    ends = np.cumsum(counts)
    places = evenly_spaced(labelled.n_rows, MAX_SCALING_ROWS)
    links = np.searchsorted(ends, places, side="right")
    wanted = pa.table(
        {
            "link_id": labelled.counts["link_id"].take(pa.array(links)),
            "number": pa.array((places - (ends - counts)[links]).astype(np.int32)),
        }
    )
    session = labelled.rows.sparkSession
    chosen = labelled.rows.join(
        F.broadcast(session.createDataFrame(wanted)), on=["link_id", "number"], how="left_semi"
    )
    return collect_rows(chosen)[1]


def _scale(labelled: Labelled, scaling: Scaling) -> DataFrame:
    """Scale the rows where they are; row (vector), truth."""
    shared = labelled.rows.sparkSession.sparkContext.broadcast(scaling)

    def scale(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if len(batch):
                values = from_lists(batch.column("row")).astype(np.float32, copy=False)
                scaled = to_lists(shared.value.scale(values))
                yield pa.RecordBatch.from_pydict({"row": scaled, "truth": batch.column("truth")})

    rows = labelled.rows.select("row", "truth")
    scaled = rows.mapInArrow(scale, "row array<double>, truth array<double>")
    return scaled.select(array_to_vector(F.col("row")).alias("row"), "truth")

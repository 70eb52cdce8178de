"""Training on a cluster with MLlib: rows are made there, fitted there, and the model is exported.

The same protocol as `trailergenre.models.trainers.LocalTrainer`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import SparkSession

from trailergenre.base.config import ForestConfig, LogisticConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import OnStep
from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.models.estimators.forest import Forest
from trailergenre.models.estimators.logistic import Logistic
from trailergenre.models.scorer import Scorer
from trailergenre.models.trainers import Recipe
from trailergenre.models.training_set import TrainingSet, check_all_read
from trailergenre.spark.feature_files import FeatureFiles
from trailergenre.spark.forest import fit_forests
from trailergenre.spark.logistic import fit_regressions


class ClusterTrainer:
    """Training with MLlib; the driver holds a model's arrays and no rows."""

    def __init__(self, spark: SparkSession, store: Store, outcomes: pa.Table) -> None:
        """Take a session, a run on storage that every worker sees, and the run's outcomes."""
        self._spark = spark
        self._store = store
        self._outcomes = outcomes

    def fit(self, training: TrainingSet, recipe: Recipe, on_step: OnStep) -> Scorer:
        """See `Trainer.fit`."""
        train = training.link_ids_of(Part.TRAIN)
        truth = training.truth_of(Part.TRAIN)
        files = FeatureFiles(self._spark, self._store, self._outcomes, train)
        rows = files.training_rows(recipe.rows, recipe.row_config).cache()
        ready = 0

        def told(genre: int, size: int) -> None:
            nonlocal ready
            ready += 1
            on_step(ready, len(training.genres), f"{training.genres[genre]} ({size})")

        parameters = recipe.parameters
        try:
            rows.count()  # makes the rows once, on all slots
            model: Forest | Logistic
            if isinstance(parameters, ForestConfig):
                model = fit_forests(
                    rows, train, truth, config=parameters, store=self._store, report=told
                )
            elif isinstance(parameters, LogisticConfig):
                model = fit_regressions(
                    rows, train, truth, config=parameters, store=self._store, report=told
                )
            else:
                raise ConfigError("MLlib trains forests and logistic regressions.")
            return Scorer(model, recipe.rows, recipe.row_config)
        finally:
            rows.unpersist()

    def score(self, link_ids: Sequence[str], scorer: Scorer) -> ProbabilityArray:
        """See `Trainer.score`."""
        files = FeatureFiles(self._spark, self._store, self._outcomes, link_ids)
        found, scores = files.collect_scores(scorer.predict_proba)
        check_all_read(self._store, wanted=len(link_ids), read=len(found))
        place = {link_id: row for row, link_id in enumerate(found)}
        return scores[[place[link_id] for link_id in link_ids]]

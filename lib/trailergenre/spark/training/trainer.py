"""Training on the cluster; see the protocol `trailergenre.models.trainers.Trainer`."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql import SparkSession

from trailergenre.base.config import ForestConfig, LogisticConfig
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
from trailergenre.spark.training.fit_per_genre import label_rows
from trailergenre.spark.training.forest import fit_forests
from trailergenre.spark.training.logistic import fit_regressions
from trailergenre.spark.training.spread_forest import LocalRows, grow_forest


class ClusterTrainer:
    """MLlib's models, and scikit-learn's forests; the driver holds a model's arrays and no rows."""

    def __init__(self, spark: SparkSession, store: Store, outcomes: pa.Table) -> None:
        """Take a session, a run on storage that every worker sees, and the run's outcomes."""
        self._spark = spark
        self._store = store
        self._outcomes = outcomes

    def fit(self, training: TrainingSet, recipe: Recipe, on_step: OnStep) -> Scorer:
        """See `Trainer.fit`."""
        link_ids, truth = training.link_ids_of(Part.TRAIN), training.truth_of(Part.TRAIN)
        files = FeatureFiles(self._spark, self._store, self._outcomes, link_ids)
        if recipe.trainer == "sklearn":
            assert isinstance(recipe.parameters, ForestConfig)
            rows_on_disk = LocalRows(self._store, files.files, link_ids, recipe.row_config)
            files.write_pooled(recipe.row_config)
            forest = grow_forest(self._spark, rows_on_disk, truth, recipe.parameters)
            on_step(1, 1, f"{forest.n_trees} trees")
            return Scorer(forest, recipe.rows, recipe.row_config)
        rows = files.training_rows(recipe.rows, recipe.row_config).cache()
        genres, config = training.genres, recipe.parameters
        try:
            rows.count()  # computes and caches the rows on all slots
            labelled = label_rows(rows, link_ids, truth, model=recipe.model, store=self._store)
            model: Forest | Logistic
            if isinstance(config, ForestConfig):
                model = fit_forests(labelled, genres=genres, config=config, on_step=on_step)
            else:
                assert isinstance(config, LogisticConfig)  # `choose_recipe` gives MLlib no other
                model = fit_regressions(labelled, genres=genres, config=config, on_step=on_step)
            return Scorer(model, recipe.rows, recipe.row_config)
        finally:
            rows.unpersist()

    def score(self, link_ids: Sequence[str], scorer: Scorer) -> ProbabilityArray:
        """See `Trainer.score`."""
        files = FeatureFiles(self._spark, self._store, self._outcomes, link_ids)
        scored, scores = files.collect_scores(scorer)
        check_all_read(self._store, wanted=len(link_ids), read=len(scored))
        row_of = {link_id: row for row, link_id in enumerate(scored)}
        return scores[[row_of[link_id] for link_id in link_ids]]

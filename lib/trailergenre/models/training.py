"""What can be trained, and training on this machine: scikit-learn and Keras.

`trailergenre.spark.training` is the same protocol with MLlib on the cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trailergenre.base.config import (
    Config,
    ForestConfig,
    LogisticConfig,
    RowsConfig,
    TemporalConfig,
)
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.models.estimators.forest import fit_forest
from trailergenre.models.estimators.logistic import fit_logistic
from trailergenre.models.manifest import SearchFacts
from trailergenre.models.pooling import RowArray, RowKind, iter_links, training_rows
from trailergenre.models.scorer import ModelKind, Scorer
from trailergenre.models.temporal import FeatureSource
from trailergenre.models.training_set import TrainingSet, check_none_lost

Trainer = Literal["mllib", "sklearn", "keras"]
Parameters = ForestConfig | LogisticConfig | TemporalConfig

COMBINATIONS: tuple[tuple[ModelKind, RowKind, Trainer], ...] = (
    ("forest", "pooled", "mllib"),
    ("forest", "pooled", "sklearn"),
    ("forest", "frames", "mllib"),
    ("forest", "frames", "sklearn"),
    ("logistic", "pooled", "mllib"),
    ("logistic", "pooled", "sklearn"),
    ("logistic", "frames", "mllib"),
    ("logistic", "frames", "sklearn"),
    ("temporal", "frames", "keras"),
)
"""What can be trained; of those that fit what was asked for, the first."""

Report = Callable[[int, int, str], None]
"""Told the steps of a training that are done, those that there are, and what the last one was."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how.

    Attributes:
        model: kind of model.
        rows: what a training row is.
        trainer: who fits it.
        row_config: how rows are made.
        parameters: of the model.
        search: how the parameters were found; None: they are the configuration's.
    """

    model: ModelKind
    rows: RowKind
    trainer: Trainer
    row_config: RowsConfig
    parameters: Parameters
    search: SearchFacts | None = None


class Training(Protocol):
    """Where models are fitted and links are scored: this machine, or a cluster."""

    def fit(self, training: TrainingSet, recipe: Recipe, report: Report) -> Scorer:
        """Fit a model to the training part; only a temporal one looks at the validation part.

        Raises:
            StorageError: features of a link are gone.
        """
        ...

    def score(self, link_ids: Sequence[str], scorer: Scorer) -> ProbabilityArray:
        """Score links, row i of link_ids[i].

        Raises:
            StorageError: features of a link are gone.
        """
        ...


def choose_recipe(
    config: Config, model: ModelKind, rows: RowKind | None, trainer: Trainer | None
) -> Recipe:
    """Fill in what was not asked for, and refuse what cannot be trained.

    Raises:
        ConfigError: lists what can.
    """
    fitting = [
        (kind, row_kind, name)
        for kind, row_kind, name in COMBINATIONS
        if kind == model and rows in (row_kind, None) and trainer in (name, None)
    ]
    if not fitting:
        asked = f"--model {model}"
        asked += f" --rows {rows}" if rows else ""
        asked += f" --trainer {trainer}" if trainer else ""
        known = "; ".join(f"--model {m} --rows {r} --trainer {t}" for m, r, t in COMBINATIONS)
        raise ConfigError(f"{asked} does not exist. There is: {known}.")
    kind, row_kind, name = fitting[0]
    parameters: dict[ModelKind, Parameters] = {
        "forest": config.forest,
        "logistic": config.logistic,
        "temporal": config.temporal,
    }
    return Recipe(kind, row_kind, name, config.rows, parameters[kind])


class LocalTraining:
    """Training on this machine; rows are in memory (24 KB a pooled link, 200 KB of 25 frames)."""

    def __init__(self, store: Store, outcomes: pa.Table) -> None:
        """Take a run and its outcomes, from `tables.read_outcomes`."""
        self._store = store
        self._outcomes = outcomes

    def fit(self, training: TrainingSet, recipe: Recipe, report: Report) -> Scorer:
        """See `Training.fit`."""
        if isinstance(recipe.parameters, TemporalConfig):
            return self._fit_temporal(training, recipe, recipe.parameters, report)
        train = training.link_ids_of(Part.TRAIN)
        places, X = self.training_rows(train, recipe)
        y = training.truth_of(Part.TRAIN)[places]
        model = (
            fit_forest(X, y, recipe.parameters)
            if isinstance(recipe.parameters, ForestConfig)
            else fit_logistic(X, y, recipe.parameters)
        )
        report(1, 1, f"{recipe.model} on {len(X)} rows of {X.shape[1]} columns")
        return Scorer(model, recipe.rows, recipe.row_config)

    def _fit_temporal(
        self, training: TrainingSet, recipe: Recipe, config: TemporalConfig, report: Report
    ) -> Scorer:
        from trailergenre.models.temporal.training import fit_temporal

        def source(part: Part) -> FeatureSource:
            return FeatureSource(
                self._store,
                self._outcomes,
                training.link_ids_of(part),
                training.truth_of(part),
                recipe.row_config.span,
            )

        def told(epoch: int, loss: float, mean_ap: float) -> None:
            report(epoch, config.max_epochs, f"loss {loss:.4f}, validation mAP {mean_ap:.3f}")

        head = fit_temporal(source(Part.TRAIN), source(Part.VALIDATION), config, told)
        return Scorer(head, recipe.rows, recipe.row_config)

    def training_rows(
        self, link_ids: Sequence[str], recipe: Recipe
    ) -> tuple[NDArray[np.int64], RowArray]:
        """Make the training rows of links; while they are put together they are held twice.

        Returns:
            For each row the position of its link in `link_ids`, and the rows, link by link.

        Raises:
            StorageError: features of a link are gone.
        """
        of_link: dict[str, RowArray] = {}
        for links in iter_links(self._store, self._outcomes, link_ids):
            for link in links:
                of_link[link.link_id] = training_rows(link, recipe.rows, recipe.row_config)
        check_none_lost(self._store, wanted=len(link_ids), found=len(of_link))
        counts = [len(of_link[link_id]) for link_id in link_ids]
        rows = np.concatenate([of_link[link_id] for link_id in link_ids])
        return np.repeat(np.arange(len(link_ids)), counts), rows

    def score(self, link_ids: Sequence[str], scorer: Scorer) -> ProbabilityArray:
        """See `Training.score`."""
        found: dict[str, ProbabilityArray] = {}
        for links in iter_links(self._store, self._outcomes, link_ids):
            scores = scorer.predict_proba(links)
            found |= {link.link_id: row for link, row in zip(links, scores, strict=True)}
        check_none_lost(self._store, wanted=len(link_ids), found=len(found))
        return np.stack([found[link_id] for link_id in link_ids])

"""What can be trained, and the trainer of this machine: scikit-learn and Keras.

`trailergenre.spark.training.trainer` implements the same protocol with MLlib on a cluster.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trailergenre.base.config import (
    Config,
    ForestConfig,
    LogisticConfig,
    RowsConfig,
    TemporalConfig,
)
from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import OnStep
from trailergenre.base.records import ModelKind, ProbabilityArray, RowKind, TrainerName, TruthArray
from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.models.estimators.forest import Forest, fit_forest
from trailergenre.models.estimators.logistic import Logistic, fit_logistic
from trailergenre.models.manifest import SearchFacts
from trailergenre.models.pooled_table import iter_training_rows
from trailergenre.models.pooling import RowArray
from trailergenre.models.scorer import Scorer, score_links
from trailergenre.models.temporal.source import FeatureSource
from trailergenre.models.training_set import TrainingSet, check_all_read

Parameters = ForestConfig | LogisticConfig | TemporalConfig

_CHOICES: dict[ModelKind, tuple[tuple[RowKind, ...], tuple[TrainerName, ...]]] = {
    "forest": (("pooled", "frames"), ("mllib", "sklearn")),
    "logistic": (("pooled", "frames"), ("mllib", "sklearn")),
    "temporal": (("frames",), ("keras",)),
}
"""Rows and trainers of each model; the first ones fill in what was left open."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is trained, and how; `search` is None if the parameters are the configuration's."""

    model: ModelKind
    rows: RowKind
    trainer: TrainerName
    row_config: RowsConfig
    parameters: Parameters
    search: SearchFacts | None = None


class Trainer(Protocol):
    """Fits models and scores links, on this machine or on a cluster.

    Both methods raise StorageError if features of a link are missing.
    """

    def fit(self, training: TrainingSet, recipe: Recipe, on_step: OnStep) -> Scorer:
        """Fit a model to the training part; only a temporal head uses the validation part."""

    def score(self, link_ids: Sequence[str], scorer: Scorer) -> ProbabilityArray:
        """Score links; row i belongs to link_ids[i]."""


def choose_recipe(
    config: Config, model: ModelKind, rows: RowKind | None, trainer: TrainerName | None
) -> Recipe:
    """Choose what was left open (None).

    Raises:
        ConfigError: the combination does not exist; lists those that do.
    """
    all_rows, trainers = _CHOICES[model]
    row_kind, name = rows or all_rows[0], trainer or trainers[0]
    if row_kind in all_rows and name in trainers:
        return Recipe(model, row_kind, name, config.rows, getattr(config, model))
    options = {"model": model, "rows": rows, "trainer": trainer}
    given = " ".join(f"--{name} {value}" for name, value in options.items() if value)
    known = "; ".join(
        f"--model {kind} --rows {row_kind} --trainer {name}"
        for kind, choices in _CHOICES.items()
        for row_kind, name in itertools.product(*choices)
    )
    raise ConfigError(f"{given} does not exist. Choose one of: {known}.")


def fit_estimator(
    X: RowArray, y: TruthArray, parameters: ForestConfig | LogisticConfig
) -> Forest | Logistic:
    """Fit the kind of model that the parameters are of, with scikit-learn."""
    if isinstance(parameters, ForestConfig):
        return fit_forest(X, y, parameters)
    return fit_logistic(X, y, parameters)


class LocalTrainer:
    """Trains on this machine; rows are in memory: 24 KB per pooled link, 200 KB per 25 frames."""

    def __init__(self, store: Store, outcomes: pa.Table) -> None:
        """Take a run and its outcomes, from `outcomes_table.read_outcomes`."""
        self._store = store
        self._outcomes = outcomes

    def fit(self, training: TrainingSet, recipe: Recipe, on_step: OnStep) -> Scorer:
        """See `Trainer.fit`."""
        if isinstance(recipe.parameters, TemporalConfig):
            return self._fit_temporal(training, recipe, recipe.parameters, on_step)
        train = training.link_ids_of(Part.TRAIN)
        places, X = self.training_rows(train, recipe)
        y = training.truth_of(Part.TRAIN)[places]
        model = fit_estimator(X, y, recipe.parameters)
        on_step(1, 1, f"{recipe.model} on {len(X)} rows of {X.shape[1]} columns")
        return Scorer(model, recipe.rows, recipe.row_config)

    def _fit_temporal(
        self, training: TrainingSet, recipe: Recipe, config: TemporalConfig, on_step: OnStep
    ) -> Scorer:
        from trailergenre.models.temporal.training import fit_temporal

        with nullcontext() if self._store.is_local else scratch_directory() as scratch:
            copy = None if scratch is None else Store(str(scratch))

            def source(part: Part) -> FeatureSource:
                return FeatureSource(
                    self._store,
                    self._outcomes,
                    training.link_ids_of(part),
                    training.truth_of(part),
                    recipe.row_config.span,
                    copy,
                )

            head = fit_temporal(source(Part.TRAIN), source(Part.VALIDATION), config, on_step)
        return Scorer(head, recipe.rows, recipe.row_config)

    def training_rows(
        self, link_ids: Sequence[str], recipe: Recipe
    ) -> tuple[NDArray[np.int64], RowArray]:
        """Make the training rows of links, and the position in `link_ids` of each row's link.

        Briefly takes twice the memory of the rows.
        """
        kind, config = recipe.rows, recipe.row_config
        wanted, found, counts, blocks = pa.array(link_ids, pa.string()), [], [], []
        for ids, n_rows, rows in iter_training_rows(
            self._store, self._outcomes, kind, config, wanted
        ):
            found.append(pa.array(ids))
            counts.append(n_rows)
            blocks.append(rows)
        places = _find_places(found, wanted)
        check_all_read(self._store, wanted=len(wanted), read=len(places))
        places, X = np.repeat(places, np.concatenate(counts)), np.concatenate(blocks)
        del blocks
        order = np.argsort(places, kind="stable")
        return places[order], X[order]

    def score(self, link_ids: Sequence[str], scorer: Scorer) -> ProbabilityArray:
        """See `Trainer.score`."""
        wanted, found, blocks = pa.array(link_ids, pa.string()), [], []
        for ids, scores in score_links(self._store, self._outcomes, scorer, wanted):
            found.append(pa.array(ids))
            blocks.append(scores)
        places = _find_places(found, wanted)
        check_all_read(self._store, wanted=len(wanted), read=len(places))
        return np.concatenate(blocks)[np.argsort(places)]


def _find_places(found: Sequence[pa.Array], wanted: pa.Array) -> NDArray[np.int64]:
    """The position in `wanted` of each id found; all at once, since each call hashes `wanted`."""
    ids = pa.chunked_array(found, pa.string())
    places: NDArray[np.int64] = pc.index_in(ids, wanted).to_numpy().astype(np.int64)
    return places

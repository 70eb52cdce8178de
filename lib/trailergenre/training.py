"""A training set to a fitted forest, and a fitted forest to a bundle.

Fits with scikit-learn; `trailergenre.spark.training` is the same with MLlib.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pyarrow as pa

from trailergenre import __version__
from trailergenre.backbone.artefact import read_manifest
from trailergenre.bundle import Bundle, write_bundle
from trailergenre.config import Config, ForestConfig
from trailergenre.dataset import TrainingSet, check_none_lost
from trailergenre.errors import ConfigError, WeightsError
from trailergenre.fingerprint import FeatureSettings
from trailergenre.forest import Forest
from trailergenre.forest_fit import fit_forest
from trailergenre.manifest import (
    UNKNOWN_WEIGHTS,
    BackboneFacts,
    Manifest,
    SamplingFacts,
    TrainingFacts,
)
from trailergenre.metrics import choose_thresholds, mean_ap
from trailergenre.pooling import STATISTICS, pool_links
from trailergenre.records import ProbabilityArray
from trailergenre.splits import Part
from trailergenre.storage import Store

Model = Literal["forest", "logistic", "temporal"]
Rows = Literal["pooled", "frames"]
Trainer = Literal["mllib", "sklearn"]

COMBINATIONS: tuple[tuple[Model, Rows, Trainer], ...] = (
    ("forest", "pooled", "mllib"),
    ("forest", "pooled", "sklearn"),
)
"""What can be trained."""

_LIBRARIES = {"mllib": "pyspark", "sklearn": "scikit-learn"}


def check_combination(model: Model, rows: Rows, trainer: Trainer) -> None:
    """Refuse what cannot be trained.

    Raises:
        ConfigError: lists what can.
    """
    if (model, rows, trainer) not in COMBINATIONS:
        known = "; ".join(f"--model {m} --rows {r} --trainer {t}" for m, r, t in COMBINATIONS)
        raise ConfigError(
            f"--model {model} --rows {rows} --trainer {trainer} does not exist. There is: {known}."
        )


@dataclass(frozen=True)
class FittedForest:
    """What a trainer hands back.

    Attributes:
        trainer: who fitted it.
        forest: its arrays.
        validation: probabilities of the validation part, in the order of `link_ids_of`.
    """

    trainer: Trainer
    forest: Forest
    validation: ProbabilityArray


def fit_sklearn(
    store: Store, outcomes: pa.Table, training: TrainingSet, config: ForestConfig
) -> FittedForest:
    """Fit one multi-output forest on this machine, all pooled rows in memory (24 KB a link).

    Args:
        store: the run.
        outcomes: from `tables.read_outcomes`.
        training: genres, parts and truth.
        config: size and seed.

    Raises:
        StorageError: features of a link are gone.
    """
    train, validation = training.link_ids_of(Part.TRAIN), training.link_ids_of(Part.VALIDATION)
    found, pooled = pool_links(store, outcomes, [*train, *validation])
    place = {link_id: row for row, link_id in enumerate(found)}
    check_none_lost(store, wanted=len(train) + len(validation), found=len(found))
    forest = fit_forest(pooled[[place[i] for i in train]], training.truth_of(Part.TRAIN), config)
    probabilities = forest.predict_proba(pooled[[place[i] for i in validation]])
    return FittedForest("sklearn", forest, probabilities)


def write_trained(
    store: Store,
    training: TrainingSet,
    fitted: FittedForest,
    *,
    settings: FeatureSettings,
    config: Config,
) -> Bundle:
    """Choose the thresholds and write the bundle into its folder.

    Args:
        store: the bundle's folder.
        training: what the forest was fitted on.
        fitted: the forest.
        settings: of the features.
        config: the run's whole configuration.
    """
    truth = training.truth_of(Part.VALIDATION)
    library = _LIBRARIES[fitted.trainer]
    manifest = Manifest(
        genres=training.genres,
        thresholds=tuple(choose_thresholds(truth, fitted.validation).tolist()),
        not_modelled=training.not_modelled,
        model="forest",
        rows="pooled",
        trainer=fitted.trainer,
        pooling=STATISTICS,
        backbone=BackboneFacts(
            backbone_id=settings.backbone_id,
            precision=settings.precision,
            weights=_weights_source(Path(config.backbone.path).expanduser(), settings.backbone_id),
        ),
        sampling=SamplingFacts(
            frames_per_s=settings.frames_per_s, frame_side_px=settings.frame_side_px
        ),
        training=_describe(training, config),
        validation_mean_ap=mean_ap(truth, fitted.validation),
        versions={
            "trailergenre": __version__,
            "python": platform.python_version(),
            "numpy": version("numpy"),
            library: version(library),
        },
        created_at=datetime.now(UTC),
    )
    split = _split_table(training)
    return write_bundle(store, manifest=manifest, forest=fitted.forest, split=split)


def _describe(training: TrainingSet, config: Config) -> TrainingFacts:
    rows = {part: training.rows_of(part) for part in Part}
    return TrainingFacts(
        data_sha256=training.data_sha256,
        shuffled_labels=training.shuffled,
        dataset=config.dataset,
        forest=config.forest,
        movies={
            part.value: len({training.links[row].movie_id for row in rows[part]}) for part in Part
        },
        links={part.value: len(rows[part]) for part in Part},
        genre_shares=tuple(training.truth_of(Part.TRAIN).mean(axis=0).tolist()),
        links_without_features=training.links_without_features,
        links_without_modelled_genre=training.links_without_modelled_genre,
    )


def _split_table(training: TrainingSet) -> pa.Table:
    return pa.table(
        {
            "link_id": [link.link_id for link in training.links],
            "movie_id": [link.movie_id for link in training.links],
            "part": [part.value for part in training.parts],
        }
    )


def _weights_source(artefact: Path, backbone_id: str) -> str:
    """Ask the artefact at hand where the weights are from, if it is the one that was used."""
    try:
        manifest = read_manifest(artefact)
    except WeightsError:
        return UNKNOWN_WEIGHTS
    return manifest.weights if manifest.backbone_id == backbone_id else UNKNOWN_WEIGHTS

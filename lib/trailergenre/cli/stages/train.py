"""Train a model on a run's features and labels and write it as a bundle, or one bundle per fold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from trailergenre.base.config import Config
from trailergenre.base.progress import progress_bar
from trailergenre.base.records import ModelKind, RowKind, TrainerName
from trailergenre.base.storage import Store
from trailergenre.features.backbone.artefact import check_replaceable
from trailergenre.features.settings import named_by
from trailergenre.links import labelled_links
from trailergenre.links.labelled_links import Part
from trailergenre.models.bundle import Bundle
from trailergenre.models.pooled_table import remove_unfinished
from trailergenre.models.search import draw_trials, gather_rows
from trailergenre.models.train_bundles import Tune, prepare_sets, summarize, train_bundles
from trailergenre.models.trainers import LocalTrainer, Recipe, Trainer, choose_recipe
from trailergenre.models.training_set import TrainingSet
from trailergenre.models.use_backbone import BACKBONE, carry_backbone
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.sessions import record_summary
from trailergenre.spark.masters import names_cluster


def train(
    store: Store,
    target: Store,
    settings: Config,
    *,
    model: ModelKind = "forest",
    rows: RowKind | None = None,
    trainer: TrainerName | None = None,
    cross_validate: bool = False,
    search: int = 0,
    shuffle_labels: bool = False,
    with_backbone: bool = False,
    features: str | None = None,
) -> dict[str, Bundle]:
    """Train a model on a run's features and labels; write a bundle, or one for each fold."""
    started = time.monotonic()
    recipe = choose_recipe(settings, model, rows, trainer)
    if search:
        draw_trials(recipe.parameters, trials=search, seed=settings.dataset.seed)  # or refuse
    fingerprint = choose_fingerprint(store, features, named_by(settings))
    outcomes = outcomes_table.read_outcomes(
        store, fingerprint, columns=features_table.FEATURE_COLUMNS
    )
    labels = tables.read_table(store, "labels", labelled_links.COLUMNS)
    sets = prepare_sets(
        labels, outcomes, settings, cross_validate=cross_validate, shuffle_labels=shuffle_labels
    )
    for name in sets if with_backbone else ():
        check_replaceable(
            (target.child(name) if name else target).child(BACKBONE), "give another --bundle"
        )
    with (
        hold_lease(target, "train_model"),
        _open_trainer(recipe, store, outcomes, search) as (fitting, tune),
    ):
        settings_of_features = list_settings(store)[fingerprint]
        written = train_bundles(
            target, sets, trainer=fitting, tune=tune, settings=settings_of_features
        )
    remove_unfinished(store, fingerprint)
    if with_backbone:
        for each in written.values():
            carry_backbone(each, settings)
    summary = {
        "bundle": str(target),
        "features": fingerprint,
        "labelled_links": len(labels),
        **summarize(written),
        "seconds": round(time.monotonic() - started, 1),
    }
    record_summary(store, "train_model", summary)
    return written


@contextmanager
def _open_trainer(
    recipe: Recipe, store: Store, outcomes: pa.Table, trials: int
) -> Iterator[tuple[Trainer, Tune]]:
    """Yield the trainer and the search; Spark is imported and started only if one needs it.

    On a cluster, the trees of scikit-learn's forests on pooled rows are grown there.
    """
    local = LocalTrainer(store, outcomes)
    has_trees = (recipe.model, recipe.rows, recipe.trainer) == ("forest", "pooled", "sklearn")
    if recipe.trainer != "mllib" and not trials and not (has_trees and names_cluster()):
        yield local, lambda training, seed: recipe
        return
    from trailergenre.spark.session import is_local, spark_session
    from trailergenre.spark.training.search import search_parameters
    from trailergenre.spark.training.trainer import ClusterTrainer
    from trailergenre.spark.worker_checks import FORESTS, SCORING, SEARCH

    modules = SEARCH if trials else FORESTS if has_trees else SCORING
    with spark_session("train_model", store, modules) as spark:

        def tune(training: TrainingSet, seed: int) -> Recipe:
            if not trials:
                return recipe
            places, X = local.training_rows(training.link_ids_of(Part.TRAIN), recipe)
            rows = gather_rows(training, places, X, seed=seed)
            with progress_bar("search") as on_step:
                result = search_parameters(
                    spark, rows, recipe.parameters, trials=trials, seed=seed, on_step=on_step
                )
            return replace(recipe, parameters=result.parameters, search=result.facts)

        is_spread = recipe.trainer == "mllib" or (has_trees and not is_local(spark))
        yield ClusterTrainer(spark, store, outcomes) if is_spread else local, tune

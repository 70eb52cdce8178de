"""Train a model on a run's features and labels and write it as a bundle, or one bundle per fold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import pyarrow as pa
from typer import Option

from trailergenre.base.config_files import load_config
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.cli.entry import (
    BundleOption,
    CommandLine,
    ConfigOption,
    FeaturesOption,
    RunArgument,
    SetOption,
    entry,
)
from trailergenre.features.settings import named_by
from trailergenre.links.labelled_links import Part
from trailergenre.models.pooling import RowKind
from trailergenre.models.scorer import ModelKind
from trailergenre.models.search import draw_trials, gather_rows
from trailergenre.models.train_bundles import Tune, prepare_sets, summarize, train_bundles
from trailergenre.models.trainers import LocalTrainer, Recipe, Trainer, TrainerName, choose_recipe
from trailergenre.models.training_set import TrainingSet
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.sessions import record_summary

app = CommandLine(add_completion=False)


@app.command()
@entry
def train_model(  # noqa: PLR0913 - a command's options
    run: RunArgument,
    bundle: BundleOption,
    model: Annotated[ModelKind, Option(help="Kind of model.")] = "forest",
    rows: Annotated[
        RowKind | None, Option(help="Training rows. Default: pooled; frames for temporal.")
    ] = None,
    trainer: Annotated[
        TrainerName | None,
        Option(help="mllib: on the cluster, one model per genre. sklearn, keras: on this machine."),
    ] = None,
    cross_validate: Annotated[
        bool, Option("--cross-validate", help="Train a bundle per fold: DIR/fold-0, fold-1 ...")
    ] = False,
    search: Annotated[
        int,
        Option(
            min=0,
            metavar="N",
            help="Try N sets of hyper-parameters with scikit-learn, in parallel on the cluster, by "
            "folds of the training part.",
        ),
    ] = 0,
    shuffle_labels: Annotated[
        bool, Option("--shuffle-labels", help="Train a control on shuffled labels.")
    ] = False,
    features: FeaturesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Train a model on the features and labels of RUN and write it as a bundle.

    \b
    Examples:
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/train_model.py runs/mine --bundle bundles/mine
      python jobs/train_model.py runs/mine --bundle bundles/mine --trainer sklearn
      python jobs/train_model.py runs/mine --bundle bundles/lr --model logistic --trainer sklearn \\
        --cross-validate
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/train_model.py runs/mine --bundle bundles/found --search 20
      python jobs/train_model.py runs/mine --bundle bundles/head --model temporal \\
        --set 'temporal.head="gru"'
    """
    started = time.monotonic()
    settings = load_config(config or (), overrides or ())
    recipe = choose_recipe(settings, model, rows, trainer)
    if search:
        draw_trials(recipe.parameters, trials=search, seed=settings.dataset.seed)  # or refuse
    store, target = Store(run), Store(bundle)
    fingerprint = choose_fingerprint(store, features, named_by(settings))
    outcomes = tables.read_outcomes(store, fingerprint)
    labels = tables.read_table(store, "labels")
    sets = prepare_sets(
        labels, outcomes, settings, cross_validate=cross_validate, shuffle_labels=shuffle_labels
    )
    with (
        hold_lease(target, "train_model"),
        _open_trainer(recipe, store, outcomes, search) as (fitting, tune),
    ):
        settings_of_features = list_settings(store)[fingerprint]
        written = train_bundles(
            target, sets, trainer=fitting, tune=tune, settings=settings_of_features
        )
    summary = {
        "bundle": str(target),
        "features": fingerprint,
        "labelled_links": len(labels),
        **summarize(written),
        "seconds": round(time.monotonic() - started, 1),
    }
    record_summary(store, "train_model", summary)


@contextmanager
def _open_trainer(
    recipe: Recipe, store: Store, outcomes: pa.Table, trials: int
) -> Iterator[tuple[Trainer, Tune]]:
    """Yield the trainer and the search; Spark is imported and started only if one needs it."""
    local = LocalTrainer(store, outcomes)
    if recipe.trainer != "mllib" and not trials:
        yield local, lambda training, seed: recipe
        return
    from trailergenre.spark.search import search_parameters
    from trailergenre.spark.session import spark_session
    from trailergenre.spark.training import ClusterTrainer
    from trailergenre.spark.worker_checks import SCORING, SEARCH

    with spark_session("train_model", store, SEARCH if trials else SCORING) as spark:

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

        yield ClusterTrainer(spark, store, outcomes) if recipe.trainer == "mllib" else local, tune


if __name__ == "__main__":
    app()

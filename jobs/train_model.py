"""Features and labels to a model bundle, or to one bundle a fold.

spark-submit --properties-file conf/spark-local.conf jobs/train_model.py RUN --bundle DIR
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import pyarrow as pa
import typer

from trailergenre.base.config import Config
from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.cli.entry import (
    BundleOption,
    ConfigOption,
    FeaturesOption,
    RunArgument,
    SetOption,
    entry,
)
from trailergenre.links.labelled_links import Part
from trailergenre.models.bundle import Bundle
from trailergenre.models.finalize import clear_target, finish_model, write_model
from trailergenre.models.pooling import RowKind
from trailergenre.models.scorer import ModelKind
from trailergenre.models.search import draw_trials, gather_rows
from trailergenre.models.training import LocalTraining, Recipe, Trainer, Training, choose_recipe
from trailergenre.models.training_set import TrainingSet, prepare_training
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.sessions import record_summary

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def train_model(  # noqa: PLR0913 - a command's options
    run: RunArgument,
    bundle: BundleOption,
    model: Annotated[ModelKind, typer.Option("--model", help="Kind of model.")] = "forest",
    rows: Annotated[
        RowKind | None,
        typer.Option("--rows", help="What a training row is; else pooled, of temporal frames."),
    ] = None,
    trainer: Annotated[
        Trainer | None,
        typer.Option(
            "--trainer",
            help="mllib: on the cluster, one model a genre. sklearn, keras: on this machine.",
        ),
    ] = None,
    cross_validate: Annotated[
        bool,
        typer.Option(
            "--cross-validate", help="Train one bundle a fold: DIR/fold-0, DIR/fold-1 ..."
        ),
    ] = False,
    search: Annotated[
        int,
        typer.Option(
            "--search",
            min=0,
            metavar="N",
            help="Try N sets of hyper-parameters by scikit-learn, side by side on the cluster, by "
            "folds of the training part.",
        ),
    ] = 0,
    shuffle_labels: Annotated[
        bool, typer.Option("--shuffle-labels", help="Train a control that must know nothing.")
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
    folds = _folds(settings, cross_validate=cross_validate)
    fingerprint = choose_fingerprint(store, features)
    outcomes = tables.read_outcomes(store, fingerprint)
    labels = tables.read_table(store, "labels")
    sets = {
        name: (
            fold,
            prepare_training(labels, outcomes, fold.dataset, shuffle_labels=shuffle_labels),
        )
        for name, fold in folds.items()
    }
    written = {}
    with hold_lease(target, "train_model"), _open_places(recipe, store, outcomes, search) as places:
        clear_target(target, folds)
        for name, (fold, training) in sets.items():
            _announce(training, name)
            found = _search(places, training, recipe, seed=fold.dataset.seed, trials=search)
            with progress_bar("training") as report:
                scorer = places.training.fit(training, found, report)
                fitted = finish_model(places.training, training, scorer, seed=fold.dataset.seed)
            written[name] = write_model(
                Store(f"{bundle}/{name}") if name else target,
                training,
                fitted,
                recipe=found,
                settings=list_settings(store)[fingerprint],
                config=fold,
            )
            _say_figures(written[name])
    record_summary(
        store,
        "train_model",
        {
            "bundle": str(target),
            "features": fingerprint,
            "model": recipe.model,
            "rows": recipe.rows,
            "trainer": recipe.trainer,
            "shuffled_labels": shuffle_labels,
            "labelled_links": len(labels),
            **_summary(written, next(iter(sets.values()))[1]),
            "seconds": round(time.monotonic() - started, 1),
        },
    )


class _Places(NamedTuple):
    """Where the work of a training is done.

    Attributes:
        training: where models are fitted and links scored.
        local: this machine.
        spark: the session; None where none is needed.
    """

    training: Training
    local: LocalTraining
    spark: SparkSession | None


@contextmanager
def _open_places(
    recipe: Recipe, store: Store, outcomes: pa.Table, trials: int
) -> Iterator[_Places]:
    local = LocalTraining(store, outcomes)
    if recipe.trainer != "mllib" and not trials:
        # No Spark is started, and none need be installed.
        yield _Places(local, local, None)
        return
    from trailergenre.spark.session import spark_session
    from trailergenre.spark.training import ClusterTraining

    with spark_session("train_model", store) as spark:
        is_cluster = recipe.trainer == "mllib"
        training = ClusterTraining(spark, store, outcomes) if is_cluster else local
        yield _Places(training, local, spark)


def _folds(config: Config, *, cross_validate: bool) -> dict[str, Config]:
    """The configuration of each bundle, by its folder below the target; "" is the target."""
    if not cross_validate:
        return {"": config}
    if config.dataset.split != "folds":
        raise ConfigError(
            "--cross-validate tests on folds, and dataset.split is given: one test part. "
            "Leave --cross-validate out, or --set dataset.split=folds."
        )
    return {
        f"fold-{fold}": config.model_copy(
            update={"dataset": config.dataset.model_copy(update={"fold": fold})}
        )
        for fold in range(config.dataset.folds)
    }


def _search(
    places: _Places, training: TrainingSet, recipe: Recipe, *, seed: int, trials: int
) -> Recipe:
    """Find hyper-parameters on the training part; the rows go through this machine's memory."""
    if places.spark is None or not trials:
        return recipe
    from trailergenre.spark.search import search_parameters

    rows_of, X = places.local.training_rows(training.link_ids_of(Part.TRAIN), recipe)
    rows = gather_rows(training, rows_of, X, seed=seed)
    with progress_bar("search") as report:
        found = search_parameters(
            places.spark, rows, recipe.parameters, trials=trials, seed=seed, report=report
        )
    return replace(recipe, parameters=found.parameters, search=found.facts)


def _announce(training: TrainingSet, name: str) -> None:
    sizes = ", ".join(f"{len(training.rows_of(part))} {part}" for part in Part)
    prefix = f"{name}: " if name else ""
    typer.echo(
        f"{prefix}{len(training.links)} links ({sizes}), {len(training.genres)} genres", err=True
    )
    if training.not_modelled:
        rare = ", ".join(f"{genre} ({n})" for genre, n in training.not_modelled.items())
        typer.echo(f"not modelled, too few movies: {rare}", err=True)
    if training.links_without_part:
        typer.echo(f"left out, in no part: {training.links_without_part} links", err=True)
    if training.shuffled:
        typer.echo("control run: labels are shuffled, the model must know nothing", err=True)


def _say_figures(bundle: Bundle) -> None:
    measures = bundle.manifest.test.measures
    typer.echo(
        f"test mAP {measures['model']['mean_ap']:.3f}, label prior "
        f"{measures['prior']['mean_ap']:.3f} ({bundle.manifest.test.movies} movies)",
        err=True,
    )


def _summary(written: dict[str, Bundle], training: TrainingSet) -> dict[str, object]:
    manifests = [bundle.manifest for bundle in written.values()]
    facts = manifests[0].training
    scores = [manifest.test.measures["model"]["mean_ap"] or 0.0 for manifest in manifests]
    return {
        "sha256": {name: bundle.sha256 for name, bundle in written.items()},
        "links": facts.links,
        "links_without_features": facts.links_without_features,
        "links_without_modelled_genre": facts.links_without_modelled_genre,
        "links_without_part": facts.links_without_part,
        "movies": facts.movies,
        "genres": list(training.genres),
        "not_modelled": training.not_modelled,
        "validation_mean_ap": [round(manifest.validation_mean_ap, 4) for manifest in manifests],
        "test_mean_ap": [round(score, 4) for score in scores],
        "test_mean_ap_spread": round(float(np.std(scores, ddof=1)), 4) if len(scores) > 1 else None,
    }


if __name__ == "__main__":
    app()

"""Features and labels to a model bundle.

spark-submit --properties-file conf/spark-local.conf jobs/train_model.py RUN --bundle DIR
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import pyarrow as pa
import typer
from rich.console import Console
from rich.progress import Progress

from trailergenre import tables
from trailergenre.config import ForestConfig, load_config
from trailergenre.dataset import TrainingSet, prepare_training
from trailergenre.entry import (
    BundleOption,
    ConfigOption,
    FeaturesOption,
    RunArgument,
    SetOption,
    entry,
    finish,
)
from trailergenre.fingerprint import choose_fingerprint, list_settings
from trailergenre.lock import run_lock
from trailergenre.splits import Part
from trailergenre.storage import Store
from trailergenre.training import (
    FittedForest,
    Model,
    Rows,
    Trainer,
    check_combination,
    fit_sklearn,
    write_trained,
)

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def train_model(  # noqa: PLR0913 - a command's options
    run: RunArgument,
    bundle: BundleOption,
    model: Annotated[Model, typer.Option("--model", help="Kind of model.")] = "forest",
    rows: Annotated[Rows, typer.Option("--rows", help="What a training row is.")] = "pooled",
    trainer: Annotated[
        Trainer,
        typer.Option("--trainer", help="mllib: a forest a genre, on Spark. sklearn: one forest."),
    ] = "mllib",
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
    """
    started = time.monotonic()
    check_combination(model, rows, trainer)
    settings = load_config(config or (), overrides or ())
    store, target = Store(run), Store(bundle)
    fingerprint = choose_fingerprint(store, features)
    outcomes = tables.read_outcomes(store, fingerprint)
    labels = tables.read_table(store, "labels")
    training = prepare_training(labels, outcomes, settings.dataset, shuffle_labels=shuffle_labels)
    _announce(training)
    fit = _fit_mllib if trainer == "mllib" else fit_sklearn
    feature_settings = list_settings(store)[fingerprint]
    with run_lock(target, "train_model"):
        fitted = fit(store, outcomes, training, settings.forest)
        written = write_trained(
            target, training, fitted, settings=feature_settings, config=settings
        )
    facts = written.manifest.training
    finish(
        store,
        "train_model",
        {
            "bundle": str(target),
            "sha256": written.sha256,
            "features": fingerprint,
            "trainer": trainer,
            "shuffled_labels": shuffle_labels,
            "labelled_links": len(labels),
            "links": facts.links,
            "links_without_features": facts.links_without_features,
            "links_without_modelled_genre": facts.links_without_modelled_genre,
            "movies": facts.movies,
            "genres": list(training.genres),
            "not_modelled": training.not_modelled,
            "trees": fitted.forest.n_trees,
            "nodes": len(fitted.forest.feature),
            "validation_mean_ap": round(written.manifest.validation_mean_ap, 4),
            "seconds": round(time.monotonic() - started, 1),
        },
    )


def _announce(training: TrainingSet) -> None:
    sizes = ", ".join(f"{len(training.rows_of(part))} {part}" for part in Part)
    typer.echo(f"{len(training.links)} links ({sizes}), {len(training.genres)} genres", err=True)
    if training.not_modelled:
        rare = ", ".join(f"{genre} ({n})" for genre, n in training.not_modelled.items())
        typer.echo(f"not modelled, too few movies: {rare}", err=True)
    if training.shuffled:
        typer.echo("control run: labels are shuffled, the model must know nothing", err=True)


def _fit_mllib(
    store: Store, outcomes: pa.Table, training: TrainingSet, config: ForestConfig
) -> FittedForest:
    # The other trainer starts no Spark and needs none installed.
    from trailergenre.spark.session import spark_session
    from trailergenre.spark.training import fit_mllib

    with spark_session("train_model", store) as spark, _progress(training.genres) as report:
        return fit_mllib(spark, store, outcomes, training, config=config, report=report)


@contextmanager
def _progress(genres: Sequence[str]) -> Iterator[Callable[[int, int], None]]:
    """Show genres as their forests get ready: a bar on a terminal, lines elsewhere; on stderr."""
    console = Console(stderr=True, soft_wrap=True)
    started = time.monotonic()
    with Progress(console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("forests", total=len(genres))
        ready = 0

        def report(genre: int, n_nodes: int) -> None:
            nonlocal ready
            ready += 1
            bar.update(task, completed=ready, description=genres[genre])
            if not console.is_terminal:
                seconds = time.monotonic() - started
                line = f"forest {ready}/{len(genres)} {genres[genre]}: {n_nodes} nodes"
                console.print(f"{line}, {seconds:.0f} s", markup=False)

        yield report


if __name__ == "__main__":
    app()

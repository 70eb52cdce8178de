"""All stages of a list, one after the other: what is finished is not done again."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trailergenre.base.config import Config, DatasetConfig
from trailergenre.base.errors import BundleError, ConfigError, ExitCode, WeightsError
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.progress import format_duration, progress_bar
from trailergenre.base.records import Link, ModelKind, TrainerName
from trailergenre.base.storage import Store
from trailergenre.base.terminal import print_line
from trailergenre.cli.stages.evaluate import evaluate
from trailergenre.cli.stages.featurize import featurize
from trailergenre.cli.stages.predict import predict
from trailergenre.cli.stages.prepare import prepare
from trailergenre.cli.stages.train import train
from trailergenre.features.backbone import read_manifest
from trailergenre.features.backbone.artefact import local_backbone
from trailergenre.features.settings import feature_settings
from trailergenre.links.input_lists import is_video_directory
from trailergenre.links.prepare import Preparation, Sources
from trailergenre.links.table_files import STANDARD_INPUT
from trailergenre.models.bundle import read_bundle
from trailergenre.models.train_bundles import prepare_sets
from trailergenre.models.trainers import choose_recipe
from trailergenre.reports.run_report import RunFiles
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.runs.fingerprint import FeatureSettings
from trailergenre.runs.plan import plan_links
from trailergenre.videos.pacing import find_host

_FRAMES_A_LINK = 150
"""Features of a trailer of two and a half minutes, at one frame a second."""


@dataclass(frozen=True)
class RunOptions:
    """What `run` is asked to do.

    Attributes:
        model: kind to train.
        trainer: None for the model's default.
        scored_by: address of a bundle to score the links with, in place of training one.
    """

    model: ModelKind
    trainer: TrainerName | None
    keep: Literal["videos", "frames"] | None
    scored_by: str | None


def run_all(sources: Sources, store: Store, settings: Config, options: RunOptions) -> ExitCode:
    """Prepare, featurize, train and evaluate, or score, and write the pages.

    Raises:
        ConfigError: the list cannot be used, or has too few movies to train on.
    """
    report = RunFiles.of(store)
    report.check()
    prepared = prepare(store, sources, settings)
    if not prepared.counts[RowOutcome.READY]:
        raise ConfigError("No row of the list has a link that can be used; see above why.")
    if options.scored_by is None and not prepared.movies_by_genre:
        print_line(
            "note: the list has no genres, so there is nothing to train on: its links only get "
            "features. If a column has the genres, stop, and give --genres-column NAME. To score "
            "the links, give --bundle DIR.",
            err=True,
        )
    _export_backbone(settings)
    features = feature_settings(settings, read_manifest(local_backbone(settings.backbone.path)))
    _announce(store, settings, features)
    code = featurize(store, settings, keep=options.keep)
    report.write(features.fingerprint)
    if options.scored_by is not None:
        predict(store, options.scored_by, features=features.fingerprint)
    elif prepared.movies_by_genre:
        _train(store, settings, prepared, features, options)
        report.write(features.fingerprint)  # again: now it can link to the evaluation
    print_line(f"what became of every link: {report.page}", err=True)
    return code


def _export_backbone(settings: Config) -> None:
    """Export the network with ImageNet weights, if there is none yet."""
    if "://" in settings.backbone.path:
        return
    directory = Path(settings.backbone.path).expanduser()
    if directory.exists():
        return
    # In a process of its own: Keras keeps gigabytes of memory, which Spark needs later.
    export = [sys.executable, "-m", "trailergenre", "backbone", "export", "--out", str(directory)]
    with progress_bar("fetching and exporting Inception-V3"):
        code = subprocess.run(export, stdout=subprocess.DEVNULL, check=False).returncode
    if code:
        raise WeightsError(
            f"There is no network in {directory}, and none could be made; see above.",
            "Copy one from a machine that has it, or name its directory: --set backbone.path=DIR",
        )


def _announce(store: Store, settings: Config, features: FeatureSettings) -> None:
    """Say what is left to do: downloads of each paced host, their time, and disk."""
    plan = plan_links(store, features, (), recompute=True)
    n_bytes = len(plan.todo) * _FRAMES_A_LINK * 4 * features.width
    remote = [link for link in plan.todo if not link.url.startswith("file:")]
    print_line(
        f"to do: {len(plan.todo)} of {len(plan.ready)} links, {len(remote)} of them downloads; "
        f"their features take about {n_bytes / 1e6:.0f} MB in {store}",
        err=True,
    )
    for line in _paced(remote, settings):
        print_line(line, err=True)


def _paced(links: Collection[Link], settings: Config) -> list[str]:
    counts = Counter(find_host(link.url, settings.hosts) for link in links)
    lines = []
    for name, host in settings.hosts.items():
        if n_links := counts[name]:
            seconds = n_links * host.seconds_between / host.lanes
            lines.append(
                f"{n_links} downloads from {name}, one every "
                f"{host.seconds_between / host.lanes:g} s: {format_duration(seconds)}"
            )
    return lines


def _train(
    store: Store,
    settings: Config,
    prepared: Preparation,
    features: FeatureSettings,
    options: RunOptions,
) -> None:
    target = store.child("bundle")
    dataset = _fit_to_list(settings.dataset, prepared)
    settings = settings.model_copy(update={"dataset": dataset})
    if _is_trained(target, store, settings, features, options):
        print_line(f"the model in {target} is of these features and labels", err=True)
        return
    train(
        store,
        target,
        settings,
        model=options.model,
        trainer=options.trainer,
        features=features.fingerprint,
    )
    evaluate(store, str(target), features=features.fingerprint)
    print_line(f"how good the model is: {store}/reports/evaluation.html", err=True)


def _fit_to_list(dataset: DatasetConfig, prepared: Preparation) -> DatasetConfig:
    """Model genres of fewer movies where the list has too few for the default."""
    is_default = "min_movies_per_genre" not in dataset.model_fields_set
    enough = [n for n in prepared.movies_by_genre.values() if n >= dataset.min_movies_per_genre]
    if not is_default or len(enough) > 1:
        return dataset
    print_line(
        f"note: fewer than two genres have {dataset.min_movies_per_genre} movies, so genres are "
        f"modelled from {dataset.folds} movies on. Figures over so few mean little.",
        err=True,
    )
    return dataset.model_copy(update={"min_movies_per_genre": dataset.folds})


def _is_trained(
    target: Store,
    store: Store,
    settings: Config,
    features: FeatureSettings,
    options: RunOptions,
) -> bool:
    """Whether the bundle would be trained on the same data in the same way."""
    try:
        manifest = read_bundle(target).manifest
    except BundleError:
        return False
    labels = tables.read_table(store, "labels")
    outcomes = outcomes_table.read_outcomes(
        store, features.fingerprint, columns=features_table.FEATURE_COLUMNS
    )
    ((_, training),) = prepare_sets(
        labels, outcomes, settings, cross_validate=False, shuffle_labels=False
    ).values()
    recipe = choose_recipe(settings, options.model, None, options.trainer)
    return (
        store.exists("reports/evaluation.html")
        and manifest.training.data_sha256 == training.data_sha256
        and (manifest.model, manifest.trainer) == (recipe.model, recipe.trainer)
        and (manifest.parameters, manifest.rows_config) == (recipe.parameters, recipe.row_config)
        and manifest.training.dataset == settings.dataset
    )


def run_directory(links: Path) -> str:
    """Where the run of a list is by default: `runs/` and the list's name."""
    if links == STANDARD_INPUT:
        raise ConfigError("A list from standard input has no name for its run. Give --out RUN.")
    links = links.absolute()
    name = links.name if is_video_directory(links) else links.name.partition(".")[0]
    if not name:
        raise ConfigError(f"{links} gives the run no name. Give --out RUN.")
    return f"runs/{name}"

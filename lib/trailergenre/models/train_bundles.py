"""Training sets to bundles: fitted, calibrated, tested and written.

Calibration and thresholds are chosen on the validation part, unless it is too small; metrics are
those of the test part.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa

from trailergenre import __version__
from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, WeightsError
from trailergenre.base.progress import progress_bar
from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.base.storage import Store
from trailergenre.base.terminal import print_line
from trailergenre.features.backbone.artefact import absolute_place, local_backbone, read_manifest
from trailergenre.links.labelled_links import Part, count_movies_by_name
from trailergenre.metrics.baselines import majority_metrics, prior_metrics
from trailergenre.metrics.multilabel import (
    DEFAULT_THRESHOLD,
    Metrics,
    average_by_movie,
    choose_thresholds,
    mean_ap,
    measure,
)
from trailergenre.models.bundle import Bundle, check_replaceable, withdraw_bundle, write_bundle
from trailergenre.models.calibration import (
    MIN_VALIDATION_MOVIES,
    Calibration,
    fit_calibration,
    no_calibration,
)
from trailergenre.models.manifest import (
    UNKNOWN_WEIGHTS,
    BackboneFacts,
    GenreFacts,
    Manifest,
    SamplingFacts,
    TestFacts,
    TrainingFacts,
)
from trailergenre.models.model_card import MIN_TEST_MOVIES
from trailergenre.models.scorer import Model, Scorer
from trailergenre.models.trainers import Recipe, Trainer
from trailergenre.models.training_set import TrainingSet, prepare_training, split_table
from trailergenre.runs.fingerprint import FeatureSettings

_LIBRARIES = {"mllib": "pyspark", "sklearn": "scikit-learn", "keras": "keras"}


class FittedModel(NamedTuple):
    """A model that is ready to be written."""

    model: Model
    calibration: Calibration
    thresholds: tuple[float, ...]
    thresholds_from: Literal["validation", "default"]
    validation_mean_ap: float
    test: TestFacts


Tune = Callable[[TrainingSet, int], Recipe]
"""Chooses the recipe for a training set, with a seed; may search its hyper-parameters."""


def train_bundles(
    target: Store,
    sets: Mapping[str, tuple[Config, TrainingSet]],
    *,
    trainer: Trainer,
    tune: Tune,
    settings: FeatureSettings,
) -> dict[str, Bundle]:
    """Train and write a bundle for each training set; `sets` is from `prepare_sets`.

    Raises:
        ConfigError: the target holds bundles that would not be replaced.
    """
    _clear_target(target, sets)
    written = {}
    for name, (config, training) in sets.items():
        for line in training.describe():
            print_line(f"{name}: {line}" if name else line, err=True)
        recipe = tune(training, config.dataset.seed)
        with progress_bar("training") as on_step:
            scorer = trainer.fit(training, recipe, on_step)
            fitted = finalize_model(trainer, training, scorer, seed=config.dataset.seed)
        mean_aps = {key: values["mean_ap"] for key, values in fitted.test.measures.items()}
        n_tested = fitted.test.movies
        few = ", too few to say which is better" if n_tested < MIN_TEST_MOVIES else ""
        print_line(
            f"test mAP {mean_aps['model']:.3f}, label prior {mean_aps['prior']:.3f} "
            f"({n_tested} movies{few})",
            err=True,
        )
        store = target.child(name) if name else target
        written[name] = write_model(
            store, training, fitted, recipe=recipe, settings=settings, config=config
        )
        for note in written[name].warnings:
            print_line(f"note: {note}", err=True)
    return written


def prepare_sets(
    labels: pa.Table,
    outcomes: pa.Table,
    config: Config,
    *,
    cross_validate: bool,
    shuffle_labels: bool,
) -> dict[str, tuple[Config, TrainingSet]]:
    """Prepare the training set of each bundle, by its directory below the target ("": itself).

    Raises:
        ConfigError: cross-validation needs folds, and the split is given; or as `prepare_training`.
    """
    configs = {"": config}
    dataset = config.dataset
    if cross_validate:
        if dataset.split != "folds":
            raise ConfigError(
                "--cross-validate needs folds, but dataset.split = given names one test part. "
                "Omit --cross-validate, or --set dataset.split=folds."
            )
        datasets = [dataset.model_copy(update={"fold": fold}) for fold in range(dataset.folds)]
        configs = {f"fold-{d.fold}": config.model_copy(update={"dataset": d}) for d in datasets}
    return {
        name: (
            each,
            prepare_training(labels, outcomes, each.dataset, shuffle_labels=shuffle_labels),
        )
        for name, each in configs.items()
    }


def _clear_target(store: Store, names: Collection[str]) -> None:
    """Refuse a directory that would mix two trainings; invalidate the folds to be replaced.

    Folds are written one by one: a training that stops halfway must not leave old folds beside new
    ones. A single bundle is replaced at once, and stays until then.
    """
    held = {name for name in store.list_directories("") if name.startswith("fold-")}
    if store.exists("manifest.json"):
        held.add("")
    stale = sorted(held - set(names))
    if stale:
        kept = "a bundle of one training" if stale[0] == "" else f"folds ({', '.join(stale)})"
        raise ConfigError(
            f"{store} holds {kept} that this training would not replace. "
            "Give another --bundle, or delete it."
        )
    targets = {name: store.child(name) if name else store for name in names}
    for target in targets.values():
        check_replaceable(target)
    for name, target in targets.items():
        if name and target.exists("manifest.json"):
            withdraw_bundle(target)


def finalize_model(
    trainer: Trainer, training: TrainingSet, scorer: Scorer, *, seed: int
) -> FittedModel:
    """Choose calibration and thresholds on the validation part and measure the test movies.

    With fewer than `MIN_VALIDATION_MOVIES` nothing is calibrated, and thresholds are the default.
    Calibration is fitted to links, as in scoring; a movie's probabilities are the mean of its
    links'. `seed` is of the folds that choose the calibration method.
    """
    raw = trainer.score(training.link_ids_of(Part.VALIDATION), scorer)
    truth, merged = _merge_movies(training, Part.VALIDATION, raw)
    if len(truth) >= MIN_VALIDATION_MOVIES:
        calibration = fit_calibration(training.truth_of(Part.VALIDATION), raw, seed=seed)
        _, merged = _merge_movies(training, Part.VALIDATION, calibration.apply(raw))
        thresholds = choose_thresholds(truth, merged)
    else:
        calibration = no_calibration(len(training.genres))
        thresholds = np.full(len(training.genres), DEFAULT_THRESHOLD)
    test_raw = trainer.score(training.link_ids_of(Part.TEST), scorer)
    test_truth, test_calibrated = _merge_movies(training, Part.TEST, calibration.apply(test_raw))
    genres, shares = training.genres, training.genre_shares
    test = partial(measure, test_truth, genres=genres, thresholds=thresholds)
    metrics = {
        "model": test(test_calibrated),
        "uncalibrated": test(_merge_movies(training, Part.TEST, test_raw)[1]),
        "prior": prior_metrics(test_truth, genres, shares),
        "majority": majority_metrics(test_truth, genres, shares),
    }
    return FittedModel(
        model=scorer.model,
        calibration=calibration,
        thresholds=tuple(thresholds.tolist()),
        thresholds_from="validation" if len(truth) >= MIN_VALIDATION_MOVIES else "default",
        validation_mean_ap=mean_ap(truth, merged),
        test=_test_facts(metrics),
    )


def _merge_movies(
    training: TrainingSet, part: Part, probabilities: ProbabilityArray
) -> tuple[TruthArray, ProbabilityArray]:
    movies = [training.links[row].movie_id for row in training.rows_of(part)]
    _, truth, merged = average_by_movie(movies, training.truth_of(part), probabilities)
    return truth, merged


def _test_facts(metrics: Mapping[str, Metrics]) -> TestFacts:
    measures = {name: asdict(each) for name, each in metrics.items()}
    for values in measures.values():
        del values["movies"], values["genres"]
    # The thresholds were chosen for calibrated probabilities: no F1 of raw ones.
    del measures["uncalibrated"]["macro_f1"], measures["uncalibrated"]["micro_f1"]
    model = metrics["model"]
    genres = {genre.genre: GenreFacts(movies=genre.n, ap=genre.ap) for genre in model.genres}
    return TestFacts(movies=model.movies, measures=measures, genres=genres)


def write_model(
    store: Store,
    training: TrainingSet,
    fitted: FittedModel,
    *,
    recipe: Recipe,
    settings: FeatureSettings,
    config: Config,
) -> Bundle:
    """Write a bundle, with all that its manifest records, into its directory."""
    library = _LIBRARIES[recipe.trainer]
    manifest = Manifest(
        genres=training.genres,
        thresholds=fitted.thresholds,
        thresholds_from=fitted.thresholds_from,
        not_modelled=training.not_modelled,
        model=recipe.model,
        rows=recipe.rows,
        trainer=recipe.trainer,
        rows_config=recipe.row_config,
        parameters=recipe.parameters,
        search=recipe.search,
        calibration=fitted.calibration,
        backbone=BackboneFacts(
            backbone_id=settings.backbone_id,
            precision=settings.precision,
            width=settings.width,
            **_find_network(config.backbone.path, settings.backbone_id),
        ),
        sampling=SamplingFacts(
            frames_per_s=settings.frames_per_s, frame_side_px=settings.frame_side_px
        ),
        training=_training_facts(training, config),
        validation_mean_ap=fitted.validation_mean_ap,
        test=fitted.test,
        versions={
            "trailergenre": __version__,
            "python": platform.python_version(),
            "numpy": version("numpy"),
            library: version(library),
        },
        created_at=datetime.now(UTC),
    )
    split = split_table(training.links, training.parts)
    return write_bundle(store, manifest=manifest, model=fitted.model, split=split)


def _training_facts(training: TrainingSet, config: Config) -> TrainingFacts:
    links = {part: [training.links[row] for row in training.rows_of(part)] for part in Part}
    return TrainingFacts(
        data_sha256=training.data_sha256,
        shuffled_labels=training.shuffled,
        dataset=config.dataset,
        movies={part.value: len({link.movie_id for link in links[part]}) for part in Part},
        links={part.value: len(links[part]) for part in Part},
        movies_by_name=count_movies_by_name(training.links),
        genre_shares=training.genre_shares,
        links_without_features=training.links_without_features,
        links_without_modelled_genre=training.links_without_modelled_genre,
        links_without_part=training.links_without_part,
    )


def _find_network(place: str, backbone_id: str) -> dict[str, str]:
    """The weights' origin and place, if the configured artefact is the network that was used."""
    try:
        manifest = read_manifest(local_backbone(place))
    except WeightsError:
        return {"weights": UNKNOWN_WEIGHTS}
    if manifest.backbone_id != backbone_id:
        return {"weights": UNKNOWN_WEIGHTS}
    return {"weights": manifest.source, "path": absolute_place(place)}


def summarize(written: Mapping[str, Bundle]) -> dict[str, object]:
    """What the run keeps of a training; `written` maps a bundle's directory to the bundle."""
    manifests = [bundle.manifest for bundle in written.values()]
    first = manifests[0]
    scores = [manifest.test.measures["model"]["mean_ap"] or 0.0 for manifest in manifests]
    return {
        "sha256": {name: bundle.sha256 for name, bundle in written.items()},
        **first.model_dump(include={"model", "rows", "trainer", "genres", "not_modelled"}),
        **first.training.model_dump(exclude={"data_sha256", "dataset", "genre_shares"}),
        "thresholds_from": [manifest.thresholds_from for manifest in manifests],
        "validation_mean_ap": [round(manifest.validation_mean_ap, 4) for manifest in manifests],
        "test_mean_ap": [round(score, 4) for score in scores],
        "test_mean_ap_spread": round(float(np.std(scores, ddof=1)), 4) if len(scores) > 1 else None,
    }

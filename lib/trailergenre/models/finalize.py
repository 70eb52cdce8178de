"""A fitted model to its bundle: calibration and thresholds chosen, test movies measured, written.

Calibration and thresholds are chosen on the validation part, figures are taken on the test part.
"""

from __future__ import annotations

import platform
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

from trailergenre import __version__
from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, WeightsError
from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.base.storage import Store
from trailergenre.features.backbone.artefact import read_manifest
from trailergenre.links.labelled_links import Part
from trailergenre.metrics.baselines import by_movie, majority_figures, prior_figures
from trailergenre.metrics.multilabel import Figures, choose_thresholds, mean_ap, measure
from trailergenre.models.bundle import Bundle, write_bundle
from trailergenre.models.calibration import Calibration, fit_calibration
from trailergenre.models.manifest import (
    UNKNOWN_WEIGHTS,
    BackboneFacts,
    GenreFacts,
    Manifest,
    SamplingFacts,
    TestFacts,
    TrainingFacts,
)
from trailergenre.models.scorer import Scorer
from trailergenre.models.training import Recipe, Training
from trailergenre.models.training_set import TrainingSet
from trailergenre.runs.fingerprint import FeatureSettings

_LIBRARIES = {"mllib": "pyspark", "sklearn": "scikit-learn", "keras": "keras"}


@dataclass(frozen=True)
class Fitted:
    """A model that is ready to be written.

    Attributes:
        scorer: the model, calibrated.
        calibration: the same as the scorer's.
        thresholds: one a genre.
        validation_mean_ap: on the movies that both were chosen on.
        test: what it reached on the test movies.
    """

    scorer: Scorer
    calibration: Calibration
    thresholds: tuple[float, ...]
    validation_mean_ap: float
    test: TestFacts


def clear_target(store: Store, names: Collection[str]) -> None:
    """Refuse a directory that would hold bundles of two trainings; end folds to be replaced.

    Folds are written one after the other: without this a training that stops in the middle would
    leave old folds beside new ones. A single bundle is replaced at once, and stays until then.

    Args:
        store: the directory.
        names: of the bundles to be written, below it; "" is the directory itself.

    Raises:
        ConfigError: it holds another kind, or folds that would not be replaced.
    """
    held = {name for name in store.list_directories("") if name.startswith("fold-")}
    if store.exists("manifest.json"):
        held.add("")
    stale = sorted(held - set(names))
    if stale:
        found = "a bundle of one training" if stale[0] == "" else f"folds ({', '.join(stale)})"
        raise ConfigError(
            f"{store} holds {found} that this training would not replace. "
            "Give another --bundle, or delete it."
        )
    for name in filter(None, names):
        store.delete(f"{name}/manifest.json")


def finish_model(place: Training, training: TrainingSet, scorer: Scorer, *, seed: int) -> Fitted:
    """Choose calibration and thresholds on the validation part and measure the test movies.

    Curves are fitted to links and bend the probabilities of links, as in scoring; a movie has the
    mean of its links.

    Args:
        place: where the links are scored.
        training: genres, parts and truth.
        scorer: the fitted model, not calibrated yet.
        seed: of the folds that the calibration is judged by.
    """
    raw = place.score(training.link_ids_of(Part.VALIDATION), scorer)
    calibration = fit_calibration(training.truth_of(Part.VALIDATION), raw, seed=seed)
    truth, calibrated = _by_movie(training, Part.VALIDATION, calibration.apply(raw))
    thresholds = choose_thresholds(truth, calibrated)
    test_raw = place.score(training.link_ids_of(Part.TEST), scorer)
    test_truth, test_calibrated = _by_movie(training, Part.TEST, calibration.apply(test_raw))
    genres, shares = training.genres, _genre_shares(training)
    test = partial(measure, test_truth, genres=genres, thresholds=thresholds)
    figures = {
        "model": test(test_calibrated),
        "uncalibrated": test(_by_movie(training, Part.TEST, test_raw)[1]),
        "prior": prior_figures(test_truth, genres, shares),
        "majority": majority_figures(test_truth, genres, shares),
    }
    return Fitted(
        scorer=replace(scorer, calibration=calibration),
        calibration=calibration,
        thresholds=tuple(thresholds.tolist()),
        validation_mean_ap=mean_ap(truth, calibrated),
        test=_test_facts(figures),
    )


def _by_movie(
    training: TrainingSet, part: Part, probabilities: ProbabilityArray
) -> tuple[TruthArray, ProbabilityArray]:
    """Merge the links of a part; a control's validation movies have the genres it was told."""
    movies = [training.links[row].movie_id for row in training.rows_of(part)]
    _, truth, merged = by_movie(movies, training.truth_of(part), probabilities)
    return truth, merged


def _test_facts(figures: Mapping[str, Figures]) -> TestFacts:
    measures = {}
    for name, found in figures.items():
        # The thresholds are those of calibrated probabilities: no F1 of raw ones.
        left_out = {"movies", "genres"}
        left_out |= {"macro_f1", "micro_f1"} if name == "uncalibrated" else set()
        values = asdict(found).items()
        measures[name] = {key: value for key, value in values if key not in left_out}
    model = figures["model"]
    genres = {genre.genre: GenreFacts(movies=genre.n, ap=genre.ap) for genre in model.genres}
    return TestFacts(movies=model.movies, measures=measures, genres=genres)


def write_model(
    store: Store,
    training: TrainingSet,
    fitted: Fitted,
    *,
    recipe: Recipe,
    settings: FeatureSettings,
    config: Config,
) -> Bundle:
    """Write a bundle into its folder.

    Args:
        store: the bundle's folder.
        training: what the model was fitted on.
        fitted: the model.
        recipe: how.
        settings: of the features.
        config: the run's whole configuration.
    """
    library = _LIBRARIES[recipe.trainer]
    manifest = Manifest(
        genres=training.genres,
        thresholds=fitted.thresholds,
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
            weights=_weights_source(Path(config.backbone.path).expanduser(), settings.backbone_id),
        ),
        sampling=SamplingFacts(
            frames_per_s=settings.frames_per_s, frame_side_px=settings.frame_side_px
        ),
        training=_describe(training, config),
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
    return write_bundle(
        store, manifest=manifest, scorer=fitted.scorer, split=_split_table(training)
    )


def _describe(training: TrainingSet, config: Config) -> TrainingFacts:
    rows = {part: training.rows_of(part) for part in Part}
    return TrainingFacts(
        data_sha256=training.data_sha256,
        shuffled_labels=training.shuffled,
        dataset=config.dataset,
        movies={
            part.value: len({training.links[row].movie_id for row in rows[part]}) for part in Part
        },
        links={part.value: len(rows[part]) for part in Part},
        genre_shares=_genre_shares(training),
        links_without_features=training.links_without_features,
        links_without_modelled_genre=training.links_without_modelled_genre,
        links_without_part=training.links_without_part,
    )


def _genre_shares(training: TrainingSet) -> tuple[float, ...]:
    return tuple(training.truth_of(Part.TRAIN).mean(axis=0).tolist())


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

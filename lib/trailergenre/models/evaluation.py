"""An evaluation: a model's test metrics beside baselines, its control and other models.

On few movies the average precision of any ranking lies above the share of true ones, and a model
that tells videos apart without knowing genres may rank one kind of video right by luck. So a model
*beats the prior* only if its mAP exceeds the prior's, the 95th percentile of random scores, and the
95th percentile of its own scores with the genres mixed at random. Over folds, every metric is the
mean of the folds'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import get_args

import numpy as np
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import OnStep
from trailergenre.base.records import LinkFrames, ProbabilityArray, TruthArray
from trailergenre.links.labelled_links import LabelledLink, Part, genre_matrix
from trailergenre.metrics.baselines import (
    BaselineMeanAP,
    majority_metrics,
    mixed_genres_baseline,
    prior_metrics,
    random_baseline,
    random_metrics,
)
from trailergenre.metrics.bootstrap import Comparison, MetricName, compare_models
from trailergenre.metrics.curves import Curves, make_curves
from trailergenre.metrics.folds import FoldMetrics, join_folds
from trailergenre.metrics.format import MEASURES, format_figure, format_spread
from trailergenre.metrics.genre_sets import GENRE_SETS, measure_subset
from trailergenre.metrics.multilabel import average_by_movie, measure
from trailergenre.models.bundle import Bundle
from trailergenre.models.evaluated_model import EvaluatedModel, find_test_links
from trailergenre.models.model_card import LEAK_MEAN_AP, render_card, suggests_leak
from trailergenre.models.scorer import ScorerGroup

_SEED = 7
"""Of the bootstrap: every evaluation draws the same movies."""

_OF_THRESHOLDS = {"macro_f1", "micro_f1", "f1", "threshold"}

ScoreLinks = Callable[
    [list[str], Callable[[Sequence[LinkFrames]], ProbabilityArray]],
    tuple[list[str], ProbabilityArray],
]
"""Scores links by a function of their frames; returns those that have features, and their rows."""


@dataclass(frozen=True)
class ScoredFold:
    """The test movies of one bundle and its scores of them."""

    bundle: Bundle
    truth: TruthArray
    raw: ProbabilityArray
    probabilities: ProbabilityArray  # raw, calibrated


@dataclass(frozen=True)
class ScoredModel:
    """A model and its scores on all test movies."""

    model: EvaluatedModel
    folds: tuple[ScoredFold, ...]


@dataclass(frozen=True)
class LinkCounts:
    """What was tested, over all folds."""

    movies: int
    links: int
    links_without_features: int


@dataclass(frozen=True)
class GenreSetMetrics:
    """Models on one of `GENRE_SETS`; the keys are those of `Evaluation.columns`."""

    name: str
    genres: tuple[str, ...]
    models: dict[str, FoldMetrics]


@dataclass(frozen=True)
class Evaluation:
    """The record of an evaluation.

    Dictionaries are keyed by column: `model`, `control`, `other-1` ..., `prior`, `majority` and
    `random`; the last three are baselines.
    """

    created_at: datetime
    run: str
    features: str  # fingerprint
    model: EvaluatedModel
    control: EvaluatedModel | None
    others: list[EvaluatedModel]
    test: LinkCounts
    notes: list[str]
    columns: dict[str, str]  # key -> heading
    metrics: dict[str, FoldMetrics]
    uncalibrated: FoldMetrics  # of the model's raw probabilities
    random: BaselineMeanAP
    mixed: dict[str, BaselineMeanAP]
    beats_prior: dict[str, bool]
    genre_sets: list[GenreSetMetrics]
    comparisons: list[tuple[EvaluatedModel, Comparison]]
    curves: Curves

    def to_json(self) -> dict[str, object]:
        """The record as plain values: reports/evaluation.json, and what the page shows."""
        models = {key: metrics.to_json() for key, metrics in self.metrics.items()}
        methods = Counter(b.manifest.calibration.method for b in self.model.bundles)
        return {
            "created_at": self.created_at.isoformat(timespec="seconds"),
            "run": self.run,
            "features": self.features,
            "bundle": self.model.to_json(),
            "control": self.control.to_json() if self.control else None,
            "compared": [other.to_json() for other in self.others],
            "test": asdict(self.test),
            "notes": self.notes,
            "columns": [[key, heading] for key, heading in self.columns.items()],
            "models": models | {"uncalibrated": _without_f1(self.uncalibrated.to_json())},
            "random": asdict(self.random),
            "mixed": {key: asdict(baseline) for key, baseline in self.mixed.items()},
            "beats_prior": self.beats_prior,
            "genre_sets": [
                {
                    "name": each.name,
                    "genres": list(each.genres),
                    "movies": each.models["prior"].movies,
                    "models": {key: metrics.to_json() for key, metrics in each.models.items()},
                }
                for each in self.genre_sets
            ],
            "comparisons": [
                {"other": other.name, **asdict(comparison)}
                for other, comparison in self.comparisons
            ],
            "calibration": dict(methods),
            "curves": asdict(self.curves),
            "card": render_card(self.model.bundles[0].manifest),
        }

    def summary(self) -> dict[str, object]:
        """What the run keeps of the job."""
        figures = self.metrics | {"uncalibrated": self.uncalibrated}
        return {
            "bundle": self.model.address,
            "folds": len(self.model.bundles),
            "features": self.features,
            **asdict(self.test),
            "compared": [other.address for other in self.others],
            "mean_ap": {key: round(metrics.mean_ap, 4) for key, metrics in figures.items()},
            "random_p95": round(self.random.mean_ap_p95, 4),
            "mixed_p95": {key: round(each.mean_ap_p95, 4) for key, each in self.mixed.items()},
            "beats_prior": self.beats_prior,
        }


def score_models(
    models: Sequence[EvaluatedModel], labels: pa.Table, score: ScoreLinks, on_step: OnStep
) -> tuple[list[ScoredModel], LinkCounts]:
    """Score each fold's test links by all models at once; links without features are left out.

    Args:
        models: that have the same test parts.
        labels: the run's labels table.
        score: reads and scores the links.
        on_step: called with (folds done, folds, label).

    Raises:
        ConfigError: no test link of a fold has features.
        LeakError: a test movie was trained on.
    """
    scored: list[list[ScoredFold]] = [[] for _ in models]
    n_links = n_scored = 0
    folds = list(zip(*(model.bundles for model in models), strict=True))
    # All bundles of a fold test the same links, but each has its own training movies to check.
    links_of = [[find_test_links(bundle, labels) for bundle in fold].pop() for fold in folds]
    for number, (fold, links) in enumerate(zip(folds, links_of, strict=True), start=1):
        raw = ScorerGroup(tuple(replace(bundle.scorer, calibration=None) for bundle in fold))
        link_ids, scores = score([link.link_id for link in links], raw.predict_proba)
        if not link_ids:
            raise ConfigError(
                f"None of the {len(links)} test links has features. "
                "Run jobs/featurize.py, or name other features with --features."
            )
        link_of = {link.link_id: link for link in links}
        tested = [link_of[link_id] for link_id in link_ids]
        parts = zip(scored, fold, np.split(scores, len(fold), axis=1), strict=True)
        for model_folds, bundle, values in parts:
            model_folds.append(merge_fold(bundle, tested, values))
        n_links, n_scored = n_links + len(links), n_scored + len(tested)
        on_step(number, len(folds), f"folds, {n_scored} links")
    counts = LinkCounts(
        movies=sum(len(fold.truth) for fold in scored[0]),
        links=n_scored,
        links_without_features=n_links - n_scored,
    )
    return [ScoredModel(m, tuple(f)) for m, f in zip(models, scored, strict=True)], counts


def merge_fold(bundle: Bundle, links: Sequence[LabelledLink], raw: ProbabilityArray) -> ScoredFold:
    """Calibrate the scores of a bundle's test links and average them by movie.

    Args:
        bundle: the model.
        links: the scored links.
        raw: shape (n_links, n_genres); before calibration.
    """
    movie_ids = [link.movie_id for link in links]
    marks = genre_matrix(links, bundle.manifest.genres)
    _, truth, merged = average_by_movie(movie_ids, marks, raw)
    _, _, calibrated = average_by_movie(movie_ids, marks, bundle.manifest.calibration.apply(raw))
    return ScoredFold(bundle, truth, merged, calibrated)


def evaluate(  # noqa: PLR0913 - what a record holds
    model: ScoredModel,
    *,
    control: ScoredModel | None,
    others: Sequence[ScoredModel],
    run: str,
    features: str,
    test: LinkCounts,
    notes: Sequence[str] = (),
) -> Evaluation:
    """Measure a model beside the baselines, its control and other models.

    Args:
        model: the model to evaluate.
        control: the same model trained on shuffled labels, if there is one.
        others: models tested on the same movies.
        run: address of the run.
        features: fingerprint of the features.
        test: what was tested.
        notes: more notes to show beside the metrics.
    """
    tested = {"model": model} | ({"control": control} if control is not None else {})
    tested |= {f"other-{k}": other for k, other in enumerate(others, start=1)}
    metrics = {key: _measure(scored) for key, scored in tested.items()} | _baselines(model)
    truths = [fold.truth for fold in model.folds]
    probabilities = [fold.probabilities for fold in model.folds]
    guesses = random_baseline(truths)
    mixed = {
        key: mixed_genres_baseline(truths, [fold.probabilities for fold in scored.folds])
        for key, scored in tested.items()
    }
    bar = max(metrics["prior"].mean_ap, guesses.mean_ap_p95)
    columns = {"model": "model", "prior": "label prior", "majority": "top 3 always"}
    columns |= {"control": "shuffled labels"} if control is not None else {}
    columns |= {f"other-{k}": other.model.name for k, other in enumerate(others, start=1)}
    return Evaluation(
        created_at=datetime.now(UTC),
        run=run,
        features=features,
        model=model.model,
        control=control.model if control else None,
        others=[other.model for other in others],
        test=test,
        notes=list(dict.fromkeys([*find_notes(model), *notes])),
        columns=columns | {"random": "random"},
        metrics=metrics,
        uncalibrated=_measure(model, calibrated=False),
        random=guesses,
        mixed=mixed,
        beats_prior={
            key: metrics[key].mean_ap > max(bar, each.mean_ap_p95) for key, each in mixed.items()
        },
        genre_sets=_measure_genre_sets(tested),
        comparisons=_compare(model, others),
        curves=make_curves(truths, probabilities, [fold.raw for fold in model.folds]),
    )


def _measure(tested: ScoredModel, *, calibrated: bool = True) -> FoldMetrics:
    return join_folds(
        [
            measure(
                fold.truth,
                fold.probabilities if calibrated else fold.raw,
                genres=fold.bundle.manifest.genres,
                thresholds=np.array(fold.bundle.manifest.thresholds),
            )
            for fold in tested.folds
        ]
    )


def _baselines(model: ScoredModel) -> dict[str, FoldMetrics]:
    truths = [fold.truth for fold in model.folds]
    genres = model.model.genres
    shares = [fold.bundle.manifest.training.genre_shares for fold in model.folds]
    known = list(zip(truths, shares, strict=True))
    random = [random_metrics(truth, genres, fold=k) for k, truth in enumerate(truths)]
    return {
        "prior": join_folds([prior_metrics(truth, genres, each) for truth, each in known]),
        "majority": join_folds([majority_metrics(truth, genres, each) for truth, each in known]),
        "random": join_folds(random),
    }


def _without_f1(value: object) -> object:
    """Drop what depends on thresholds: they were chosen for calibrated probabilities."""
    if isinstance(value, list):
        return [_without_f1(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_f1(each) for key, each in value.items() if key not in _OF_THRESHOLDS}


def _measure_genre_sets(tested: Mapping[str, ScoredModel]) -> list[GenreSetMetrics]:
    """Measure the models on each set whose genres are all modelled."""
    measured = []
    for name, subset in GENRE_SETS.items():
        models = {"prior": _measure_set(tested["model"], subset, use_prior=True)}
        models |= {key: _measure_set(model, subset) for key, model in tested.items()}
        known = {key: metrics for key, metrics in models.items() if metrics}
        if "prior" in known:
            measured.append(GenreSetMetrics(name, subset, known))
    return measured


def _measure_set(
    tested: ScoredModel, subset: Sequence[str], *, use_prior: bool = False
) -> FoldMetrics | None:
    folds = []
    for fold in tested.folds:
        manifest = fold.bundle.manifest
        shares = np.array(manifest.training.genre_shares)
        metrics = measure_subset(
            fold.truth,
            np.tile(shares, (len(fold.truth), 1)) if use_prior else fold.probabilities,
            genres=manifest.genres,
            thresholds=shares if use_prior else np.array(manifest.thresholds),
            subset=subset,
        )
        if metrics is None:
            return None
        folds.append(metrics)
    return join_folds(folds)


def _compare(
    model: ScoredModel, others: Sequence[ScoredModel]
) -> list[tuple[EvaluatedModel, Comparison]]:
    """Compare the model with each other one by every metric that these movies have."""
    truth = np.concatenate([fold.truth for fold in model.folds])
    ours = np.concatenate([fold.probabilities for fold in model.folds])
    numbers = np.repeat(np.arange(len(model.folds)), [len(fold.truth) for fold in model.folds])
    comparisons = []
    for other in others:
        theirs = np.concatenate([fold.probabilities for fold in other.folds])
        for name in get_args(MetricName):
            comparison = compare_models(
                truth, ours, theirs, measure=name, folds=numbers, seed=_SEED
            )
            if comparison is not None:
                comparisons.append((other.model, comparison))
    return comparisons


def find_notes(model: ScoredModel) -> list[str]:
    """The warnings that every reader of the metrics must see."""
    notes = [note for fold in model.folds for note in fold.bundle.warnings]
    reached = _measure(model).mean_ap
    n_movies = model.model.bundles[0].manifest.training.movies.get(Part.TRAIN, 0)
    if suggests_leak(reached, training_movies=n_movies):
        notes.append(
            f"mAP {format_figure(reached)}: above {format_figure(LEAK_MEAN_AP)} from frames of "
            "about 3,000 training movies, look for a leak first."
        )
    return list(dict.fromkeys(notes))


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the models side by side on stderr, with the verdicts and notes."""
    n_folds = len(evaluation.model.bundles)
    over = f", mean ± standard deviation over {n_folds} folds" if n_folds > 1 else ""
    table = Table(title=f"{evaluation.test.movies} test movies{over}")
    for heading in ("measure", *evaluation.columns.values()):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for metric, name, _ in MEASURES:
        cells = []
        for key in evaluation.columns:
            value = evaluation.metrics[key].values[metric]
            # A baseline varies with the folds' movies alone: its std is left to JSON and page.
            std = value.std if value and key in evaluation.beats_prior else None
            cells.append(format_spread(value.mean if value else None, std))
        table.add_row(name, *cells)
    console = Console(stderr=True)
    console.print(table)
    notes = [f"note: {note}" for note in evaluation.notes]
    for line in [*_verdicts(evaluation), *notes]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _verdicts(evaluation: Evaluation) -> list[str]:
    lines = []
    for key, beats in evaluation.beats_prior.items():
        bars = {
            "prior": evaluation.metrics["prior"].mean_ap,
            "95% of random": evaluation.random.mean_ap_p95,
            "95% of its genres mixed": evaluation.mixed[key].mean_ap_p95,
        }
        against = ", ".join(f"{bar} {format_figure(value)}" for bar, value in bars.items())
        verdict = "beats" if beats else "does not beat"
        mean_ap = format_figure(evaluation.metrics[key].mean_ap)
        lines.append(f"{evaluation.columns[key]}: mAP {mean_ap} {verdict} {against}")
    lines += [
        f"mAP against {other.name}: {format_figure(comparison.difference)} "
        f"[{format_figure(comparison.low)}, {format_figure(comparison.high)}], "
        f"better in {comparison.share_a_better:.1%} of {comparison.draws} draws of the movies"
        for other, comparison in evaluation.comparisons
        if comparison.measure == "mean_ap"
    ]
    return lines

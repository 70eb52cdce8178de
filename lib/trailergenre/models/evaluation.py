"""An evaluation: a model's test metrics beside baselines, its control and other models.

On few movies the average precision of any ranking lies above the share of true ones, and a model
that tells videos apart without knowing genres may rank one kind of video right by luck. So a model
*beats the prior* only if its mAP exceeds the prior's, the 95th percentile of random scores, and the
95th percentile of its own scores with the genres mixed at random. Fewer than `MIN_TEST_MOVIES`
give no verdict. Over folds, every metric is the mean of the folds'.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from rich.table import Table

from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import OnStep
from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.base.terminal import open_console
from trailergenre.links.labelled_links import LabelledLink, Part, genre_matrix
from trailergenre.metrics import baselines
from trailergenre.metrics.bootstrap import (
    MetricName,
    compare_models,
    mean_ap_interval,
)
from trailergenre.metrics.curves import make_curves
from trailergenre.metrics.errors import PredictionArray, count_confusions, find_worst
from trailergenre.metrics.folds import join_folds
from trailergenre.metrics.format import MEASURES, format_figure, format_spread
from trailergenre.metrics.genre_sets import GENRE_SETS, measure_subset
from trailergenre.metrics.multilabel import average_by_movie, measure
from trailergenre.models.bundle import Bundle
from trailergenre.models.evaluated_model import EvaluatedModel, find_test_links
from trailergenre.models.model_card import (
    LEAK_MEAN_AP,
    MIN_TEST_MOVIES,
    render_card,
    suggests_leak,
)
from trailergenre.models.scorer import ScorerGroup

_SEED = 7
"""Of the bootstrap: every evaluation draws the same movies."""

_OF_THRESHOLDS = {"macro_f1", "micro_f1", "f1", "threshold"}

ScoreLinks = Callable[[list[str], ScorerGroup], tuple[list[str], ProbabilityArray]]
"""Scores links; returns those that have features, and the scores of each."""


class ScoredFold(NamedTuple):
    """The test movies of one bundle and its scores of them."""

    bundle: Bundle
    link_ids: tuple[str, ...]  # of each movie, the first of its links
    truth: TruthArray
    raw: ProbabilityArray
    probabilities: ProbabilityArray  # raw, calibrated


class ScoredModel(NamedTuple):
    """A model and its scores on all test movies."""

    model: EvaluatedModel
    folds: tuple[ScoredFold, ...]


@dataclass(frozen=True)
class Evaluation:
    """The record of an evaluation; `asdict` gives reports/evaluation.json.

    Dictionaries of models are keyed by column: `model`, `control`, `other-1` ..., and the baselines
    `prior`, `majority` and `random`.
    """

    created_at: str
    run: str
    features: str  # fingerprint
    bundle: dict[str, Any]
    control: dict[str, Any] | None
    compared: list[dict[str, Any]]
    test: dict[str, int]  # movies, links and links_without_features, over all folds
    notes: list[str]
    columns: list[list[str]]  # key, heading
    models: dict[str, dict[str, Any]]  # and `uncalibrated`: the model's raw probabilities
    random: dict[str, Any]
    mixed: dict[str, dict[str, Any]]
    beats_prior: dict[str, bool | None]  # None: too few test movies to say
    interval: dict[str, Any]  # of the model's mAP: `bootstrap.Interval`
    worst: list[dict[str, Any]]  # movies with the largest errors
    confusion: dict[str, Any]  # `errors.Confusion`
    genre_sets: list[dict[str, Any]]
    comparisons: list[dict[str, Any]]
    calibration: dict[str, int]  # folds by method
    thresholds_from: dict[str, int]  # folds by `Manifest.thresholds_from`
    curves: dict[str, Any]
    card: str

    def summary(self) -> dict[str, object]:
        """What the run keeps of the job."""
        return {
            "bundle": self.bundle["address"],
            "folds": self.bundle["folds"],
            "features": self.features,
            **self.test,
            "compared": [other["address"] for other in self.compared],
            "mean_ap": {key: round(each["mean_ap"], 4) for key, each in self.models.items()},
            "random_p95": round(self.random["mean_ap_p95"], 4),
            "mixed_p95": {key: round(each["mean_ap_p95"], 4) for key, each in self.mixed.items()},
            "beats_prior": self.beats_prior,
        }


def score_models(
    models: Sequence[EvaluatedModel], labels: pa.Table, score: ScoreLinks, on_step: OnStep
) -> tuple[list[ScoredModel], dict[str, int]]:
    """Score each fold's test links by all models at once; links without features are left out.

    The models have the same test parts. Returns them with `Evaluation.test`.

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
        link_ids, scores = score([link.link_id for link in links], raw)
        if not link_ids:
            raise ConfigError(
                f"None of the {len(links)} test links has features. "
                "Run `trailergenre featurize`, or name other features with --features."
            )
        link_of = {link.link_id: link for link in links}
        tested = [link_of[link_id] for link_id in link_ids]
        parts = zip(scored, fold, np.split(scores, len(fold), axis=1), strict=True)
        for model_folds, bundle, values in parts:
            model_folds.append(merge_fold(bundle, tested, values))
        n_links, n_scored = n_links + len(links), n_scored + len(tested)
        on_step(number, len(folds), f"folds, {n_scored} links")
    counts = {
        "movies": sum(len(fold.truth) for fold in scored[0]),
        "links": n_scored,
        "links_without_features": n_links - n_scored,
    }
    return [ScoredModel(m, tuple(f)) for m, f in zip(models, scored, strict=True)], counts


def merge_fold(bundle: Bundle, links: Sequence[LabelledLink], raw: ProbabilityArray) -> ScoredFold:
    """Calibrate the raw scores of a bundle's test links and average them by movie."""
    movie_ids = [link.movie_id for link in links]
    marks = genre_matrix(links, bundle.manifest.genres)
    movies, truth, merged = average_by_movie(movie_ids, marks, raw)
    _, _, calibrated = average_by_movie(movie_ids, marks, bundle.manifest.calibration.apply(raw))
    first = {link.movie_id: link.link_id for link in reversed(links)}
    link_ids = tuple(first[movie] for movie in movies)
    return ScoredFold(bundle, link_ids, truth, merged, calibrated)


def evaluate(  # noqa: PLR0913 - what a record holds
    model: ScoredModel,
    *,
    control: ScoredModel | None,
    others: Sequence[ScoredModel],
    links: pa.Table,
    run: str,
    features: str,
    test: dict[str, int],
    notes: Sequence[str] = (),
) -> Evaluation:
    """Measure a model beside the baselines, its control and others tested on the same movies.

    `links` is the run's table, for the addresses and titles of what is shown.
    """
    tested = {"model": model} | ({"control": control} if control else {})
    tested |= {f"other-{k}": other for k, other in enumerate(others, start=1)}
    metrics = {key: _measure(scored) for key, scored in tested.items()} | _baselines(model)
    truths = [fold.truth for fold in model.folds]
    probabilities = [fold.probabilities for fold in model.folds]
    guesses = baselines.random_baseline(truths)
    mixed = {
        key: baselines.mixed_genres_baseline(truths, [fold.probabilities for fold in scored.folds])
        for key, scored in tested.items()
    }
    bar = max(metrics["prior"]["mean_ap"], guesses.mean_ap_p95)
    has_verdict = sum(map(len, truths)) >= MIN_TEST_MOVIES
    truth, scores, numbers = _join(model)
    columns = {"model": "model", "prior": "label prior", "majority": "top 3 always"}
    columns |= {"control": "shuffled labels"} if control else {}
    columns |= {f"other-{k}": other.model.name for k, other in enumerate(others, start=1)}
    columns["random"] = "random"
    return Evaluation(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        run=run,
        features=features,
        bundle=model.model.to_json(),
        control=control.model.to_json() if control else None,
        compared=[other.model.to_json() for other in others],
        test=test,
        notes=list(dict.fromkeys([*find_notes(model), *notes])),
        columns=[[key, heading] for key, heading in columns.items()],
        models=metrics | {"uncalibrated": _without_f1(_measure(model, calibrated=False))},
        random=asdict(guesses),
        mixed={key: asdict(baseline) for key, baseline in mixed.items()},
        beats_prior={
            key: metrics[key]["mean_ap"] > max(bar, each.mean_ap_p95) if has_verdict else None
            for key, each in mixed.items()
        },
        interval=asdict(mean_ap_interval(truth, scores, folds=numbers, seed=_SEED)),
        worst=_find_worst(model, links),
        confusion=asdict(count_confusions(truth, _predict(model), model.model.genres)),
        genre_sets=_measure_genre_sets(tested),
        comparisons=_compare(model, others),
        calibration=dict(Counter(b.manifest.calibration.method for b in model.model.bundles)),
        thresholds_from=dict(Counter(b.manifest.thresholds_from for b in model.model.bundles)),
        curves=asdict(make_curves(truths, probabilities, [fold.raw for fold in model.folds])),
        card=render_card(model.model.bundles[0].manifest),
    )


def _measure(tested: ScoredModel, *, calibrated: bool = True) -> dict[str, Any]:
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


def _baselines(model: ScoredModel) -> dict[str, dict[str, Any]]:
    genres = model.model.genres
    known = [
        (fold.truth, genres, fold.bundle.manifest.training.genre_shares) for fold in model.folds
    ]
    return {
        "prior": join_folds([baselines.prior_metrics(*fold) for fold in known]),
        "majority": join_folds([baselines.majority_metrics(*fold) for fold in known]),
        "random": join_folds(
            [
                baselines.random_metrics(fold.truth, genres, fold=number)
                for number, fold in enumerate(model.folds)
            ]
        ),
    }


def _without_f1(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop what depends on thresholds: they were chosen for calibrated probabilities."""
    if isinstance(value, list):
        return [_without_f1(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_f1(each) for key, each in value.items() if key not in _OF_THRESHOLDS}


def _measure_genre_sets(tested: Mapping[str, ScoredModel]) -> list[dict[str, Any]]:
    """Measure the models on each set whose genres are all modelled."""
    measured = []
    for name, subset in GENRE_SETS.items():
        prior = _measure_set(tested["model"], subset, use_prior=True)
        if prior is not None:
            facts = {"name": name, "genres": list(subset), "movies": prior["movies"]}
            models = {key: _measure_set(model, subset) for key, model in tested.items()}
            measured.append({**facts, "models": {"prior": prior, **models}})
    return measured


def _measure_set(
    tested: ScoredModel, subset: Sequence[str], *, use_prior: bool = False
) -> dict[str, Any] | None:
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


def _compare(model: ScoredModel, others: Sequence[ScoredModel]) -> list[dict[str, Any]]:
    """Compare the model with each other one by every metric that these movies have."""
    truth, ours, numbers = _join(model)
    comparisons = []
    for other in others:
        _, theirs, _ = _join(other)
        for name in get_args(MetricName):
            comparison = compare_models(
                truth, ours, theirs, measure=name, folds=numbers, seed=_SEED
            )
            if comparison is not None:
                comparisons.append({"other": other.model.name, **asdict(comparison)})
    return comparisons


def _join(model: ScoredModel) -> tuple[TruthArray, ProbabilityArray, NDArray[np.int64]]:
    """The movies of all folds: truth, probabilities, and the number of each one's fold."""
    truth = np.concatenate([fold.truth for fold in model.folds])
    probabilities = np.concatenate([fold.probabilities for fold in model.folds])
    numbers = np.repeat(np.arange(len(model.folds)), [len(fold.truth) for fold in model.folds])
    return truth, probabilities, numbers


def _find_worst(model: ScoredModel, links: pa.Table) -> list[dict[str, Any]]:
    """The movies with the largest errors, with the address and title of their first link."""
    truth, probabilities, _ = _join(model)
    worst = find_worst(truth, probabilities, _predict(model), model.model.genres)
    link_ids = [link_id for fold in model.folds for link_id in fold.link_ids]
    chosen = pa.array([link_ids[movie.row] for movie in worst], pa.string())
    listed = links.filter(pc.is_in(links["link_id"], chosen)).select(["link_id", "url", "title"])
    shown = {row["link_id"]: row for row in reversed(listed.to_pylist())}
    return [{**asdict(movie), **shown[link_ids[movie.row]]} for movie in worst]


def _predict(model: ScoredModel) -> PredictionArray:
    """Whether each probability of `_join` reaches the threshold of its fold and genre."""
    thresholds = [np.array(fold.bundle.manifest.thresholds) for fold in model.folds]
    pairs = zip(model.folds, thresholds, strict=True)
    return np.concatenate([fold.probabilities >= bounds for fold, bounds in pairs])


def find_notes(model: ScoredModel) -> list[str]:
    """The warnings that every reader of the metrics must see."""
    notes = [note for fold in model.folds for note in fold.bundle.warnings]
    reached = _measure(model)["mean_ap"]
    n_movies = model.model.bundles[0].manifest.training.movies.get(Part.TRAIN, 0)
    if suggests_leak(reached, training_movies=n_movies):
        notes.append(
            f"mAP {format_figure(reached)}: above {format_figure(LEAK_MEAN_AP)} from frames of "
            "about 3,000 training movies, look for a leak first."
        )
    return list(dict.fromkeys(notes))


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the models side by side on stderr, with the verdicts and notes."""
    n_folds = evaluation.bundle["folds"]
    over = f", mean ± standard deviation over {n_folds} folds" if n_folds > 1 else ""
    table = Table(title=f"{evaluation.test['movies']} test movies{over}")
    table.add_column("measure")
    for _, heading in evaluation.columns:
        table.add_column(heading, justify="right")
    for metric, name, _ in MEASURES:
        cells = []
        for key, _ in evaluation.columns:
            values = evaluation.models[key]
            # A baseline varies with the folds' movies alone: its std is left to JSON and page.
            std = values["std"][metric] if key in evaluation.beats_prior else None
            cells.append(format_spread(values[metric], std))
        table.add_row(name, *cells)
    console = open_console()
    console.print(table, soft_wrap=False)
    for line in [*_verdicts(evaluation), *(f"note: {note}" for note in evaluation.notes)]:
        console.print(line)


def _verdicts(evaluation: Evaluation) -> list[str]:
    lines = []
    headings = dict(evaluation.columns)
    for key, beats in evaluation.beats_prior.items():
        bars = {
            "prior": evaluation.models["prior"]["mean_ap"],
            "95% of random": evaluation.random["mean_ap_p95"],
            "95% of its genres mixed": evaluation.mixed[key]["mean_ap_p95"],
        }
        against = ", ".join(f"{bar} {format_figure(value)}" for bar, value in bars.items())
        verdict = {True: "beats", False: "does not beat", None: "beside"}[beats]
        mean_ap = format_figure(evaluation.models[key]["mean_ap"])
        if key == "model":
            low, high = (format_figure(evaluation.interval[end]) for end in ("low", "high"))
            mean_ap += f" (95 % interval {low} to {high})"
        lines.append(f"{headings[key]}: mAP {mean_ap} {verdict} {against}")
    lines += [
        f"mAP against {each['other']}: {format_figure(each['difference'])} "
        f"[{format_figure(each['low'])}, {format_figure(each['high'])}], "
        f"better in {each['share_a_better']:.1%} of {each['draws']} draws of the movies"
        for each in evaluation.comparisons
        if each["measure"] == "mean_ap"
    ]
    if None in evaluation.beats_prior.values():
        lines.append(
            f"{evaluation.test['movies']} are too few test movies to say which is better; at least "
            f"{MIN_TEST_MOVIES} are needed."
        )
    return lines

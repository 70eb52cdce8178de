"""Models' probabilities for their test movies to figures beside what chance alone gives.

Average precision on few movies lies above the share of true ones for any ranking, and a model that
tells the videos apart but knows no genre may rank a whole kind of video right by luck. So a model
*beats the prior* only if its mAP is above the prior's, above the 95th percentile of random scores,
and above the 95th percentile of its own scores with the genres mixed at random.

Models tested on several folds have the mean over folds as their figure, and their spread beside it.
Knows nothing of Spark; the scores come from the caller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import get_args

import numpy as np

from trailergenre.base.records import ProbabilityArray, TruthArray
from trailergenre.links.labelled_links import LabelledLink, Part, genre_matrix
from trailergenre.metrics.baselines import by_movie, majority_figures, prior_figures
from trailergenre.metrics.bootstrap import Measure, compare_models
from trailergenre.metrics.curves import draw_curves
from trailergenre.metrics.folds import FoldFigures, join_folds, measure_subset
from trailergenre.metrics.format import format_figure
from trailergenre.metrics.genre_sets import GENRE_SETS
from trailergenre.metrics.multilabel import measure
from trailergenre.metrics.random_baseline import Chance, mixed_chance, random_chance, random_figures
from trailergenre.models.bundle import Bundle
from trailergenre.models.model_card import LEAK_MEAN_AP, suggests_leak
from trailergenre.models.model_under_test import Candidate

_SEED = 7
"""Of the bootstrap: the same movies are drawn whoever evaluates."""

_OF_THRESHOLDS = {"macro_f1", "micro_f1", "f1", "threshold"}

Record = dict[str, object]
"""What JSON can hold."""


@dataclass(frozen=True)
class ScoredFold:
    """The test movies of one bundle, scored by it.

    Attributes:
        bundle: the model.
        truth: shape (n_movies, n_genres).
        raw: the same shape; probabilities as the model gives them.
        probabilities: the same, calibrated.
    """

    bundle: Bundle
    truth: TruthArray
    raw: ProbabilityArray
    probabilities: ProbabilityArray


@dataclass(frozen=True)
class Scored:
    """One model on all of its test movies.

    Attributes:
        candidate: the model.
        folds: one, or one a fold.
    """

    candidate: Candidate
    folds: tuple[ScoredFold, ...]


def merge_fold(bundle: Bundle, links: Sequence[LabelledLink], raw: ProbabilityArray) -> ScoredFold:
    """Calibrate the scores of a bundle's test links and merge the links of a movie.

    Args:
        bundle: the model.
        links: those scored.
        raw: shape (n_links, n_genres); before calibration.
    """
    movie_ids = [link.movie_id for link in links]
    marks = genre_matrix(links, bundle.manifest.genres)
    _, truth, merged = by_movie(movie_ids, marks, raw)
    _, _, bent = by_movie(movie_ids, marks, bundle.manifest.calibration.apply(raw))
    return ScoredFold(bundle, truth, merged, bent)


def evaluate(model: Scored, *, control: Scored | None, others: Sequence[Scored]) -> Record:
    """Put a model beside the baselines, its control and other models.

    Args:
        model: what is evaluated.
        control: the same, trained on shuffled labels; where there is one.
        others: models tested on the same movies.

    Returns:
        What JSON and the report show: `columns` (key and heading of each model), `models` (figures
        by key), `random` and `mixed` (what mAP many draws of guesses reach), `beats_prior`,
        `genre_sets`, `comparisons`, `calibration`, `curves` (of the model).
    """
    tested = {"model": model} | ({"control": control} if control is not None else {})
    tested |= {f"other-{place}": other for place, other in enumerate(others, start=1)}
    figures = {key: _figures(found) for key, found in tested.items()}
    figures |= _baselines(model)
    truths = [fold.truth for fold in model.folds]
    guesses = random_chance(truths)
    mixed = {
        key: mixed_chance(truths, [fold.probabilities for fold in found.folds])
        for key, found in tested.items()
    }
    bar = max(_mean_ap(figures["prior"]), guesses.mean_ap_p95)
    headings = {"model": "model", "prior": "label prior", "majority": "top 3 always"}
    headings |= {"control": "shuffled labels"} if control is not None else {}
    headings |= {f"other-{k}": other.candidate.name for k, other in enumerate(others, start=1)}
    headings |= {"random": "random"}
    records = {key: found.to_json() for key, found in figures.items()}
    raw = _figures(model, calibrated=False).to_json()
    return {
        "columns": [[key, heading] for key, heading in headings.items()],
        "models": records | {"uncalibrated": _without_f1(raw)},
        "random": asdict(guesses),
        "mixed": {key: asdict(found) for key, found in mixed.items()},
        "beats_prior": {key: _beats(figures[key], bar, found) for key, found in mixed.items()},
        "genre_sets": _genre_sets(tested),
        "comparisons": _compare(model, others),
        "calibration": dict(
            Counter(fold.bundle.manifest.calibration.method for fold in model.folds)
        ),
        "curves": asdict(
            draw_curves(
                truths,
                [fold.probabilities for fold in model.folds],
                [fold.raw for fold in model.folds],
            )
        ),
    }


def _beats(figures: FoldFigures, bar: float, mixed: Chance) -> bool:
    return _mean_ap(figures) > max(bar, mixed.mean_ap_p95)


def _mean_ap(figures: FoldFigures) -> float:
    found = figures.figures["mean_ap"]
    return found.mean if found else 0.0


def _figures(tested: Scored, *, calibrated: bool = True) -> FoldFigures:
    """Measure each fold; thresholds are of calibrated probabilities, so raw ones have no F1."""
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


def _baselines(model: Scored) -> dict[str, FoldFigures]:
    known = [
        (fold.truth, fold.bundle.manifest.genres, fold.bundle.manifest.training.genre_shares)
        for fold in model.folds
    ]
    return {
        "prior": join_folds([prior_figures(*fold) for fold in known]),
        "majority": join_folds([majority_figures(*fold) for fold in known]),
        "random": join_folds(
            [
                random_figures(truth, genres, fold=number)
                for number, (truth, genres, _) in enumerate(known)
            ]
        ),
    }


def _without_f1(value: object) -> object:
    """Leave out what thresholds decide: raw probabilities have none of their own."""
    if isinstance(value, list):
        return [_without_f1(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {key: _without_f1(each) for key, each in value.items() if key not in _OF_THRESHOLDS}


def _genre_sets(tested: Mapping[str, Scored]) -> list[Record]:
    """Measure the sets of genres that papers have, where all of a set are modelled."""
    records: list[Record] = []
    for name, subset in GENRE_SETS.items():
        prior = _subset_figures(tested["model"], subset, use_prior=True)
        if prior is None:
            continue
        found = {key: _subset_figures(model, subset) for key, model in tested.items()}
        models = {"prior": prior} | {k: figures for k, figures in found.items() if figures}
        flat = {key: figures.to_json() for key, figures in models.items()}
        records.append(
            {"name": name, "genres": list(subset), "movies": prior.movies, "models": flat}
        )
    return records


def _subset_figures(
    tested: Scored, subset: Sequence[str], *, use_prior: bool = False
) -> FoldFigures | None:
    folds = []
    for fold in tested.folds:
        manifest = fold.bundle.manifest
        shares = np.array(manifest.training.genre_shares)
        found = measure_subset(
            fold.truth,
            np.tile(shares, (len(fold.truth), 1)) if use_prior else fold.probabilities,
            genres=manifest.genres,
            thresholds=shares if use_prior else np.array(manifest.thresholds),
            subset=subset,
        )
        if found is None:
            return None
        folds.append(found)
    return join_folds(folds)


def _compare(model: Scored, others: Sequence[Scored]) -> list[Record]:
    """Compare the model with each other one by every measure that these movies have."""
    truth = np.concatenate([fold.truth for fold in model.folds])
    ours = np.concatenate([fold.probabilities for fold in model.folds])
    numbers = np.repeat(np.arange(len(model.folds)), [len(fold.truth) for fold in model.folds])
    records: list[Record] = []
    for other in others:
        theirs = np.concatenate([fold.probabilities for fold in other.folds])
        for name in get_args(Measure):
            found = compare_models(truth, ours, theirs, measure=name, folds=numbers, seed=_SEED)
            if found is not None:
                records.append({"other": other.candidate.name, **asdict(found)})
    return records


def find_notes(model: Scored) -> list[str]:
    """What must be said beside the figures, once each."""
    notes = [note for fold in model.folds for note in fold.bundle.warnings]
    reached = _mean_ap(_figures(model))
    n_movies = model.candidate.bundles[0].manifest.training.movies.get(Part.TRAIN, 0)
    if suggests_leak(reached, training_movies=n_movies):
        notes.append(
            f"mAP {format_figure(reached)}: above {format_figure(LEAK_MEAN_AP)} from frames of "
            "about 3,000 training movies, look for a leak first."
        )
    return list(dict.fromkeys(notes))

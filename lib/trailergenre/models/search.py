"""Random search of hyper-parameters, scored by folds of the training part alone.

`trailergenre.spark.training.search` runs the trials in parallel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.config import DatasetConfig, ForestConfig, LogisticConfig, TemporalConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import TruthArray
from trailergenre.links.labelled_links import Part, group_links
from trailergenre.metrics.multilabel import average_by_movie, mean_ap
from trailergenre.models.manifest import SearchFacts, Trial
from trailergenre.models.splits import fold_links
from trailergenre.models.trainers import fit_estimator
from trailergenre.models.training_set import TrainingSet

N_FOLDS = 3
"""Inner folds of the training part; every trial fits as many models."""

Parameters = ForestConfig | LogisticConfig


class Range(NamedTuple):
    """Where a value is drawn from, uniformly over its logarithm."""

    least: float
    most: float
    is_whole: bool

    def draw(self, rng: np.random.Generator) -> float:
        """Draw one value."""
        value = float(np.exp(rng.uniform(np.log(self.least), np.log(self.most))))
        return round(value) if self.is_whole else float(f"{value:.4g}")


RANGES: dict[type[Parameters], dict[str, Range]] = {
    ForestConfig: {
        "trees": Range(50, 400, is_whole=True),
        "max_depth": Range(4, 24, is_whole=True),
        "min_rows_per_leaf": Range(1, 20, is_whole=True),
    },
    LogisticConfig: {"c": Range(1e-4, 1.0, is_whole=False)},
}
"""What is searched for each kind of model."""


@dataclass(frozen=True)
class SearchRows:
    """The training part, as every trial sees it."""

    X: NDArray[np.float32]  # (n, n_features)
    truth: TruthArray  # (n, n_genres); of each row's link
    movie_ids: tuple[str, ...]  # one per row
    folds: NDArray[np.int64]  # (n,); no movie is in two folds


class SearchResult(NamedTuple):
    """The best trial's parameters, and all trials for the manifest."""

    parameters: Parameters
    facts: SearchFacts


def gather_rows(
    training: TrainingSet, places: NDArray[np.int64], X: NDArray[np.float32], *, seed: int
) -> SearchRows:
    """Combine training rows with their truth and their inner folds.

    `places` holds each row's position in `training.link_ids_of(Part.TRAIN)`.

    Raises:
        ConfigError: the training part has fewer movies than inner folds.
    """
    links = [training.links[row] for row in training.rows_of(Part.TRAIN)]
    n_groups = len(np.unique(group_links(links)))
    if n_groups < N_FOLDS:
        raise ConfigError(
            f"--search needs a training movie for each of {N_FOLDS} inner folds. Received: "
            f"{n_groups} movies that share no video. Omit --search, or featurize more links."
        )
    folds = fold_links(links, training.genres, DatasetConfig(folds=N_FOLDS, seed=seed))
    return SearchRows(
        X=X,
        truth=training.truth_of(Part.TRAIN)[places],
        movie_ids=tuple(links[place].movie_id for place in places),
        folds=folds[places],
    )


def draw_trials(start: Parameters | TemporalConfig, *, trials: int, seed: int) -> list[Parameters]:
    """Draw the parameters to try: the configuration's own (`start`), then `trials` - 1 random ones.

    Since `start` is the first trial, a search cannot end below it.

    Raises:
        ConfigError: this kind of model cannot be searched.
    """
    if isinstance(start, TemporalConfig):
        raise ConfigError("--search is for --model forest and logistic; set [temporal] by hand.")
    ranges = RANGES[type(start)]
    rng = np.random.default_rng(seed)
    drawn = [
        start.model_copy(update={name: values.draw(rng) for name, values in ranges.items()})
        for _ in range(trials - 1)
    ]
    return [start, *drawn]


def score_trial(rows: SearchRows, parameters: Parameters) -> list[float]:
    """For each fold, fit to the others and measure mAP on it."""
    scores = []
    for fold in np.unique(rows.folds):
        inside, held_out = rows.folds != fold, rows.folds == fold
        X, y = rows.X[inside], rows.truth[inside]
        model = fit_estimator(X, y, parameters)
        movie_ids = [rows.movie_ids[row] for row in np.flatnonzero(held_out)]
        probabilities = model.predict_proba(rows.X[held_out])
        _, truth, merged = average_by_movie(movie_ids, rows.truth[held_out], probabilities)
        scores.append(mean_ap(truth, merged))
    return scores


def describe_trial(parameters: Parameters, scores: Sequence[float]) -> Trial:
    """The searched parameters of a trial, and the mAP it reached."""
    return Trial(
        parameters={name: getattr(parameters, name) for name in RANGES[type(parameters)]},
        mean_ap=float(np.mean(scores)),
        spread=float(np.std(scores, ddof=1)),
    )


def choose_trial(
    tried: Sequence[Parameters], scores: Sequence[Sequence[float]], *, seed: int
) -> SearchResult:
    """Choose the trial with the best mean of its folds' scores; of equal ones, the first."""
    order = sorted(range(len(tried)), key=lambda place: -float(np.mean(scores[place])))
    trials = tuple(describe_trial(tried[place], scores[place]) for place in order)
    facts = SearchFacts(seed=seed, folds=len(scores[0]), trials=trials)
    return SearchResult(tried[order[0]], facts)

"""How many trailers a model needs: logistic regression on growing parts of MMTF-14K's trailers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from quality.commands import prepare_mmtf
from quality.trailers import MIN_MOVIES
from trailergenre.base.config import DatasetConfig, LogisticConfig, RowsConfig
from trailergenre.base.records import TruthArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.models.estimators.logistic import fit_logistic
from trailergenre.models.pooling import iter_links, link_rows
from trailergenre.models.training_set import prepare_training
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint

SIZES = (50, 100, 200, 400, 800)
"""Training trailers; the whole training part of each fold comes last."""
MOVIES_OF_A_GENRE = (5, 10, 20, 50, 100)
DRAWS = 3
"""Random parts of each size and fold."""
_Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Fold:
    """Training and test rows of one fold, in the order of the link ids."""

    genres: tuple[str, ...]
    rows: _Rows
    truth: TruthArray
    test_rows: _Rows
    test_truth: TruthArray


def measure_curve(work: Path) -> dict[str, Any]:
    """Test figures by the number of training trailers, and by the movies of one genre."""
    run = work / "mmtf-curve"
    prepare_mmtf(work, run)
    folds = list(_read_folds(Store(str(run))))
    return {
        "data": "MMTF-14K trailer_visual_avg.csv, MovieLens genres",
        "genres": list(folds[0].genres),
        "by_trailers": _by_trailers(folds),
        "by_movies_of_a_genre": _by_movies_of_a_genre(folds),
    }


def _read_folds(store: Store) -> Iterator[Fold]:
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    labels = tables.read_table(store, "labels")
    pooling = RowsConfig(statistics=("mean",))
    row_of = {
        link.link_id: link_rows(link, "pooled", pooling)[0]
        for links in iter_links(store, outcomes)
        for link in links
    }
    for number in range(DatasetConfig().folds):
        dataset = DatasetConfig(fold=number, min_movies_per_genre=MIN_MOVIES)
        training = prepare_training(labels, outcomes, dataset, shuffle_labels=False)
        train, test = (
            np.stack([row_of[link_id] for link_id in training.link_ids_of(part)])
            for part in (Part.TRAIN, Part.TEST)
        )
        truths = training.truth_of(Part.TRAIN), training.truth_of(Part.TEST)
        yield Fold(training.genres, train, truths[0], test, truths[1])


def _by_trailers(folds: list[Fold]) -> list[dict[str, Any]]:
    """Measure the mAP of all genres. A genre that a part lacks is predicted with a constant."""
    random = np.random.default_rng(7)
    found = []
    for size in (*SIZES, None):
        scores = []
        for fold in folds:
            for _ in range(DRAWS if size else 1):
                chosen = np.sort(random.permutation(len(fold.rows))[:size])
                model = fit_logistic(fold.rows[chosen], fold.truth[chosen], LogisticConfig())
                probabilities = model.predict_proba(fold.test_rows)
                scores.append(average_precision_score(fold.test_truth, probabilities))
        trailers = size or round(float(np.mean([len(fold.rows) for fold in folds])))
        found.append({"trailers": trailers} | _spread("mean_ap", scores))
    prior = [float(fold.test_truth.mean(axis=0).mean()) for fold in folds]
    return [{"trailers": 0} | _spread("mean_ap", prior), *found]


def _by_movies_of_a_genre(folds: list[Fold]) -> list[dict[str, Any]]:
    """Measure the AUC of frequent genres, from parts with so many of a genre's movies.

    The other movies of a part are as many as keep the genre's share.
    """
    random = np.random.default_rng(7)
    most = MOVIES_OF_A_GENRE[-1]
    known = [g for g in folds[0].genres if all(_movies(fold, g) >= most for fold in folds)]
    found = []
    for movies in MOVIES_OF_A_GENRE:
        scores = []
        for fold in folds:
            for genre in known:
                column = fold.genres.index(genre)
                truth = fold.truth[:, [column]]
                for _ in range(DRAWS):
                    chosen = _draw(random, truth[:, 0], movies)
                    model = fit_logistic(fold.rows[chosen], truth[chosen], LogisticConfig())
                    probabilities = model.predict_proba(fold.test_rows)[:, 0]
                    scores.append(roc_auc_score(fold.test_truth[:, column], probabilities))
        found.append({"movies": movies, "genres": known} | _spread("auc", scores))
    return found


def _movies(fold: Fold, genre: str) -> int:
    return int(fold.truth[:, fold.genres.index(genre)].sum())


def _draw(random: np.random.Generator, truth: NDArray[np.int8], movies: int) -> NDArray[np.int64]:
    others = round(movies * (len(truth) - truth.sum()) / truth.sum())
    return np.sort(
        np.concatenate(
            [
                random.permutation(np.flatnonzero(truth))[:movies],
                random.permutation(np.flatnonzero(truth == 0))[:others],
            ]
        )
    )


def _spread(name: str, values: list[float]) -> dict[str, float]:
    return {name: float(np.mean(values)), "spread": float(np.std(values, ddof=1))}

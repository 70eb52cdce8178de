"""What no model may do: know anything of held-out movies after training on shuffled labels."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from runs import GENRES, labelled, labels_table
from trailergenre.base.config import DatasetConfig, ForestConfig, LogisticConfig, RowsConfig
from trailergenre.base.records import LinkFrames, RowKind
from trailergenre.links.labelled_links import Part
from trailergenre.metrics.multilabel import mean_ap
from trailergenre.models.estimators.forest import fit_forest
from trailergenre.models.estimators.logistic import fit_logistic
from trailergenre.models.pooling import training_rows
from trailergenre.models.scorer import Scorer
from trailergenre.models.training_set import TrainingSet, prepare_training

CONFIGS = {
    "forest": ForestConfig(trees=20, max_depth=6, min_rows_per_leaf=2, parallelism=1),
    "logistic": LogisticConfig(),
}
ROWS = RowsConfig(frames_per_link=4)
N_MOVIES, N_FRAMES, WIDTH = 240, 6, 12


def training_set(*, shuffle: bool, seed: int = 7) -> TrainingSet:
    """Movies of one of four genres, three parts, the labels as the trainers get them."""
    links = [labelled(f"m{i:03}", [GENRES[i % 4]]) for i in range(N_MOVIES)]
    link_ids = [link.link_id for link in links]
    outcomes = pa.table(
        {"link_id": link_ids, "outcome": ["ok"] * N_MOVIES, "commit": ["c"] * N_MOVIES}
    )
    config = DatasetConfig(min_movies_per_genre=2, folds=2, seed=seed)
    return prepare_training(labels_table(links), outcomes, config, shuffle_labels=shuffle)


def make_frames(training: TrainingSet) -> list[LinkFrames]:
    """Frames in which each genre shifts a column of its own, beside what each movie has itself."""
    rng = np.random.default_rng(3)
    places = [GENRES.index(next(iter(link.genres))) for link in training.links]
    frames = rng.normal(size=(N_MOVIES, N_FRAMES, WIDTH))
    frames += rng.normal(size=(N_MOVIES, 1, WIDTH))
    frames[np.arange(N_MOVIES), :, places] += 2.5
    times = np.arange(N_FRAMES, dtype=np.float64)
    return [
        LinkFrames(link.link_id, found.astype(np.float32), times)
        for link, found in zip(training.links, frames, strict=True)
    ]


def reached(training: TrainingSet, model: str, kind: RowKind) -> tuple[float, float]:
    """Measure mAP on the test movies: the model's and the label prior's."""
    frames = make_frames(training)
    rows = [training_rows(frames[k], kind, ROWS) for k in training.rows_of(Part.TRAIN)]
    X = np.concatenate(rows)
    y: NDArray[np.int8] = np.repeat(
        training.truth_of(Part.TRAIN), [len(found) for found in rows], axis=0
    )
    config = CONFIGS[model]
    fitted = (
        fit_forest(X, y, config) if isinstance(config, ForestConfig) else fit_logistic(X, y, config)
    )
    test, truth = training.rows_of(Part.TEST), training.truth_of(Part.TEST)
    scores = Scorer(fitted, kind, ROWS).predict_proba([frames[k] for k in test])
    prior = np.tile(training.truth_of(Part.TRAIN).mean(axis=0), (len(truth), 1))
    return mean_ap(truth, scores), mean_ap(truth, prior)


@pytest.mark.parametrize("kind", ["pooled", "frames"])
@pytest.mark.parametrize("model", list(CONFIGS))
def test_trained_on_shuffled_labels_a_model_falls_to_the_prior(model: str, kind: RowKind) -> None:
    knows, prior = reached(training_set(shuffle=False), model, kind)
    shuffled = [reached(training_set(shuffle=True, seed=s), model, kind)[0] for s in (1, 2, 3)]
    assert knows > prior + 0.3
    assert np.mean(shuffled) < prior + 0.08
    assert max(shuffled) < knows - 0.2

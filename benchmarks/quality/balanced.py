"""What class weights cost: the pooled regression with balanced weights, by scikit-learn alone.

The product has no such option; this is the measurement that says why.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.metrics.multilabel import measure
from trailergenre.models.bundle import Bundle
from trailergenre.models.estimators.logistic import Logistic
from trailergenre.models.pooling import iter_links, link_rows
from trailergenre.models.training_set import prepare_training
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint


def measure_balanced(run: Path, fold: Bundle) -> dict[str, float]:
    """Fit on the training part of a fold's bundle, on its scaled columns; measure its test part."""
    model = fold.scorer.model
    assert isinstance(model, Logistic)
    store = Store(str(run))
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    labels = tables.read_table(store, "labels")
    dataset = fold.manifest.training.dataset
    training = prepare_training(labels, outcomes, dataset, shuffle_labels=False)
    row_of = {
        link.link_id: link_rows(link, "pooled", fold.manifest.rows_config)[0]
        for links in iter_links(store, outcomes)
        for link in links
    }
    scaled = {
        part: model.scaling.scale(np.stack([row_of[i] for i in training.link_ids_of(part)]))
        for part in (Part.TRAIN, Part.TEST)
    }
    columns = []
    for truth in training.truth_of(Part.TRAIN).T:
        each = LogisticRegression(C=fold.manifest.parameters.c, class_weight="balanced")
        each.set_params(max_iter=500).fit(scaled[Part.TRAIN], truth)
        columns.append(each.predict_proba(scaled[Part.TEST])[:, 1])
    probabilities = np.stack(columns, axis=1)
    half = np.full(len(training.genres), 0.5)
    figures = measure(
        training.truth_of(Part.TEST), probabilities, genres=training.genres, thresholds=half
    )
    return {key: value for key, value in asdict(figures).items() if isinstance(value, float)}

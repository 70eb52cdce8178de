"""G1 and G3: Mulan's scene, its official split; exported models against the trainers' own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.commands import data_directory, prepare_table, run_job
from quality.external import read_mulan
from trailergenre.base.config import DatasetConfig
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.models.bundle import Bundle, read_bundle
from trailergenre.models.trainers import LocalTrainer
from trailergenre.models.training_set import prepare_training
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint

GIVEN = ("--set", "dataset.split=given", "--set", 'rows.statistics=["mean"]')
FOREST = ("--set", "forest.trees=100", "--set", "forest.max_depth=25")
TRAINERS = {
    "forest, MLlib": ("--trainer", "mllib", *FOREST),
    "forest, scikit-learn": ("--trainer", "sklearn", *FOREST),
    "logistic, MLlib": ("--model", "logistic", "--trainer", "mllib", "--set", "logistic.c=0.1"),
    "logistic, scikit-learn": (
        *("--model", "logistic", "--trainer", "sklearn", "--set", "logistic.c=0.1"),
    ),
}


def measure_scene(work: Path) -> dict[str, Any]:
    """Train on the official training part, measure on its test part."""
    run = work / "scene"
    prepare_table(run, read_mulan(data_directory() / "mulan").write(work / "data" / "scene"))
    figures = {}
    for name, options in TRAINERS.items():
        bundle = work / f"scene-{name.replace(', ', '-')}"
        run_job("train_model", run, "--bundle", bundle, *GIVEN, *options)
        figures[name] = _measure(Store(str(run)), read_bundle(Store(str(bundle))))
    return {"data": "Mulan scene, official split", "models": figures}


def _measure(store: Store, bundle: Bundle) -> dict[str, float | int | None]:
    outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
    labels = tables.read_table(store, "labels")
    config = DatasetConfig(split="given")
    training = prepare_training(labels, outcomes, config, shuffle_labels=False)
    scored = LocalTrainer(store, outcomes).score(training.link_ids_of(Part.TEST), bundle.scorer)
    columns = [training.genres.index(genre) for genre in bundle.manifest.genres]
    truth: NDArray[np.int8] = training.truth_of(Part.TEST)[:, columns]
    measures = bundle.manifest.test.measures["model"]
    return {
        "test rows": len(truth),
        "micro_auprc": measures["micro_ap"],
        "lrap": measures["sample_ap"],
        "hamming": float(((scored >= 0.5) != truth).mean()),
        "mean_ap": measures["mean_ap"],
    }

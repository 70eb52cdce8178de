"""G2: real trailers' published features, five folds, every model of the ladder that they allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quality.balanced import measure_balanced
from quality.commands import data_directory, prepare_mmtf, read_folds, run_job
from trailergenre.models.bundle import Bundle

MEASURES = ("mean_ap", "micro_ap", "weighted_ap", "sample_ap", "precision_at_3", "macro_auc")
MIN_MOVIES = 20
COMMON = ("--cross-validate", "--set", 'rows.statistics=["mean"]')
FOREST = ("--set", "forest.max_depth=25", "--set", "forest.min_rows_per_leaf=3")
MODELS = {
    "logistic, scikit-learn": ("--model", "logistic", "--trainer", "sklearn"),
    "logistic, MLlib": ("--model", "logistic", "--trainer", "mllib"),
    "one multi-output forest, scikit-learn": (
        *("--trainer", "sklearn", "--set", "forest.trees=200", *FOREST),
    ),
    "one forest per genre, MLlib": ("--trainer", "mllib", "--set", "forest.trees=60", *FOREST),
}
CONTROL = ("--model", "logistic", "--trainer", "sklearn", "--shuffle-labels")
CONTROL_SEEDS = range(1, 11)
"""Of folds and permutations: the control of one seed alone may be well above chance."""


def measure_trailers(work: Path) -> dict[str, Any]:
    """Every model on all 1,807 trailers and 19 genres."""
    run = work / "mmtf"
    prepared = prepare_mmtf(work, run)
    found = _measure_models(work, run, MODELS | {"shuffled labels": CONTROL}, min_movies=MIN_MOVIES)
    folds = read_folds(work / "mmtf-logistic-scikit-learn")
    balanced = [measure_balanced(run, fold) for fold in folds]
    found["models"]["logistic, balanced class weights (not an option here)"] = _spread(balanced)
    found["control_auc"] = [_control_auc(work, run, seed) for seed in CONTROL_SEEDS]
    return {
        "data": "MMTF-14K trailer_visual_avg.csv, MovieLens genres",
        "rows": prepared["rows"],
    } | found


def _control_auc(work: Path, run: Path, seed: int) -> float:
    """AUC of models of shuffled labels, mean over five folds."""
    options = (*COMMON, "--set", f"dataset.min_movies_per_genre={MIN_MOVIES}")
    directory = work / f"{run.name}-control-{seed}"
    run_job(
        *("train_model", run, "--bundle", directory),
        *(*options, "--set", f"dataset.seed={seed}", *CONTROL),
    )
    aucs = [fold.manifest.test.measures["model"]["macro_auc"] for fold in read_folds(directory)]
    return float(np.mean(aucs))


def measure_imdb_trailers(work: Path) -> dict[str, Any]:
    """The trailers that are IMDB5000 movies, with the metadata's genres."""
    run = work / "mmtf-imdb"
    metadata = data_directory() / "imdb5000" / "movie_metadata.csv"
    prepared = prepare_mmtf(work, run, metadata)
    models = {name: options for name, options in MODELS.items() if "MLlib" not in name}
    found = _measure_models(work, run, models, min_movies=50)
    return {
        "data": "MMTF-14K trailer_visual_avg.csv, IMDB5000 genres",
        "rows": prepared["rows"],
        "by_row_outcome": prepared["by_row_outcome"],
    } | found


def _measure_models(
    work: Path, run: Path, models: dict[str, tuple[str, ...]], *, min_movies: int
) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    options = (*COMMON, "--set", f"dataset.min_movies_per_genre={min_movies}")
    for name, own in models.items():
        directory = work / f"{run.name}-{name.replace(', ', '-').replace(' ', '-')}"
        run_job("train_model", run, "--bundle", directory, *options, *own)
        folds = read_folds(directory)
        figures |= dict(_figures_of_folds(name, folds, with_prior=not figures))
    facts = folds[0].manifest
    return {
        "split": f"{len(folds)} folds by movie, seed {facts.training.dataset.seed}",
        "movies": sum(fold.manifest.test.movies for fold in folds),
        "genres": list(facts.genres),
        "models": figures,
    }


def _figures_of_folds(
    name: str, folds: list[Bundle], *, with_prior: bool
) -> Iterator[tuple[str, dict[str, dict[str, float]]]]:
    measured = [fold.manifest.test.measures for fold in folds]
    if with_prior:
        yield "label prior", _spread([each["prior"] for each in measured])
        yield "three most frequent genres", _spread([each["majority"] for each in measured])
    yield name, _spread([each["model"] for each in measured])
    if any(fold.manifest.calibration.method != "none" for fold in folds):
        raw = _spread([each["uncalibrated"] for each in measured])
        yield f"{name}, not calibrated", raw


def _spread(folds: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation over the folds of each measure."""
    found = {}
    for key in (*MEASURES, "brier", "ece"):
        values: NDArray[np.float64] = np.array([fold[key] for fold in folds], np.float64)
        found[key] = {"mean": float(values.mean()), "spread": float(values.std(ddof=1))}
    return found

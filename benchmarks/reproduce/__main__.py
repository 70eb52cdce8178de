"""Our models on Trailers12k's three published splits, beside the paper's table.

    make reproduce DATA=DIR              # with mtgc.csv and at least one trailers_*.zarr
    make reproduce DATA=DIR SUBSET=500   # that many movies, for a quick look

Prints the table and writes DIR/reproduce/table.md and figures.json. What is imported into
DIR/reproduce stays there for the next time.
"""

from __future__ import annotations

import csv
import json
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import typer

from reproduce.measures import KINDS, MEASURES, Kind, average_precisions
from reproduce.page import render_page
from reproduce.recipe import fit_recipe, score_windows
from trailergenre.base.config import Config, DatasetConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import progress_bar
from trailergenre.base.records import ModelKind, ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import Part
from trailergenre.links.prepare import Sources, prepare_dataset
from trailergenre.models.temporal.source import FeatureSource
from trailergenre.models.trainers import LocalTrainer, choose_recipe
from trailergenre.models.training_set import TrainingSet, prepare_training
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint

N_SPLITS = 3
SEED = 7


@dataclass(frozen=True)
class Figures:
    """What one model on one network's features reached.

    Attributes:
        values: kind of AP -> measure -> one value a split.
    """

    network: str
    model: str
    values: dict[Kind, dict[str, list[float]]]
    seconds: float


def main(
    data: Annotated[Path, typer.Argument(help="Directory with mtgc.csv and trailers_*.zarr.")],
    subset: Annotated[int | None, typer.Option(min=30, help="Movies to draw.")] = None,
    models: Annotated[str, typer.Option(help="Some of them, separated by commas.")] = "",
) -> None:
    """Import, train, measure, print and write."""
    data = data.expanduser().absolute()
    out = data / "reproduce" / (f"subset-{subset}" if subset else "all")
    wanted = [name for name in MODELS if not models or name in models.split(",")]
    figures: list[Figures] = []
    try:
        groups = sorted(p for p in data.glob("trailers_*") if p.name.endswith((".zarr", ".zip")))
        if not groups:
            raise ConfigError(
                f"{data} has no trailers_*.zarr. Name the directory of Trailers12k: make reproduce "
                "DATA=DIR"
            )
        for group in groups:
            source = _draw(group, out / "sets", subset) if subset else group
            for found in measure_network(
                source, out / "runs" / group.name.partition(".")[0], wanted
            ):
                figures.append(found)
                (out / "figures.json").write_text(json.dumps([asdict(f) for f in figures]))
                (out / "table.md").write_text(render_page(figures, subset))
    except ConfigError as error:
        sys.exit(f"error: {error}")
    print((out / "table.md").read_text())


def _draw(group: Path, directory: Path, n_movies: int) -> Path:
    """The same group with the labels of random movies alone."""
    target = directory / group.name.partition(".")[0]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with (group.parent / "mtgc.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    chosen = random.Random(SEED).sample(rows, min(n_movies, len(rows)))
    with (target / "mtgc.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *chosen])
    (target / group.name).symlink_to(group)
    return target / group.name


def measure_network(group: Path, run: Path, models: list[str]) -> Iterator[Figures]:
    """Train every model on each split; the features are imported once."""
    store = Store(str(run))
    sets = []
    for split in range(N_SPLITS):
        with progress_bar(f"{run.name}, split {split}") as on_step:
            sources = Sources(external=("trailers12k", group), splits=f"split{split}")
            prepare_dataset(store, sources, Config(), on_step)
        outcomes = outcomes_table.read_outcomes(store, choose_fingerprint(store, None))
        labels = tables.read_table(store, "labels")
        dataset = DatasetConfig(split="given", min_movies_per_genre=1, seed=SEED)
        sets.append(prepare_training(labels, outcomes, dataset, shuffle_labels=False))
    for name in models:
        started = time.monotonic()
        values: dict[Kind, dict[str, list[float]]] = {
            kind: {measure: [] for measure in MEASURES} for kind in KINDS
        }
        for split, training in enumerate(sets):
            scores = MODELS[name](store, outcomes, training, f"{run.name}, {name}, split {split}")
            for kind, of_kind in values.items():
                found = average_precisions(training.truth_of(Part.TEST), scores, kind)
                for measure in MEASURES:
                    of_kind[measure].append(found[measure])
        yield Figures(run.name, name, values, round(time.monotonic() - started, 1))


Score = Callable[[Store, pa.Table, TrainingSet, str], ProbabilityArray]
"""From a run, its outcomes and a training set to probabilities of the test part."""


def _ours(kind: ModelKind) -> Score:
    """One of our models with default settings; probabilities of the test part, not calibrated."""

    def score(
        store: Store, outcomes: pa.Table, training: TrainingSet, title: str
    ) -> ProbabilityArray:
        trainer = LocalTrainer(store, outcomes)
        name = "keras" if kind == "temporal" else "sklearn"
        recipe = choose_recipe(Config(), kind, None, name)  # type: ignore[arg-type]
        with progress_bar(title) as on_step:
            scorer = trainer.fit(training, recipe, on_step)
        return trainer.score(training.link_ids_of(Part.TEST), scorer)

    return score


def _paper(store: Store, outcomes: pa.Table, training: TrainingSet, title: str) -> ProbabilityArray:
    def source(part: Part) -> FeatureSource:
        ids, truth = training.link_ids_of(part), training.truth_of(part)
        return FeatureSource(store, outcomes, ids, truth)

    with progress_bar(title) as on_step:
        model = fit_recipe(source(Part.TRAIN), source(Part.VALIDATION), on_step)
    return score_windows(model, source(Part.TEST))


def _prior(store: Store, outcomes: pa.Table, training: TrainingSet, title: str) -> ProbabilityArray:
    """Each genre's share of the training movies, for every movie."""
    return np.tile(training.genre_shares, (len(training.rows_of(Part.TEST)), 1))


MODELS: dict[str, Score] = {
    "prior": _prior,
    "logistic": _ours("logistic"),
    "forest": _ours("forest"),
    "temporal": _ours("temporal"),
    "recipe": _paper,
}


if __name__ == "__main__":
    typer.run(main)

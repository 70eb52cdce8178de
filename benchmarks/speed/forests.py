"""B9: a forest by MLlib against one by scikit-learn: the same rows, the same number of trees."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from speed.findings import Finding, Findings, take_turns
from speed.inputs import Inputs
from speed.machine import CORES
from speed.stage import local_session
from trailergenre.base.config import ForestConfig
from trailergenre.base.storage import Store
from trailergenre.metrics.multilabel import mean_ap
from trailergenre.models.estimators.forest import Forest, fit_forest
from trailergenre.spark.training.fit_per_genre import label_rows
from trailergenre.spark.training.forest import fit_forests

N_TEST = 2000
N_TELLING = 64
"""Columns that the genre shifts, of those that there are."""
SHIFT = 0.35
"""In widths of the noise."""


@dataclass(frozen=True)
class Rows:
    """Made rows: shape (n, width), float32, and the truth of one genre: shape (n, 1), int8."""

    X: NDArray[np.float32]
    y: NDArray[np.int8]


def measure_forests(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 3,
    sizes: tuple[int, int] = (1000, 4000),
    width: int = 2048,
    trees: int = 100,
) -> Findings:
    """Fit both on few and on many rows in turns; hold their rankings of other rows together.

    Each turn has a seed of its own: two forests of one trainer differ by 0.02 in their AP here.

    Args:
        inputs: where the run lies that Spark writes to.
        wanted: B9.
        turns: of each.
        sizes: rows.
        width: columns.
        trees: of a forest.
    """
    config = ForestConfig(trees=trees, parallelism=CORES)
    made, test = make_rows(sizes[1], width, seed=7), make_rows(N_TEST, width, seed=8)
    quality: dict[str, list[float]] = {}
    with local_session() as spark:
        fitters = {"mllib": _by_mllib(spark, inputs), "sklearn": _by_sklearn}

        def fit(name: str, n: int) -> float:
            rows, found = Rows(made.X[:n], made.y[:n]), quality.setdefault(f"{name} {n}", [])
            seeded = config.model_copy(update={"seed": config.seed + len(found)})
            forest, seconds = fitters[name](rows, seeded)
            found.append(mean_ap(test.y, forest.predict_proba(test.X)))
            return seconds

        fit("mllib", 100)
        contenders = {
            f"{name} {n}": (lambda name=name, n=n: fit(name, n)) for n in sizes for name in fitters
        }
        seconds = take_turns(contenders, turns)
    return {"B9": _find(seconds, quality, sizes=sizes, width=width, trees=trees)}


def _find(
    seconds: dict[str, list[float]],
    quality: dict[str, list[float]],
    *,
    sizes: tuple[int, int],
    width: int,
    trees: int,
) -> Finding:
    few, many = sizes
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    growth = {
        name: float(
            np.log(medians[f"{name} {many}"] / medians[f"{name} {few}"]) / np.log(many / few)
        )
        for name in ("mllib", "sklearn")
    }
    pairs = zip(quality[f"mllib {many}"], quality[f"sklearn {many}"], strict=True)
    return Finding(
        f"{trees} trees on {many} rows of {width}: AP by MLlib over AP by scikit-learn",
        [ours / other for ours, other in pairs],
        0.98,
        0.95,
        figures={
            "seconds": medians,
            "seconds_grow_with_rows_to_the_power": growth,
            "average_precision": quality,
        },
    )


def make_rows(n: int, width: int, *, seed: int) -> Rows:
    """Rows whose genre stands in a few columns under noise."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, 1)) < 0.3).astype(np.int8)
    X = rng.standard_normal((n, width), np.float32)
    X[:, :N_TELLING] += SHIFT * y
    return Rows(X, y)


def _by_sklearn(rows: Rows, config: ForestConfig) -> tuple[Forest, float]:
    started = time.monotonic()
    forest = fit_forest(rows.X, rows.y, config)
    return forest, time.monotonic() - started


def _by_mllib(
    spark: SparkSession, inputs: Inputs
) -> Callable[[Rows, ForestConfig], tuple[Forest, float]]:
    """Rows lie in Spark's memory before the clock starts, as they lie in scikit-learn's."""

    def fit(rows: Rows, config: ForestConfig) -> tuple[Forest, float]:
        link_ids = [f"{number:08}" for number in range(len(rows.X))]
        columns = {
            "link_id": pa.array(link_ids),
            "number": pa.array(np.zeros(len(link_ids), np.int32)),
            "row": pa.FixedSizeListArray.from_arrays(
                pa.array(rows.X.ravel()), rows.X.shape[1]
            ).cast(pa.list_(pa.float32())),
        }
        table = spark.createDataFrame(pa.table(columns)).cache()
        table.count()
        started = time.monotonic()
        store = Store(str(inputs.directory("forest")))
        forest = fit_forests(
            label_rows(table, link_ids, rows.y, model="forest", store=store),
            genres=("Made",),
            config=config,
            on_step=lambda done, total, label="": None,
        )
        seconds = time.monotonic() - started
        table.unpersist()
        return forest, seconds

    return fit

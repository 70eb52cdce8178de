"""S1 to S3: trees on a cluster beside scikit-learn alone, MLlib as before, and what is read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.machine import CORES
from speed.stage import local_session, open_session
from trailergenre.base.config import ForestConfig, RowsConfig
from trailergenre.base.storage import Store
from trailergenre.links.labelled_links import labelled_links
from trailergenre.metrics.multilabel import mean_ap
from trailergenre.models.estimators.forest import Forest, fit_forest, join_trees, to_bytes
from trailergenre.models.pooled_table import iter_pooled
from trailergenre.models.pooling import iter_links, training_rows
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.spark.training import fit_per_genre
from trailergenre.spark.training.fit_per_genre import (
    LabelledRows,
    collect_sample,
    label_rows,
    run_parallel,
)
from trailergenre.spark.training.forest import find_edges, fit_forests, fit_genre, to_codes
from trailergenre.spark.training.mllib_forest import read_forest
from trailergenre.spark.training.spread_forest import LocalRows, grow_forest

N_TEST = 2000
WIDTH = 6144
MANY_GENRES = 20
FEW_TREES = 12
N_TELLING = 32
"""Columns that each genre shifts."""
SHIFT = 0.35
"""In widths of the noise."""
OLD_PARTITION_BYTES = 12 << 20
ROWS = RowsConfig(statistics=("mean",))
"""Of one frame a link: its pooled row is the frame."""


@dataclass(frozen=True)
class Made:
    """Made rows, shape (n, WIDTH), float32, and their truth, shape (n, n_genres), int8."""

    X: NDArray[np.float32]
    y: NDArray[np.int8]


def make(n: int, n_genres: int, *, seed: int) -> Made:
    """Rows whose genres stand in a few columns under noise."""
    rng = np.random.default_rng(seed)
    y = (rng.random((n, n_genres)) < 0.15).astype(np.int8)
    X = rng.standard_normal((n, WIDTH), np.float32)
    for genre in range(n_genres):
        X[:, genre * N_TELLING : (genre + 1) * N_TELLING] += SHIFT * y[:, [genre]]
    return Made(X, y)


def measure_spread(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 2,
    n: int = 4000,
    n_genres: int = 20,
    trees: int = 100,
) -> Findings:
    """S1: trees grown in Spark tasks, from the pooled table on, beside scikit-learn in memory."""
    made, test = make(n, n_genres, seed=7), make(N_TEST, n_genres, seed=8)
    rows = _write_pooled(Store(str(inputs.directory("spread"))), made.X)
    config = ForestConfig(trees=trees, parallelism=CORES)
    few = config.model_copy(update={"trees": FEW_TREES})
    forests = {"alone": fit_forest(made.X, made.y, few)}
    fitted: list[Forest] = []

    def alone() -> float:
        started = time.monotonic()
        fitted.append(fit_forest(made.X, made.y, config))
        return time.monotonic() - started

    for slots in (1, 6, CORES):
        with open_session(f"local[{slots}]") as spark:
            forests[f"{slots} slots"] = grow_forest(spark, rows, made.y, few)
            if slots != CORES:
                continue

            def spread(spark: SparkSession = spark) -> float:
                started = time.monotonic()
                fitted.append(grow_forest(spark, rows, made.y, config))
                return time.monotonic() - started

            seconds = take_turns({"spread": spread, "alone": alone}, turns)
    hashes = {
        name: hashlib.sha256(to_bytes(forest)).hexdigest()
        for name, forest in (
            forests | {f"of all trees, {k}": f for k, f in enumerate(fitted)}
        ).items()
    }
    figures = {
        "seconds": medians(seconds),
        "forests": hashes,
        "mean_ap": mean_ap(test.y, fitted[0].predict_proba(test.X)),
    }
    what = f"{trees} trees on {n} rows of {WIDTH}, {n_genres} genres, seconds over scikit-learn's"
    spread = ratios(seconds, "spread", "alone")
    return {
        "S1": Finding(what, spread, 1.6, 1.8, is_least=False, figures=figures),
        "S1 forests": Finding(
            f"different forests of {FEW_TREES} and of {trees} trees, on 1, 2 and 6 slots and alone",
            [len(set(hashes.values()))],
            2,
            2,
            is_least=False,
        ),
    }


def measure_mllib(
    inputs: Inputs,
    wanted: Collection[str],
    *,
    turns: int = 1,
    n: int = 4000,
    n_genres: int = 2,
    trees: int = 100,
) -> Findings:
    """S2: CPU seconds of MLlib's forests, binned once in few partitions, over those before.

    What is done once for all genres is measured by itself, so that the figure for `MANY_GENRES`
    can be computed.
    """
    made, test = make(n, n_genres, seed=7), make(N_TEST, n_genres, seed=8)
    config = ForestConfig(trees=trees, parallelism=CORES)
    store = Store(str(inputs.directory("mllib")))
    quality: dict[str, list[float]] = {}
    wall: dict[str, list[float]] = {}
    with local_session() as spark:
        table = _to_table(spark, made.X)

        def fit(name: str, work: Callable[[], Forest]) -> float:
            before, started = _cpu_s(), time.monotonic()
            forest = work()
            wall.setdefault(name, []).append(time.monotonic() - started)
            cpu_s = _cpu_s() - before
            quality.setdefault(name, []).append(mean_ap(test.y, forest.predict_proba(test.X)))
            return cpu_s

        def once() -> float:
            before = _cpu_s()
            labelled = _label(table, made.y, store)
            edges = find_edges(collect_sample(labelled), config.max_bins)
            to_codes(labelled, edges).cache().count()
            return _cpu_s() - before

        def now() -> Forest:
            labelled = _label(table, made.y, store)
            return fit_forests(
                labelled,
                genres=[str(genre) for genre in range(n_genres)],
                config=config,
                on_step=lambda *_: None,
            )

        def before() -> Forest:
            with patch.dict(fit_per_genre.PARTITION_BYTES, forest=OLD_PARTITION_BYTES):
                return _fit_as_before(_label(table, made.y, store), config)

        cpu_s = take_turns(
            {
                "once": once,
                "now": lambda: fit("now", now),
                "before": lambda: fit("before", before),
            },
            turns,
        )
    many = [
        (shared + MANY_GENRES * (ours - shared) / n_genres) / (MANY_GENRES * theirs / n_genres)
        for shared, ours, theirs in zip(*cpu_s.values(), strict=True)
    ]
    figures = {
        "cpu_s": medians(cpu_s),
        "of_these_genres": ratios(cpu_s, "now", "before"),
        "seconds": medians(wall),
        "mean_ap": medians(quality),
    }
    what = f"MLlib, {trees} trees on {n} rows of {WIDTH}, {MANY_GENRES} genres: CPU s over before"
    same = ratios(quality, "now", "before")
    return {
        "S2": Finding(what, many, 1 / 3, 0.4, is_least=False, figures=figures),
        "S2 mAP": Finding("mAP of these forests over those before", same, 0.98, 0.95),
    }


def measure_reading(
    inputs: Inputs, wanted: Collection[str], *, n: int = 64, frames: int = 150
) -> Findings:
    """S3: bytes and CPU seconds of reading pooled rows, once they are a table, over frames'."""
    from runs import make_movies, make_run

    store = Store(str(inputs.directory("reading")))
    fingerprint = make_run(store, make_movies(n, frames=frames))
    outcomes = outcomes_table.read_outcomes(store, fingerprint)
    assert len(labelled_links(tables.read_table(store, "labels"))) == n

    def from_frames() -> None:
        for links in iter_links(store, outcomes):
            for link in links:
                training_rows(link, "pooled", RowsConfig())

    def from_table() -> None:
        for _ in iter_pooled(store, outcomes, RowsConfig()):
            pass

    found = {}
    for name, read in {"frames": from_frames, "first": from_table, "table": from_table}.items():
        with _counting_bytes() as counted:
            before = _cpu_s()
            read()
            found[name] = {"bytes": sum(counted), "cpu_s": _cpu_s() - before}
    ratio = found["table"]["bytes"] / found["frames"]["bytes"]
    what = f"bytes read for the pooled rows of {n} links of {frames} frames, over the frames'"
    return {"S3": Finding(what, [ratio], 1 / 20, 1 / 10, is_least=False, figures=found)}


def _cpu_s() -> float:
    """CPU seconds of this process, the JVM and its workers."""
    total = 0.0
    for process in (own := psutil.Process(), *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@contextmanager
def _counting_bytes() -> Iterator[list[int]]:
    counted: list[int] = []
    plain = Store.read_bytes

    def read(self: Store, path: str) -> bytes:
        content = plain(self, path)
        counted.append(len(content))
        return content

    with patch.object(Store, "read_bytes", read):
        yield counted


def _write_pooled(store: Store, X: NDArray[np.float32], links_per_file: int = 32) -> LocalRows:
    """A run of one frame a link, whose pooled rows are written."""
    from runs import outcome_row, write_features
    from trailergenre.base.outcomes import Outcome
    from trailergenre.runs import schemas

    rows = []
    link_ids = [f"{number:064x}" for number in range(len(X))]
    for start in range(0, len(X), links_per_file):
        places = range(start, min(start + links_per_file, len(X)))
        named = write_features(store, "made", {link_ids[k]: X[[k]] for k in places})
        rows += [{**outcome_row(link_ids[k], Outcome.OK, frames=1), **named} for k in places]
    outcomes = pa.Table.from_pylist(rows, schemas.OUTCOMES)
    for _ in iter_pooled(store, outcomes, ROWS):
        pass
    return LocalRows(store, features_table.group_by_file(outcomes), link_ids, ROWS)


def _to_table(spark: SparkSession, X: NDArray[np.float32]) -> DataFrame:
    """Rows in Spark's memory before the clock starts."""
    columns = {
        "link_id": pa.array([f"{number:08}" for number in range(len(X))]),
        "number": pa.array(np.zeros(len(X), np.int32)),
        "row": pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), X.shape[1]).cast(
            pa.list_(pa.float32())
        ),
    }
    table = spark.createDataFrame(pa.table(columns)).cache()
    table.count()
    return table


def _label(table: DataFrame, y: NDArray[np.int8], store: Store) -> LabelledRows:
    link_ids = [f"{number:08}" for number in range(len(y))]
    return label_rows(table, link_ids, y, model="forest", store=store)


def _fit_as_before(labelled: LabelledRows, config: ForestConfig) -> Forest:
    """Until 2026-11-30: the values themselves, whose bins each genre's forest looked for anew."""
    vectors = labelled.rows.select(array_to_vector(F.col("row")).alias("row"), "truth").cache()
    n_genres, n_features = labelled.truth.shape[1], labelled.n_features
    fitted = run_parallel(lambda g: fit_genre(vectors, g, config), n_genres, config.parallelism)
    forests = {
        genre: read_forest(model, genre=genre, n_features=n_features) for genre, model in fitted
    }
    vectors.unpersist()
    return join_trees([forests[genre] for genre in range(n_genres)])

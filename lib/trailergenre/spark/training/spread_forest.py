"""Grows the trees of scikit-learn's forest in Spark tasks: one tree, one seed, one task.

No row goes through the driver or the JVM: each executor copies the pooled rows to one file on its
local disk, once, and its tasks map the file to memory.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
from pyspark.sql import SparkSession

from trailergenre.base import fault_injection
from trailergenre.base.config import ForestConfig, RowsConfig
from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.fault_injection import Point
from trailergenre.base.records import TruthArray
from trailergenre.base.storage import Store
from trailergenre.models.estimators.forest import (
    Forest,
    from_bytes,
    grow_tree,
    join_trees,
    to_bytes,
    tree_seeds,
)
from trailergenre.models.pooled_table import iter_pooled
from trailergenre.models.pooling import RowArray
from trailergenre.models.training_set import check_all_read
from trailergenre.runs import features_table, tables
from trailergenre.spark.feature_files import arm_task
from trailergenre.spark.versions import to_arrow


@dataclass(frozen=True)
class LocalRows:
    """The pooled rows of links, in their order, as a file on the local disk of each executor."""

    store: Store
    files: pa.Table  # from `features_table.group_by_file`; outcomes would name a file per link
    link_ids: Sequence[str]
    config: RowsConfig

    def open(self, name: str) -> RowArray:
        """Map the file of this name to memory; the first task that wants it writes it.

        It lies in the directory that Spark made for this executor, and is removed with it.
        """
        directory = Path(os.environ["SPARK_LOCAL_DIRS"].split(",")[0], "trailergenre")
        directory.mkdir(mode=0o700, exist_ok=True)
        path = directory / f"{name}.npy"
        with (directory / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                # Of an earlier forest of this session, or of a killed task.
                for old in directory.glob("*.npy*"):
                    old.unlink()
                unfinished = path.with_suffix(".npy-unfinished")
                self._write(unfinished)
                unfinished.replace(path)
        rows: RowArray = np.asarray(np.load(path, mmap_mode="r"))
        return rows

    def _write(self, path: Path) -> None:
        place_of = {link_id: place for place, link_id in enumerate(self.link_ids)}
        rows = None
        n_read = 0
        for file in tables.iter_rows(self.files):
            outcomes = features_table.rows_of_file(file)
            for pooled in iter_pooled(self.store, outcomes, self.config):
                if rows is None:
                    rows = _create(path, (len(place_of), pooled.rows.shape[1]))
                if pooled.rows.shape[1] != rows.shape[1]:
                    raise SchemaError(
                        "All training rows must have the same width. Received: "
                        f"{sorted({rows.shape[1], pooled.rows.shape[1]})}. "
                        "Make the features again, all with one backbone."
                    )
                rows[[place_of[link_id] for link_id in pooled.link_ids]] = pooled.rows
                n_read += len(pooled.link_ids)
        check_all_read(self.store, wanted=len(place_of), read=n_read)


def _create(path: Path, shape: tuple[int, int]) -> RowArray:
    """Create an array in a file of its full size: a write to a disk that fills up would crash."""
    rows: RowArray = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    with path.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            raise StorageError(
                f"The training rows do not fit on this worker's disk: {error} ({path.parent}).",
                "Set spark.local.dir to a directory with more room.",
            ) from error
    return rows


def grow_forest(
    spark: SparkSession, rows: LocalRows, truth: TruthArray, config: ForestConfig
) -> Forest:
    """Grow one multi-output forest for all genres; row i of `truth` belongs to row i of `rows`.

    The same as `fit_forest` on one machine, on any number of slots.
    """
    name, seeds, faults = uuid4().hex, tree_seeds(config), fault_injection.read_faults()

    def grow(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arm_task(faults)
        for batch in batches:
            for number in batch.column("id").to_pylist():
                tree = grow_tree(rows.open(name), truth, config, seeds[number])
                fault_injection.reach(Point.TREE_GROWN)
                columns = {"number": [number], "tree": [to_bytes(tree)]}
                yield pa.RecordBatch.from_pydict(columns)

    numbers = spark.range(0, len(seeds), 1, len(seeds))
    trees = to_arrow(numbers.mapInArrow(grow, "number long, tree binary")).sort_by("number")
    return join_trees([from_bytes(tree) for tree in trees["tree"].to_pylist()])

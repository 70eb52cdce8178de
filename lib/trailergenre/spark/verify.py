"""Checks features files on the cluster, for `trailergenre verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import pyarrow as pa
from pyspark.sql import SparkSession

from trailergenre.base.progress import OnStep
from trailergenre.runs import features_table
from trailergenre.runs.tables import release_memory
from trailergenre.runs.verify.features import PER_LINK, CheckFiles, FileCheck, FileFindings
from trailergenre.spark.feature_files import distribute
from trailergenre.spark.versions import to_arrow


def check_files(spark: SparkSession, check: FileCheck) -> CheckFiles:
    """Check each file in a task; the findings come back, 150 bytes per link."""

    def check_on_workers(current: pa.Table, on_step: OnStep) -> Iterator[FileFindings]:
        def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                found = [
                    check.check(file["features_file"], features_table.rows_of_file(file))
                    for file in batch.to_pylist()
                ]
                texts = [json.dumps(asdict(each)) for each in found]
                yield pa.RecordBatch.from_pydict({"found": texts})

        work = distribute(spark, features_table.group_by_file(current, PER_LINK))
        del current
        release_memory()
        for found in to_arrow(work.mapInArrow(read, "found string"))["found"]:
            yield FileFindings(**json.loads(found.as_py()))

    return check_on_workers

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from trailergenre.runs.verify.features import FileCheck
from trailergenre.runs.verify.verify import verify_run
from trailergenre.spark.verify import check_files
from verified import FP, flip, make_verified


def test_the_cluster_finds_what_one_machine_finds(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_verified(tmp_path, monkeypatch)
    on_workers = check_files(spark, FileCheck(run.store, 1.0, 2048))
    for is_damaged in (False, True):
        if is_damaged:
            flip(run, run.features_files()[0])
        here, there = run.verify(), verify_run(run.store, FP, check_files=on_workers)
        assert here.holds is not is_damaged
        assert there == here

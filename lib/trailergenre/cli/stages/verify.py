"""Reads the features of a run on a cluster, to verify them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trailergenre.base.storage import Store
from trailergenre.runs.fingerprint import list_settings
from trailergenre.runs.verify.features import CheckFiles, FileCheck


@contextmanager
def checked_on_spark(store: Store, fingerprint: str) -> Iterator[CheckFiles]:
    """Start Spark, and give what checks features files there."""
    from trailergenre.spark.session import spark_session
    from trailergenre.spark.verify import check_files

    settings = list_settings(store)[fingerprint]
    check = FileCheck(store, settings.frames_per_s, settings.width)
    with spark_session("verify", store) as spark:
        yield check_files(spark, check)

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

from trailergenre.base.errors import ClusterError, ExitCode, StorageError, WeightsError
from trailergenre.base.storage import Store
from trailergenre.spark import worker_checks
from trailergenre.spark.session import _has_event_log, worker_failures
from trailergenre.spark.worker_checks import check_packages, check_storage_is_shared


def test_a_workers_own_error_becomes_its_message(spark: SparkSession) -> None:
    def fail(number: int) -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise WeightsError("The backbone is cut.\nReceived: half of it.") from error

    with pytest.raises(ClusterError) as caught, worker_failures():
        spark.sparkContext.parallelize([1], 1).foreach(fail)
    assert str(caught.value) == "The backbone is cut.\nReceived: half of it."
    assert caught.value.exit_code == ExitCode.USAGE


def test_what_no_worker_foresaw_keeps_its_place_in_the_log(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    def lookup(number: int) -> int:
        return {0: 0}[number]

    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(ClusterError, match=r"^A worker failed: KeyError: 7$"),
        worker_failures(),
    ):
        spark.sparkContext.parallelize([7], 1).map(lookup).collect()
    assert "in lookup" in caplog.text
    assert "org.apache.spark" not in caplog.text


def test_a_module_that_a_worker_lacks_is_named_with_what_to_do(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    def lack(number: int) -> None:
        import no_such_module  # noqa: F401

    with (
        pytest.raises(ClusterError, match=r"lacks the Python module 'no_such_module'. .*make zip"),
        worker_failures(),
    ):
        spark.sparkContext.parallelize([1], 1).foreach(lack)
    assert caplog.records == []


def test_a_lost_worker_is_told_in_one_line(spark: SparkSession) -> None:
    with pytest.raises(ClusterError, match="Python worker exited unexpectedly") as caught:  # noqa: SIM117
        with worker_failures():
            spark.sparkContext.parallelize([1], 1).foreach(lambda _: os._exit(3))
    assert "\n" not in str(caught.value)


def test_mistakes_of_the_driver_pass_as_they_are(spark: SparkSession) -> None:
    with pytest.raises(AnalysisException), worker_failures():
        spark.range(1).select("no_such_column")
    with pytest.raises(ZeroDivisionError), worker_failures():
        _ = 1 / 0


WRITE = """
import os, sys
from pathlib import Path
from trailergenre.base.storage import Store
from trailergenre.spark.session import spark_session

os.umask(0o077)
scores = Path(sys.argv[1], "scores")
with spark_session("test", Store(sys.argv[1])) as spark:
    spark.range(2).write.parquet(scores.as_uri())
print({oct(path.stat().st_mode & 0o777) for path in scores.iterdir()})
print(oct(scores.stat().st_mode & 0o777))
"""


def test_what_spark_writes_is_for_those_whom_the_umask_allows(tmp_path: Path) -> None:
    options = "--master local[1] --conf spark.ui.enabled=false pyspark-shell"
    done = subprocess.run(
        [sys.executable, "-c", WRITE, tmp_path],
        env={**os.environ, "PYSPARK_SUBMIT_ARGS": options, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-2:] == ["{'0o600'}", "0o700"]


@pytest.fixture
def properties(spark: SparkSession) -> Iterator[dict[str, str]]:
    """What a properties file says; every conf that is made later holds it."""
    system = spark.sparkContext._jvm.java.lang.System  # type: ignore[union-attr]

    class Properties(dict[str, str]):
        def __setitem__(self, key: str, value: str) -> None:
            super().__setitem__(key, value)
            system.setProperty(key, value)

    found = Properties()
    yield found
    for key in found:
        system.clearProperty(key)


def test_the_event_log_gets_its_directory_only_where_it_is_asked_for(
    properties: dict[str, str], tmp_path: Path
) -> None:
    properties["spark.eventLog.dir"] = str(tmp_path / "new" / "events")
    assert not _has_event_log()
    assert list(tmp_path.iterdir()) == []
    properties["spark.eventLog.enabled"] = "true"
    assert _has_event_log()
    assert (tmp_path / "new" / "events").is_dir()


def test_an_event_log_that_cannot_be_is_a_warning_and_stops_nothing(
    properties: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    properties["spark.eventLog.enabled"] = "true"
    properties["spark.eventLog.dir"] = "/proc/nowhere"
    assert not _has_event_log()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "no event log" in record.getMessage()


def test_workers_are_asked_for_what_the_job_needs_and_nothing_else(spark: SparkSession) -> None:
    check_packages(spark, (), 2)
    with pytest.raises(ClusterError, match=r"modules: no_such_module on \S+ \(\S+\)\. S"):
        check_packages(spark, ("no_such_module",), 2)


TASKS = {
    worker_checks.DOWNLOADS: ["trailergenre.spark.featurize", "trailergenre.videos.child"],
    worker_checks.SCORING: ["trailergenre.models.scorer", "trailergenre.spark.predict"],
    worker_checks.SEARCH: ["trailergenre.models.search"],
    worker_checks.PUBLISHING: ["trailergenre.spark.publish", "trailergenre.mongo.publishing"],
}
"""What a job asks for -> the modules that its tasks name."""
IMPORTED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*sys.modules)
"""
OURS = {
    *("deno", "ffmpeg", "idna", "imageio_ffmpeg", "iterstrat", "jinja2", "numpy", "onnxruntime"),
    "pandas",
    *("psutil", "pyarrow", "pydantic", "pymongo", "rich", "safetensors", "sklearn", "tenacity"),
    *("typer", "yt_dlp"),
}
"""Modules of the packages that `pyproject.toml` names."""


@pytest.mark.parametrize("asked", TASKS, ids=lambda asked: asked[-1])
def test_what_tasks_import_is_asked_for(asked: tuple[str, ...]) -> None:
    words = [sys.executable, "-c", IMPORTED, *TASKS[asked]]
    loaded = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
    needed = OURS & {name.partition(".")[0] for name in loaded}
    assert needed - {*worker_checks._MODULES, *asked} == set()


def test_storage_that_workers_see_is_accepted_and_left_clean(
    spark: SparkSession, tmp_path: Path
) -> None:
    check_storage_is_shared(spark, Store(str(tmp_path)), 2)
    assert list(tmp_path.iterdir()) == []


def test_storage_that_a_worker_does_not_see_is_refused_and_left_clean(
    spark: SparkSession, tmp_path: Path
) -> None:
    class Blind(Store):
        def exists(self, path: str) -> bool:
            return False

    class Travelling(Store):
        def __reduce__(self) -> tuple[type[Store], tuple[str]]:
            return (Blind, (self.address,))

    with pytest.raises(StorageError, match="Not every worker sees"):
        check_storage_is_shared(spark, Travelling(str(tmp_path)), 2)
    assert list(tmp_path.iterdir()) == []


def test_a_job_does_not_touch_the_probe_of_another(spark: SparkSession, tmp_path: Path) -> None:
    class Watched(Store):
        def write_bytes(self, path: str, content: bytes) -> None:
            written.append(path)
            super().write_bytes(path, content)

        def __reduce__(self) -> tuple[type[Store], tuple[str]]:
            return (Store, (self.address,))

    written: list[str] = []
    for _ in range(2):
        check_storage_is_shared(spark, Watched(str(tmp_path)), 2)
    assert len(set(written)) == 2

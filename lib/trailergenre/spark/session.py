"""The one place that makes a Spark session, and that says what a worker's failure was."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PythonException
from pyspark.sql import SparkSession

from trailergenre.base.errors import ClusterError, StorageError, one_line
from trailergenre.base.java import check_java
from trailergenre.base.storage import Store
from trailergenre.base.storage_address import redact_address
from trailergenre.base.versions import check_minimum_versions
from trailergenre.spark.signals import jobs_end_by_signal, py4j_is_quiet, spare_jvm
from trailergenre.spark.worker_packages import ADVICE, check_packages

log = logging.getLogger(__name__)

_SETTLED_S = 2.0
_SETTLED_AT_MOST_S = 60.0

_OUR_ERROR = re.compile(r"trailergenre\.errors\.\w+: ")
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named (\S+)$")
_JOB_ABORTED = re.compile(r"Job aborted due to stage failure: .*")


@contextmanager
def spark_session(app_name: str, store: Store) -> Iterator[SparkSession]:
    """Give the session that spark-submit configured, and stop it at the end, by signal too.

    Everything that depends on the cluster stands in Spark's own properties file
    (`conf/spark-*.conf`); only what correctness needs is set here.

    Args:
        app_name: the job.
        store: the run, which every worker must see.

    Raises:
        ToolMissingError: no Java that Spark can start.
        StorageError: some worker does not see the run.
        ClusterError: a worker lacks a package, or failed at what was done with the session.
    """
    check_java()
    check_minimum_versions("pyspark")
    with py4j_is_quiet():
        spark = _start(app_name)
        try:
            with jobs_end_by_signal(spark.sparkContext), worker_failures():
                if not _is_local(spark):
                    # Executors register one after the other, and each is to be asked.
                    check_packages(spark, wait_for_slots(spark))
                    check_storage_is_shared(spark, store)
                yield spark
        finally:
            spark.stop()


def _start(app_name: str) -> SparkSession:
    # Executors must run the driver's interpreter, or they start the system's Python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    spare_jvm()
    spark = (
        SparkSession.builder.appName(f"trailergenre {app_name}")
        .config("spark.sql.session.timeZone", "UTC")
        # Silence about lost files would be loss.
        .config("spark.sql.files.ignoreCorruptFiles", "false")
        .config("spark.sql.files.ignoreMissingFiles", "false")
        .config("spark.eventLog.enabled", str(can_log_events()).lower())
        .getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def can_log_events() -> bool:
    """Whether the event log is asked for and has a directory; Spark stops where that is missing."""
    # A conf made before Java runs knows nothing of the properties file.
    SparkContext._ensure_initialized()
    conf, jvm = SparkConf(), SparkContext._jvm
    if conf.get("spark.eventLog.enabled", "false") != "true" or jvm is None:
        return False
    address = jvm.org.apache.spark.util.Utils.resolveURI(conf.get("spark.eventLog.dir"))
    hadoop = jvm.org.apache.spark.deploy.SparkHadoopUtil.get().newConfiguration(conf._jconf)
    path = jvm.org.apache.hadoop.fs.Path(address)
    try:
        is_there, reason = path.getFileSystem(hadoop).mkdirs(path), "refused"
    except Py4JJavaError as error:
        is_there, reason = False, one_line(error.java_exception.getMessage())
    if not is_there:
        log.warning("no event log: %s cannot be made: %s", redact_address(str(address)), reason)
    return bool(is_there)


@contextmanager
def worker_failures() -> Iterator[None]:
    """Raise what a worker failed of as a `ClusterError`, without Java's stack.

    The driver's own exceptions pass as they are.
    """
    try:
        yield
    except PythonException as error:
        message = _last_message(str(error))
        if missing := _NO_MODULE.match(message):
            raise ClusterError(
                f"A worker lacks the Python module {missing[1]}. {ADVICE}"
            ) from error
        if _OUR_ERROR.match(message) is None:
            # Not foreseen: whoever mends it needs the place.
            log.error("%s", error)
            raise ClusterError(f"A worker failed: {message}") from error
        raise ClusterError(_OUR_ERROR.sub("", message, count=1)) from error
    except Py4JJavaError as error:
        aborted = _JOB_ABORTED.search(str(error))
        if aborted is None:
            raise
        raise ClusterError(f"The cluster gave up. {aborted[0]}") from error


def _last_message(traceback: str) -> str:
    """What stands below the last frame of a Python traceback."""
    lines = traceback.splitlines()
    frames = [place for place, line in enumerate(lines) if line.startswith("  File ")]
    below = lines[frames[-1] + 1 :] if frames else lines
    # The frame's own source line and its markers are indented.
    first = next((place for place, line in enumerate(below) if not line.startswith(" ")), 0)
    return "\n".join(below[first:]).strip()


def slots(spark: SparkSession) -> int:
    """Tasks that can run at the same time."""
    task_cores = int(spark.sparkContext.getConf().get("spark.task.cpus", "1") or 1)
    return max(1, spark.sparkContext.defaultParallelism // task_cores)


def wait_for_slots(spark: SparkSession) -> int:
    """The same, once executors have stopped coming: a cluster's register one after the other."""
    n_slots, deadline = slots(spark), time.monotonic() + _SETTLED_AT_MOST_S
    while not _is_local(spark) and time.monotonic() < deadline:
        time.sleep(_SETTLED_S)
        before, n_slots = n_slots, slots(spark)
        if n_slots == before:
            break
    return n_slots


def _is_local(spark: SparkSession) -> bool:
    master = spark.sparkContext.master or ""
    return master.startswith("local") and not master.startswith("local-cluster")


def check_storage_is_shared(spark: SparkSession, store: Store) -> None:
    """Refuse a worker-local path on a cluster: a probe the driver wrote must be seen by workers.

    Raises:
        StorageError: some worker does not see it.
    """
    # Two jobs on one run must not delete each other's.
    probe = f"_probe-{uuid4().hex}"
    store.write_bytes(probe, b"seen")
    n_tasks = slots(spark)
    try:
        seen = (
            spark.sparkContext.parallelize(range(n_tasks), n_tasks)
            .map(lambda _: store.exists(probe))
            .collect()
        )
    finally:
        store.delete(probe)
    if not all(seen):
        raise StorageError(
            f"Not every worker sees {store}. Use a path that is mounted on all of them, "
            "or an s3://, gs:// or hdfs:// address."
        )

"""Starts and stops Spark sessions, and explains the failures of workers."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from urllib.parse import unquote, urlsplit

from py4j.protocol import Py4JJavaError
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkException, PySparkRuntimeError, PythonException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from trailergenre.base.errors import ClusterError, ConfigError, RunError
from trailergenre.base.storage import Store
from trailergenre.base.versions import check_java, check_minimum_versions
from trailergenre.spark.jvm_output import filtered_stderr, stop_listening
from trailergenre.spark.masters import is_local_master
from trailergenre.spark.signals import (
    call_aside,
    cancel_jobs_on_signal,
    ignore_sigint_in_jvm,
    silence_py4j,
)
from trailergenre.spark.worker_checks import ADVICE, check_packages, check_storage_is_shared

log = logging.getLogger(__name__)

_SETTLED_S = 2.0
_MAX_WAIT_S = 60.0
_MAX_CORES = 1_000_000

_OUR_ERROR = re.compile(rf"{re.escape(RunError.__module__)}\.\w+: ")
_NO_MODULE = re.compile(r"ModuleNotFoundError: No module named (\S+)$")
_JOB_ABORTED = re.compile(r"Job aborted due to stage failure: .*")


@contextmanager
def spark_session(
    app_name: str, store: Store, modules: Sequence[str] = ()
) -> Iterator[SparkSession]:
    """Give this process's session, which stays open, or else start one and stop it at the end.

    Spark's properties files (`conf/spark-*.conf`) or `SPARK_REMOTE` describe the cluster; only
    settings that correctness or safety depends on are made here. Every worker must see the store
    and have the Python `modules` of the job's tasks; the failure of one while the session is in use
    becomes a `ClusterError`.
    """
    check_minimum_versions("pyspark")
    try:
        running = SparkSession.active()
    except PySparkRuntimeError:
        running = None
    session = _started(app_name) if running is None else nullcontext(running)
    with session as spark, worker_failures():
        if not is_local(spark):
            # All executors must have registered, since each is checked.
            n_slots = wait_for_slots(spark)
            check_packages(spark, modules, n_slots)
            check_storage_is_shared(spark, store, n_slots)
        yield spark


@contextmanager
def _started(app_name: str) -> Iterator[SparkSession]:
    """Start a session and stop it at the end, also on a signal."""
    remote = os.environ.get("SPARK_REMOTE", "")
    if not remote.startswith("sc:"):
        check_java()
        silence_py4j()
    spark = _start(app_name, remote)
    try:
        context = None if remote else spark.sparkContext
        with nullcontext() if context is None else cancel_jobs_on_signal(context):
            yield spark
    finally:
        stop_listening()
        spark.stop()


def _start(app_name: str, remote: str) -> SparkSession:
    # Otherwise executors start the system's Python.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if not remote:
        with nullcontext() if "PYSPARK_GATEWAY_PORT" in os.environ else filtered_stderr():
            ignore_sigint_in_jvm()  # starts the JVM
    builder = SparkSession.builder.appName(f"trailergenre {app_name}")
    if is_local_master(remote or SparkConf().get("spark.master", "")):
        # Else every user of this machine could read what Spark sends or leaves on the disk. Spark
        # makes a random secret and a random key, which stay in its process.
        builder = builder.config("spark.authenticate", "true")
        builder = builder.config("spark.io.encryption.enabled", "true")
    builder = (
        builder.config("spark.sql.session.timeZone", "UTC")
        # A lost file must be an error, not a missing row.
        .config("spark.sql.files.ignoreCorruptFiles", "false")
        .config("spark.sql.files.ignoreMissingFiles", "false")
        # Hadoop has a umask of its own, by which everybody could read the scores.
        .config("spark.hadoop.fs.permissions.umask-mode", f"{_read_umask():03o}")
    )
    if remote:
        # A server that runs refuses settings of its start, and says so; one on this machine that
        # has them from here says it as well.
        with filtered_stderr(), warnings.catch_warnings(action="ignore", category=UserWarning):
            return builder.getOrCreate()
    builder = builder.config("spark.eventLog.enabled", str(_has_event_log()).lower())
    call_aside(builder.getOrCreate)
    spark = builder.getOrCreate()  # the same, made this thread's own
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def _read_umask() -> int:
    """Read the umask; `os.umask` would change it for all threads for a moment."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory, "made")
        made.mkdir()
        return 0o777 & ~made.stat().st_mode


def _has_event_log() -> bool:
    """Whether events are to be logged; creates a local directory, which Spark does not."""
    conf = SparkConf()
    if conf.get("spark.eventLog.enabled", "false") != "true":
        return False
    address = urlsplit(conf.get("spark.eventLog.dir") or "/tmp/spark-events")
    if address.scheme in ("", "file"):
        try:
            Path(unquote(address.path)).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            log.warning("no event log: %s cannot be created: %s", address.path, error.strerror)
            return False
    return True


@contextmanager
def worker_failures() -> Iterator[None]:
    """Raise the failure of a worker as a `ClusterError` without Java's stack trace.

    Exceptions of the driver pass unchanged.
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
            log.error("%s", error)  # a bug: the traceback is needed
            raise ClusterError(f"A worker failed: {message}") from error
        raise ClusterError(_OUR_ERROR.sub("", message, count=1)) from error
    except (Py4JJavaError, PySparkException) as error:
        aborted = _JOB_ABORTED.search(str(error))
        if aborted is None:
            raise
        raise ClusterError(f"The cluster gave up. {aborted[0]}") from error


def _last_message(traceback: str) -> str:
    """Return the text below the last frame of a Python traceback."""
    lines = traceback.splitlines()
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    below = lines[frames[-1] + 1 :] if frames else lines
    # The frame's source line and its markers are indented.
    first = next((number for number, line in enumerate(below) if not line.startswith(" ")), 0)
    return "\n".join(below[first:]).strip()


def is_remote(spark: SparkSession) -> bool:
    """Whether a session is one of Spark Connect."""
    return type(spark).__module__.startswith("pyspark.sql.connect")


def spark_context(spark: SparkSession) -> SparkContext:
    """Return the context of a session; a ConfigError if it has none."""
    if is_remote(spark):
        raise ConfigError(
            "This job needs Spark's own API (SparkContext), which Spark Connect does not give. "
            f"Received: a session at {os.environ.get('SPARK_REMOTE', 'a remote server')}.",
            "Start it on the cluster: unset SPARK_REMOTE, and give --master or use spark-submit.",
        )
    return spark.sparkContext


def is_local(spark: SparkSession) -> bool:
    """Whether Spark runs in this process, without a cluster."""
    return is_local_master(spark.conf.get("spark.master", "") or "")


def slots(spark: SparkSession) -> int:
    """Count the tasks that can run at the same time."""
    task_cores = int(spark.conf.get("spark.task.cpus", "1") or 1)
    if not is_remote(spark):
        return max(1, spark.sparkContext.defaultParallelism // task_cores)
    # A range without a number of partitions has as many as there are cores.
    partitions = spark.range(_MAX_CORES).select(F.spark_partition_id().alias("partition"))
    (last,) = partitions.agg(F.max("partition")).collect()[0]
    return max(1, (int(last) + 1) // task_cores)


def wait_for_slots(spark: SparkSession) -> int:
    """Count slots once no more executors register: on a cluster they do so one after the other."""
    n_slots, deadline = slots(spark), time.monotonic() + _MAX_WAIT_S
    while not is_local(spark) and time.monotonic() < deadline:
        time.sleep(_SETTLED_S)
        before, n_slots = n_slots, slots(spark)
        if n_slots == before:
            break
    return n_slots

"""The GPUs and slots of a stage, and where a task runs."""

from __future__ import annotations

import contextlib
import os
from socket import gethostname

import psutil
from pyspark import TaskContext
from pyspark.resource import (
    ExecutorResourceRequests,
    ResourceProfile,
    ResourceProfileBuilder,
    TaskResourceRequests,
)
from pyspark.sql import SparkSession

from trailergenre.base.errors import ConfigError
from trailergenre.runs.stage_time import Place
from trailergenre.spark.session import is_local, slots

GPU = "gpu"
"""Spark's name of the resource."""

_CORES = "spark.executor.cores"
_DYNAMIC = "spark.dynamicAllocation.enabled"
_MAX_EXECUTORS = "spark.dynamicAllocation.maxExecutors"
_EXECUTOR_ID = "--executor-id"


def check_gpu_slots(spark: SparkSession) -> None:
    """Refuse several tasks on one GPU: without a cluster Spark assigns no GPU addresses."""
    if is_local(spark) and slots(spark) > 1:
        raise ConfigError(
            "backbone.device = gpu takes one task per GPU, and without a cluster Spark assigns no "
            f"GPU addresses. Received: --master {spark.conf.get('spark.master')}. Use --master "
            "local[1], or a cluster."
        )


def coming_slots(spark: SparkSession, *, on_gpus: bool) -> int | None:
    """Count the tasks that a stage can run at the same time under dynamic allocation.

    `on_gpus` says that the stage has `gpu_profile`, one task per executor. None without dynamic
    allocation. A ConfigError if the number or the size of the executors is not configured.
    """
    conf = spark.conf
    if is_local(spark) or conf.get(_DYNAMIC, "false") != "true":
        return None
    n_executors, cores = conf.get(_MAX_EXECUTORS), conf.get(_CORES)
    if n_executors is None or cores is None:
        raise ConfigError(
            f"With {_DYNAMIC}=true the list of links is split by the number of executors that may "
            f"start: set {_MAX_EXECUTORS} and {_CORES}. "
            f"Received: {n_executors or 'nothing'} and {cores or 'nothing'}."
        )
    tasks = 1 if on_gpus else int(cores) // int(conf.get("spark.task.cpus", "1") or 1)
    return max(1, int(n_executors) * tasks)


def gpu_profile(spark: SparkSession) -> ResourceProfile | None:
    """Make the profile of a stage that embeds on GPUs: one GPU and all cores per task.

    Earlier stages run on the default profile's executors, which have no GPU. None without a
    cluster, where Spark assigns no GPU addresses.
    """
    conf = spark.conf
    if is_local(spark):
        return None
    if conf.get(_DYNAMIC, "false") != "true":
        raise ConfigError(
            "With --keep frames and backbone.device = gpu, Spark starts executors with a GPU for "
            f"the second stage, which needs {_DYNAMIC}=true and what docs/gpu.md lists beside it. "
            "Received: false."
        )
    cores = int(conf.get(_CORES, "1") or 1)
    memory = conf.get("spark.executor.memory", "1g") or "1g"
    executors = ExecutorResourceRequests().cores(cores).memory(memory)
    executors = executors.resource(
        GPU,
        1,
        discoveryScript=conf.get("spark.executor.resource.gpu.discoveryScript", "") or "",
        vendor=conf.get("spark.executor.resource.gpu.vendor", "") or "",
    )
    tasks = TaskResourceRequests().cpus(cores).resource(GPU, 1)
    return ResourceProfileBuilder().require(executors).require(tasks).build


def granted_address() -> str | None:
    """Return the GPU that this task may use; None on one machine with a single slot."""
    context = TaskContext.get()
    granted = context.resources() if context is not None else {}
    addresses = granted[GPU].addresses if GPU in granted else []
    if len(addresses) == 1:
        return str(addresses[0])
    if not addresses and find_place().executor == "driver":
        return None
    raise ConfigError(
        f"backbone.device = gpu takes one GPU per task. Received: {len(addresses)} from Spark. Set "
        "spark.executor.resource.gpu.amount and spark.task.resource.gpu.amount=1 "
        "(conf/discover_gpu.sh finds the addresses), or backbone.device = cpu."
    )


def find_place() -> Place:
    """Find where this task runs.

    Spark does not tell Python the executor, so it is read from the command line of the JVM.
    """
    words = [_EXECUTOR_ID, "unknown"]
    with contextlib.suppress(psutil.Error):
        jvm = psutil.Process(os.getppid()).parent()  # above Spark's daemon
        words = words if jvm is None else jvm.cmdline()
    executor = words[words.index(_EXECUTOR_ID) + 1] if _EXECUTOR_ID in words else "driver"
    return Place(executor=executor, host=gethostname(), worker=os.getpid())

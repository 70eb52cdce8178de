"""What a task was given to run on: its place in the cluster, and its GPU."""

from __future__ import annotations

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

from trailergenre.errors import ConfigError
from trailergenre.time_spent import Place

GPU = "gpu"
"""Spark's name of the resource."""

_CORES = "spark.executor.cores"
_SCRIPT = "spark.executor.resource.gpu.discoveryScript"
_EXECUTOR_ID = "--executor-id"


def check_gpu_slots(spark: SparkSession) -> None:
    """Refuse to run several tasks on one GPU: without a cluster Spark grants no addresses.

    Raises:
        ConfigError: this is one machine with several slots.
    """
    master = spark.sparkContext.master or ""
    if _is_local(master) and spark.sparkContext.defaultParallelism > 1:
        raise ConfigError(
            "backbone.device = gpu takes one task a GPU, and without a cluster Spark grants no "
            f"addresses. Received: --master {master}. Use --master local[1], or a cluster."
        )


def _is_local(master: str) -> bool:
    return master.startswith("local") and not master.startswith("local-cluster")


def gpu_profile(spark: SparkSession) -> ResourceProfile | None:
    """The executors and tasks of a stage that embeds on GPUs: one GPU and all cores each.

    Stages before it run on the default profile's executors, which have no GPU.

    Returns:
        None on one machine without a cluster: there Spark grants no addresses.

    Raises:
        ConfigError: the cluster could not start such executors.
    """
    conf = spark.sparkContext.getConf()
    if _is_local(spark.sparkContext.master or ""):
        return None
    if conf.get("spark.dynamicAllocation.enabled", "false") != "true":
        raise ConfigError(
            "With --keep frames and backbone.device = gpu Spark starts executors with a GPU for "
            "the second stage, which needs spark.dynamicAllocation.enabled=true. Received: false."
        )
    cores = int(conf.get(_CORES, "1") or 1)
    memory = conf.get("spark.executor.memory", "1g") or "1g"
    executors = ExecutorResourceRequests().cores(cores).memory(memory)
    executors = executors.resource(GPU, 1, discoveryScript=conf.get(_SCRIPT, "") or "")
    tasks = TaskResourceRequests().cpus(cores).resource(GPU, 1)
    return ResourceProfileBuilder().require(executors).require(tasks).build


def granted_address() -> str | None:
    """The GPU that this task may use; None on one machine with a single slot.

    Raises:
        ConfigError: Spark granted none, or several.
    """
    context = TaskContext.get()
    granted = context.resources() if context is not None else {}
    addresses = granted[GPU].addresses if GPU in granted else []
    if len(addresses) == 1:
        return str(addresses[0])
    if not addresses and find_place().executor == "driver":
        return None
    raise ConfigError(
        "backbone.device = gpu takes one GPU for each task, and Spark granted this one "
        f"{len(addresses)}. Set spark.executor.resource.gpu.amount and "
        "spark.task.resource.gpu.amount=1 (conf/discover_gpu.sh finds the addresses), or "
        "backbone.device = cpu."
    )


def find_place() -> Place:
    """Where this task runs."""
    return Place(executor=_executor_id(), host=gethostname(), worker=os.getpid())


def _executor_id() -> str:
    """From the command line of the JVM above Spark's daemon, which tells Python nothing of it."""
    try:
        words = psutil.Process(os.getppid()).parent().cmdline()  # type: ignore[union-attr]
    except (psutil.Error, AttributeError):
        return "unknown"
    return words[words.index(_EXECUTOR_ID) + 1] if _EXECUTOR_ID in words else "driver"

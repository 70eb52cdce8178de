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

from trailergenre.base.errors import ConfigError
from trailergenre.runs.stage_time import Place

GPU = "gpu"
"""Spark's name of the resource."""

_CORES = "spark.executor.cores"
_TASK_CORES = "spark.task.cpus"
_BY_DEMAND = "spark.dynamicAllocation.enabled"
_MOST_EXECUTORS = "spark.dynamicAllocation.maxExecutors"
_SCRIPT = "spark.executor.resource.gpu.discoveryScript"
_VENDOR = "spark.executor.resource.gpu.vendor"
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


def coming_slots(spark: SparkSession, *, on_gpus: bool) -> int | None:
    """Tasks of a stage that run at the same time once all executors that may come are there.

    Args:
        spark: the session.
        on_gpus: whether the stage has the profile of `gpu_profile`, one task an executor.

    Returns:
        None where executors do not come by demand: there those that have come are all.

    Raises:
        ConfigError: nothing says how many may come, or of what size.
    """
    conf = spark.sparkContext.getConf()
    if _is_local(spark.sparkContext.master or "") or conf.get(_BY_DEMAND, "false") != "true":
        return None
    most, cores = conf.get(_MOST_EXECUTORS), conf.get(_CORES)
    if most is None or cores is None:
        raise ConfigError(
            f"With {_BY_DEMAND}=true executors come when tasks wait for them, so the list is cut "
            f"by how many may come: set {_MOST_EXECUTORS} and {_CORES}. "
            f"Received: {most or 'nothing'} and {cores or 'nothing'}."
        )
    tasks = 1 if on_gpus else int(cores) // int(conf.get(_TASK_CORES, "1") or 1)
    return max(1, int(most) * tasks)


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
    if conf.get(_BY_DEMAND, "false") != "true":
        raise ConfigError(
            "With --keep frames and backbone.device = gpu Spark starts executors with a GPU for "
            f"the second stage, which needs {_BY_DEMAND}=true and what docs/gpu.md lists "
            "beside it. Received: false."
        )
    cores = int(conf.get(_CORES, "1") or 1)
    memory = conf.get("spark.executor.memory", "1g") or "1g"
    executors = ExecutorResourceRequests().cores(cores).memory(memory)
    script, vendor = conf.get(_SCRIPT, "") or "", conf.get(_VENDOR, "") or ""
    executors = executors.resource(GPU, 1, discoveryScript=script, vendor=vendor)
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

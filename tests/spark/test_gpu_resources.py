from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from trailergenre.base.errors import ConfigError
from trailergenre.spark.gpu_resources import coming_slots, gpu_profile
from trailergenre.spark.session import slots

BY_DEMAND = {
    "spark.dynamicAllocation.enabled": "true",
    "spark.dynamicAllocation.maxExecutors": "6",
    "spark.executor.cores": "8",
}


def cluster(properties: dict[str, str], master: str = "spark://host:7077", cores: int = 2) -> Any:
    """What a session says of its cluster; `cores` are those of executors that are there."""
    conf = SimpleNamespace(get={"spark.master": master, **properties}.get)
    return SimpleNamespace(conf=conf, sparkContext=SimpleNamespace(defaultParallelism=cores))


@pytest.mark.parametrize(
    ("more", "on_gpus", "slots"),
    [
        ({}, False, 48),
        ({"spark.task.cpus": "3"}, False, 12),  # of 8 cores 2 stay idle
        ({"spark.task.cpus": "3"}, True, 6),
    ],
)
def test_where_executors_come_by_demand_those_that_may_come_count(
    more: dict[str, str], on_gpus: bool, slots: int
) -> None:
    assert coming_slots(cluster(BY_DEMAND | more), on_gpus=on_gpus) == slots


@pytest.mark.parametrize("unset", ["dynamicAllocation.maxExecutors", "executor.cores"])
def test_executors_of_unknown_number_or_size_are_refused(unset: str) -> None:
    properties = {key: value for key, value in BY_DEMAND.items() if key != f"spark.{unset}"}
    with pytest.raises(ConfigError, match=rf"set .*{unset}.* Received: .*nothing"):
        coming_slots(cluster(properties), on_gpus=False)


def test_elsewhere_the_executors_that_are_there_count() -> None:
    assert coming_slots(cluster({"spark.executor.cores": "8"}), on_gpus=False) is None
    assert coming_slots(cluster(BY_DEMAND, master="local[2]"), on_gpus=False) is None


def test_a_task_of_several_cores_is_one_slot() -> None:
    assert slots(cluster({}, cores=8)) == 8
    assert slots(cluster({"spark.task.cpus": "3"}, cores=8)) == 2


def test_a_gpu_stage_without_executors_by_demand_is_refused_by_key() -> None:
    with pytest.raises(ConfigError, match=r"spark\.dynamicAllocation\.enabled=true and what docs"):
        gpu_profile(cluster({"spark.executor.cores": "8"}))

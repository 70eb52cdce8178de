"""CPU tasks beside GPU tasks: a standalone cluster whose workers say that they have a GPU each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from clips import make_clip
from lists import write_links
from submits import finish, standalone_cluster, submit
from trailergenre.base.storage import Store

pytestmark = pytest.mark.slow

# Executors of both kinds side by side: idle ones must go for others to come.
CONF = [
    "spark.dynamicAllocation.enabled=true",
    "spark.dynamicAllocation.shuffleTracking.enabled=true",
    "spark.dynamicAllocation.maxExecutors=2",
    "spark.dynamicAllocation.executorIdleTimeout=2s",
    "spark.dynamicAllocation.schedulerBacklogTimeout=1s",
    "spark.executor.cores=1",
    "spark.executor.memory=1g",
]

PROBE = """
import json, os, sys, time
from pathlib import Path
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession
from trailergenre.spark.gpu_resources import find_place, gpu_profile, granted_address

met, until = Path(sys.argv[1]), time.monotonic() + 300

def look(batches):
    for batch in batches:
        resources = TaskContext.get().resources()
        address = granted_address() if resources else "none"
        place = find_place()
        if resources:
            # Both tasks of the stage are there at the same time.
            (met / address).touch()
            while len(os.listdir(met)) < 2 and time.monotonic() < until:
                time.sleep(0.1)
        yield pa.RecordBatch.from_pylist([{"address": address, "executor": place.executor}])

spark = SparkSession.builder.getOrCreate()
links = spark.createDataFrame(spark.sparkContext.parallelize([(n,) for n in range(2)], 2), "n int")
columns = "address string, executor string"
stages = {}
for name, profile in (("cpu", None), ("gpu", gpu_profile(spark))):
    rows = links.mapInArrow(look, columns, profile=profile).collect()
    stages[name] = [[row.address, row.executor] for row in rows]
print(json.dumps(stages))
"""


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standalone_cluster(tmp_path_factory.mktemp("spark"), cores=2, gpus=True) as master:
        yield master


def test_the_first_stage_runs_without_gpus_and_the_second_on_one_a_task(
    master: str, tmp_path: Path
) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    met = tmp_path / "met"
    met.mkdir()
    stages = finish(str(tmp_path / "probe"), str(met), master=master, conf=CONF)
    assert {address for address, _ in stages["cpu"]} == {"none"}
    assert {address for address, _ in stages["gpu"]} == {"0", "1"}
    by_executor = {executor: address for address, executor in stages["gpu"]}
    assert sorted(by_executor.values()) == ["0", "1"]
    assert not by_executor.keys() & {executor for _, executor in stages["cpu"]}


def test_the_job_keeps_its_frames_on_cpus_and_fails_by_name_where_the_gpu_is_none(
    master: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=2")
    run = tmp_path / "run"
    (link,) = write_links(Store(str(run)), [clip.as_uri()])
    settings = [f"backbone.path={tiny_backbone}", f'links.allowed_roots=["{tmp_path}"]']
    settings += ["backbone.device=gpu"]
    arguments = [str(run), *(word for setting in settings for word in ("--set", setting))]
    ended = submit("featurize", *arguments, "--keep", "frames", master=master, conf=CONF)
    assert ended.code == 2
    assert "backbone.device = gpu" in ended.output
    assert [path.name for path in run.glob("frames/*/*")] == [link.link_id]

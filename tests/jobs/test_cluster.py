"""A standalone cluster of two machines, one for all tests: what only a cluster can show.

Its workers have no package, say that they have a GPU each, and are two hosts to Spark.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socket import gethostname

import psutil
import pytest
from pymongo import MongoClient

import jvms
from clips import make_clip
from killed import (
    Driver,
    assert_nothing_is_left,
    clip_server,
    content_hash,
    features_hash,
    make_case,
)
from lists import write_links
from mongos import content_hash as documents_hash
from mongos import destination_at, in_file, publish, stored
from runs import make_movies, make_run
from servers import Answer, answer, content
from servers.files import serve
from shared import shared_inception
from submits import (
    REPOSITORY,
    Ended,
    arguments,
    finish,
    load_script,
    package_zip,
    standalone_cluster,
    submit,
)
from trailergenre.base.config import BackboneConfig
from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ExitCode
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.storage import Store
from trailergenre.features.backbone import load_embedder
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import stream_settings
from trailergenre.mongo.connection import Document
from trailergenre.runs import features_table, outcomes_table
from trailergenre.runs.fingerprint import choose_fingerprint

pytestmark = pytest.mark.slow

TWO_SLOTS = ["spark.executor.cores=1", "spark.cores.max=2"]
"""One on each machine."""


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("spark")
    with standalone_cluster(directory, cores=2, gpus=True, apart=True) as address:
        yield address
    shutil.rmtree(directory)  # 1.3 GB: the archive, and the environment unpacked


def submit_from_a_clean_shell(home: Path, *words: str) -> Ended:
    """What a user types after `source .venv/bin/activate`, with nothing else in the environment.

    Java's options for tests are kept.
    """
    java = Path(shutil.which("java") or "").parent
    path = os.pathsep.join(map(str, (Path(sys.executable).parent, java, "/usr/bin", "/bin")))
    done = subprocess.run(
        [str(Path(sys.executable).with_name("spark-submit")), *words],
        cwd=REPOSITORY,
        env={"PATH": path, "HOME": str(home), **{n: os.environ[n] for n in jvms.ENVIRONMENT}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


def test_the_packed_environment_is_all_that_a_worker_needs_and_gives_the_bytes_of_one_machine(
    master: str,
    driver: Driver,
    data_dir: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Real clips, the real network: on the cluster, locally, and without Spark."""
    backbone = shared_inception(tmp_path_factory).out
    local, cluster = Store(str(tmp_path / "local")), Store(str(tmp_path / "cluster"))
    home, packed = tmp_path / "home", tmp_path / "environment.tar.gz"
    home.mkdir()
    packing = load_script(REPOSITORY / "conf" / "pack_environment.py")
    packing.GZIP_LEVEL = 0  # half of the processor's time
    packing.ROOT = "trailergenre[spark,mongo]"  # as `make setup` has it, without OpenVINO
    packing.pack(packed)
    events = tmp_path / "new" / "events"
    conf = {
        "spark.submit.pyFiles": package_zip(tmp_path),
        "spark.archives": f"{packed}#environment",
        "spark.pyspark.driver.python": sys.executable,
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.eventLog.dir": events,
        "spark.executor.extraJavaOptions": jvms.LIGHT,
        "spark.cores.max": "1",  # the archive is unpacked once
    }
    with serve(data_dir / "video") as server:
        names = sorted(clip.name for clip in (data_dir / "video").glob("*_10s.mp4"))
        urls = [f"http://{server.address}/{name}" for name in names]
        settings = (f"backbone.path={backbone}", f'network.allow=["{server.address}"]')
        for store in (local, cluster):
            links = write_links(store, urls)
        assert driver.featurize(arguments(local, *settings)).code == 0
        ended = submit_from_a_clean_shell(
            home,
            *("--properties-file", "conf/spark-standalone.conf", "--master", master),
            *(word for key, value in conf.items() for word in ("--conf", f"{key}={value}")),
            *("jobs/featurize.py", *arguments(cluster, *settings)),
        )
        config = load_config((), settings[1:])
        embedder = load_embedder(BackboneConfig(path=str(backbone)))
        alone = {
            record.link.link_id: record.features
            for record in embed_links(links, stream_settings(config, FORM), embedder)
        }
    packed.unlink()
    assert ended.summary["by_outcome"] == {"ok": 3}
    assert any(path.is_file() for path in events.rglob("events_*"))
    assert list(home.iterdir()) == []
    assert features_hash(local) == features_hash(cluster)
    outcomes = outcomes_table.read_outcomes(cluster, choose_fingerprint(cluster, None))
    assert sorted(outcomes["frames"].to_pylist()) == [10, 10, 10]
    rows = [
        row for part in features_table.iter_features(cluster, outcomes) for row in part.to_pylist()
    ]
    assert len(rows) == 30
    for row in rows:
        assert alone[row["link_id"]][row["frame_index"]].tolist() == row["features"]


def lacking_interpreter(directory: Path, *modules: str) -> Path:
    """An interpreter whose environment has everything that is installed here but these modules."""
    venv.create(directory, with_pip=False, symlinks=True)
    (packages,) = directory.glob("lib/python*/site-packages")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and path.name.partition("-")[0] not in modules:
            (packages / path.name).symlink_to(path)
    return directory / "bin" / "python"


def test_workers_that_lack_packages_end_the_run_and_are_named(
    master: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    python = lacking_interpreter(tmp_path / "python", "onnxruntime", "pyarrow", "yt_dlp")
    write_links(Store(str(tmp_path / "run")), ["https://example.org/x.mp4"])
    ended = submit(
        *("featurize", str(tmp_path / "run"), "--set", f"backbone.path={tiny_backbone}"),
        master=master,
        conf=[
            *TWO_SLOTS,
            f"spark.submit.pyFiles={package_zip(tmp_path)}",
            f"spark.pyspark.python={python}",
        ],
    )
    assert ended.code == ExitCode.USAGE
    where = f"on {gethostname()} ({python})"
    lacking = "; ".join(f"{name} {where}" for name in ("onnxruntime", "pyarrow", "yt_dlp"))
    assert f"error: Workers lack Python modules: {lacking}. Ship dist/" in ended.output
    assert "Traceback" not in ended.output
    assert "org.apache.spark" not in ended.output


# Executors of both kinds side by side: idle ones must go for others to come.
ON_DEMAND = [
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


@pytest.mark.soak
def test_the_first_stage_runs_without_gpus_and_the_second_on_one_a_task(
    master: str, tmp_path: Path
) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    met = tmp_path / "met"
    met.mkdir()
    stages = finish(str(tmp_path / "probe"), str(met), master=master, conf=ON_DEMAND)
    assert {address for address, _ in stages["cpu"]} == {"none"}
    assert {address for address, _ in stages["gpu"]} == {"0", "1"}
    by_executor = {executor: address for address, executor in stages["gpu"]}
    assert sorted(by_executor.values()) == ["0", "1"]
    assert not by_executor.keys() & {executor for _, executor in stages["cpu"]}


@pytest.mark.soak  # minutes; its parts are tested alone
def test_the_job_keeps_its_frames_on_cpus_and_fails_by_name_where_the_gpu_is_none(
    master: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=2")
    run = tmp_path / "run"
    (link,) = write_links(Store(str(run)), [clip.as_uri()])
    settings = [f"backbone.path={tiny_backbone}", f'links.allowed_roots=["{tmp_path}"]']
    settings += ["backbone.device=gpu"]
    words = arguments(run, *settings)
    ended = submit("featurize", *words, "--keep", "frames", master=master, conf=ON_DEMAND)
    assert ended.code == 2
    assert "backbone.device = gpu" in ended.output
    assert [path.name for path in run.glob("frames/*/*")] == [link.link_id]


GAP_S = 3.0
"""Longer than an attempt takes, so that it is the pace that is seen."""


@dataclass
class Site:
    """Serves one clip under every path, and looks at who asks.

    Attributes:
        body: the clip.
        killed_at: attempt at the paced host, from 1, whose Spark worker is killed.
        attempts: process of an attempt at the paced host -> when it first asked.
        workers: the Spark workers that they came from.
        both_slots_asked: set once two requests to the other host were open at the same time.
    """

    body: bytes
    killed_at: int
    attempts: dict[int, float] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)
    both_slots_asked: threading.Event = field(default_factory=threading.Event)
    _open: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def paced(self, request: BaseHTTPRequestHandler, seen: int) -> None:
        now = time.monotonic()
        attempt = process_of(request.client_address[1])
        worker = next(p for p in attempt.parents() if "pyspark.daemon" in p.cmdline())
        is_first = attempt.pid not in self.attempts
        self.attempts.setdefault(attempt.pid, now)
        self.workers.add(worker.pid)
        if is_first and len(self.attempts) == self.killed_at:
            worker.kill()
        content(self.body)(request, seen)

    def free(self, request: BaseHTTPRequestHandler, seen: int) -> None:
        with self._lock:
            self._open += 1
            if self._open == 2:
                self.both_slots_asked.set()
        # The first to come waits for the other slot's, as long as a download bears it.
        self.both_slots_asked.wait(10)
        content(self.body)(request, seen)
        with self._lock:
            self._open -= 1


def process_of(port: int) -> psutil.Process:
    """Who connects from a port of this machine."""
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid:
            process = psutil.Process(connection.pid)
            if process.pid != psutil.Process().pid:
                return process
    raise AssertionError(f"nobody connects from {port}")


def test_a_paced_host_sees_its_gap_and_others_every_slot_also_when_a_worker_is_killed(
    master: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=1")
    site = Site(clip.read_bytes(), killed_at=2)
    store = Store(str(tmp_path / "run"))
    with answer({"/paced/*": site.paced, "/free/*": site.free}) as server:
        port = server.address.rpartition(":")[2]
        write_links(
            store,
            # One machine under two names, of which one is paced.
            [f"http://localhost:{port}/free/{number}.mp4" for number in range(4)]
            + [f"http://127.0.0.1:{port}/paced/{number}.mp4" for number in range(3)],
        )
        settings = [
            f"backbone.path={tiny_backbone}",
            f'network.allow=["{server.address}"]',
            f'hosts."127.0.0.1".seconds_between={GAP_S}',
            "chunks.max_links=1",
        ]
        words = arguments(tmp_path / "run", *settings)
        summary = finish("featurize", *words, master=master, conf=TWO_SLOTS)
    assert summary["by_outcome"] == {"ok": 7}
    rounds = outcomes_table.read_outcomes(store, summary["features"])["round"].to_pylist()
    assert rounds == [0] * 7
    starts = list(site.attempts.values())
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert len(starts) == 4  # the killed one was made again
    assert len(site.workers) > 1  # another one went on
    assert min(gaps) >= GAP_S, gaps
    assert site.both_slots_asked.is_set()


SPECULATION = [
    "spark.executor.memory=1g",
    "spark.speculation=true",
    "spark.speculation.multiplier=1.01",
    "spark.speculation.quantile=0.1",
    "spark.speculation.interval=50ms",
    "spark.speculation.minTaskRuntime=50ms",
    "spark.eventLog.compress=false",
]
"""Spark starts no twin on a local master, and none on the host of the first."""


def has_twin(events: Path) -> bool:
    return any(b'"Speculative":true' in log.read_bytes() for log in events.rglob("events_*"))


@pytest.mark.soak  # its end is that of a task that was killed after its commit
def test_f6_a_speculative_twin_leaves_one_result(
    master: str,
    driver: Driver,
    tiny_backbone: Path,
    temporary: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))  # where verify looks for scratch
    events = tmp_path / "events"
    with clip_server(tmp_path, n_clips=5) as server:
        whole, case = (make_case(server, tiny_backbone, tmp_path / name) for name in ("a", "b"))
        assert driver.featurize(whole.arguments).code == 0
        server.requests.clear()
        path = "/" + case.links[0].url.rpartition("/")[2]
        server.answers[path] = until_asked_again(server.answers[path])
        ended = submit(
            "featurize",
            *case.arguments,
            master=master,
            conf=[
                *SPECULATION,
                f"spark.eventLog.dir={events.as_uri()}",
                f"spark.executorEnv.TMPDIR={temporary}",
            ],
            env={"TMPDIR": str(temporary)},
        )
        assert ended.code == 0, ended.output
        assert has_twin(events)
        assert server.requested[path] > 1
        # Spark kills the slower one; the next job on the machine tidies up after it.
        assert driver.featurize(case.arguments).code == 0
    assert content_hash(case) == content_hash(whole)
    assert_nothing_is_left(temporary)


def until_asked_again(usual: Answer) -> Answer:
    """Hold the first request back until the second comes, which is the twin's."""
    came = threading.Event()

    def run(request: BaseHTTPRequestHandler, seen: int) -> None:
        if seen == 0:
            came.wait(60)
        else:
            came.set()
        usual(request, seen)

    return run


@pytest.mark.soak
def test_f6_a_speculative_twin_leaves_the_same_documents(
    master: str, mongo_uri: str, tmp_path: Path
) -> None:
    run, events = Store(str(tmp_path / "run")), tmp_path / "events"
    fingerprint = make_run(run, make_movies(8, frames=12), links_per_file=2)
    alone, destination = (destination_at(mongo_uri, batch_size=4) for _ in range(2))
    publish(alone, run, fingerprint)
    destination = in_file(destination, tmp_path)
    settings = (
        f"mongo.database={destination.config.database}",
        "mongo.batch_size=4",
        f"mongo.uri_file={destination.config.uri_file}",
    )
    with held_back_once(mongo_uri, seconds=20):
        ended = submit(
            "publish_features",
            *arguments(run, *settings),
            master=master,
            conf=[*SPECULATION, f"spark.eventLog.dir={events.as_uri()}"],
        )
    assert ended.summary["documents"] == 96
    assert has_twin(events)
    assert documents_hash(destination) == documents_hash(alone)
    assert len(stored(destination)) == len(stored(alone))


@contextmanager
def held_back_once(uri: str, *, seconds: int) -> Iterator[None]:
    """The server takes up one write only after this time, whoever has done it meanwhile."""
    held = {"failCommands": ["update"], "blockConnection": True, "blockTimeMS": seconds * 1000}
    with MongoClient[Document](uri) as client:
        fail = functools.partial(client.admin.command, "configureFailPoint", "failCommand")
        fail(mode={"times": 1}, data={**held, "appName": "trailergenre"})
        try:
            yield
        finally:
            fail(mode="off")

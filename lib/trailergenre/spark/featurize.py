"""Links to features on a cluster; a task is a part of the list, or a lane of a paced host.

A task takes links and writes its files itself, so no frame or feature crosses the JVM; what comes
back is where the time went.
"""

from __future__ import annotations

import functools
import json
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, fields, replace
from uuid import uuid4

import pyarrow as pa
from pyspark import TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import SparkSession

from trailergenre.base import fault_injection
from trailergenre.base.errors import ConfigError, ToolMissingError, WeightsError
from trailergenre.base.records import Link, LinkId
from trailergenre.base.terminal import escape_streams
from trailergenre.base.versions import DOWNLOAD_PACKAGES, check_minimum_versions
from trailergenre.features.chunks import Commit, featurize_task, sample_task, split_links
from trailergenre.features.settings import TaskSettings
from trailergenre.frames.ffmpeg import ffmpeg_major
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.stage_time import Place, StageTime, TimeSpent
from trailergenre.spark.gpu_resources import (
    check_gpu_slots,
    coming_slots,
    find_place,
    gpu_profile,
    granted_address,
)
from trailergenre.spark.image_udf import load_once
from trailergenre.spark.session import spark_context, wait_for_slots
from trailergenre.spark.versions import map_and_collect
from trailergenre.spark.worker_checks import reading_secrets
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.pacing import HostPacer, HostState, HostStates, assign_lanes

_LINK_COLUMNS = (
    "link_id string, url string, round int, is_refetched boolean, leads_to array<string>"
)
_SPARK_TYPES = {"str": "string", "int": "long", "float": "double"}
_COMMIT_COLUMNS = "led string, " + ", ".join(
    f"{field.name} {_SPARK_TYPES[str(field.type)]}"
    for field in (*fields(Place), *fields(TimeSpent))
)

StageWork = Callable[[list[Link], TaskSettings, HostPacer], Iterator[Commit]]
"""What a task of a stage does with its links."""


def featurize_links(
    spark: SparkSession, links: Sequence[Link], settings: TaskSettings
) -> list[StageTime]:
    """Bring links to their outcomes on the cluster.

    Where frames are to be kept, a first stage brings them to storage on CPUs alone, and a second
    stage reads and embeds them, on GPUs if `backbone.device` says so.

    Relies on `spark.python.worker.reuse` (true by default): the network is loaded once a worker.
    """
    is_gpu = settings.config.backbone.device == "gpu"
    if is_gpu:
        check_gpu_slots(spark)
    kept = settings.frames
    if kept is None or not kept.keeps_new:
        return _run_stages(spark, links, settings, "embed", _embed)
    # What the second stage lacks must be known before the first one takes its hours.
    profile = gpu_profile(spark) if is_gpu else None
    times = []
    kept_ids = kept.list_link_ids()
    if missing := [link for link in links if link.link_id not in kept_ids]:
        times += _run_stages(spark, missing, settings, "sample", _sample)
        kept_ids = kept.list_link_ids()
    # The others failed, and have their outcomes.
    if ready := [link for link in links if link.link_id in kept_ids]:
        times += _run_stages(spark, ready, settings, "embed", _embed, profile)
    return times


def _run_stages(
    spark: SparkSession,
    links: Sequence[Link],
    settings: TaskSettings,
    name: str,
    work: StageWork,
    profile: ResourceProfile | None = None,
) -> list[StageTime]:
    """Run a stage, and again for the links that lead to a paced host that is not yet theirs.

    This ends: each time, their hosts are one more.
    """
    times = []
    while links:
        time_, led = _run_stage(spark, links, settings, name, work, profile)
        times.append(time_)
        links = [
            replace(link, leads_to=(*link.leads_to, led[link.link_id]))
            for link in links
            if link.link_id in led
        ]
    return times


def _run_stage(
    spark: SparkSession,
    links: Sequence[Link],
    settings: TaskSettings,
    name: str,
    work: StageWork,
    profile: ResourceProfile | None,
) -> tuple[StageTime, dict[LinkId, str]]:
    started = time.monotonic()
    hosts = settings.config.hosts
    n_slots = coming_slots(spark, on_gpus=profile is not None) or wait_for_slots(spark)
    kept = settings.list_kept() if hosts else ()
    # Lanes come first: they mostly wait, so they take the longest.
    tasks, rest = assign_lanes(links, hosts, n_slots=n_slots, kept=kept)
    tasks += split_links(rest, max(1, n_slots - len(tasks)))
    rows = (
        spark_context(spark)
        .parallelize(tasks, len(tasks))
        .flatMap(lambda task: [astuple(link) for link in task])
    )
    table = spark.createDataFrame(rows, _LINK_COLUMNS)
    session = uuid4().hex

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """One task: its partition's rows are its links; a row comes out for each commit."""
        escape_streams()  # what a fault quotes
        rows = (row for batch in batches for row in batch.to_pylist())
        links = [Link(**{**row, "leads_to": tuple(row["leads_to"])}) for row in rows]
        max_rest_s = settings.config.limits.max_rest_s
        pacer = HostPacer(hosts, _host_states(session), n_slots=n_slots, max_rest_s=max_rest_s)
        place = find_place()
        for commit in work(links, settings, pacer):
            row = {"led": json.dumps(commit.led)} | asdict(place) | asdict(commit.spent)
            yield pa.RecordBatch.from_pylist([row])

    # One stage without a shuffle: a stage that is run again counts its tasks from attempt 0, and
    # they would ask for committed links once more.
    commits = map_and_collect(table, run, _COMMIT_COLUMNS, profile)
    n = len(fields(Place))
    led: dict[LinkId, str] = {}
    spent = []
    for of_commit, *row in commits:
        led |= json.loads(of_commit)
        spent.append((Place(*row[:n]), TimeSpent(*row[n:])))
    return StageTime(name, time.monotonic() - started, spent), led


def _sample(links: list[Link], settings: TaskSettings, pacer: HostPacer) -> Iterator[Commit]:
    _check_worker(settings)
    kept = settings.frames
    # An earlier attempt of this task may have kept some.
    missing = (
        link
        for link in pacer.order(_begin(links, settings))
        if kept is not None and not kept.has(link)
    )
    return sample_task(missing, settings, pacer)


def _embed(links: list[Link], settings: TaskSettings, pacer: HostPacer) -> Iterator[Commit]:
    _check_worker(settings)
    backbone, features = settings.config.backbone, settings.features
    address = granted_address() if backbone.device == "gpu" else None
    embedder = load_once(backbone, address)
    manifest = embedder.manifest
    for name, ours, drivers in (
        ("", manifest.backbone_id, features.backbone_id),
        ("'s int8 network", manifest.int8_sha256, features.calibration),
    ):
        if ours != drivers:
            raise WeightsError(
                f"The backbone{name} at {backbone.path} on this worker is {ours or 'none'}, the "
                f"driver's is {drivers or 'none'}: their features differ. Copy the driver's to all "
                "nodes, or name a path that they share."
            )
    return featurize_task(pacer.order(_begin(links, settings)), settings, embedder, pacer)


def _check_worker(settings: TaskSettings) -> None:
    check_minimum_versions("pyarrow", *DOWNLOAD_PACKAGES)
    with reading_secrets():
        Downloader.from_config(settings.config, settings.form)
    if ffmpeg_major() != settings.features.ffmpeg_major:
        raise ToolMissingError(
            f"This worker has ffmpeg {ffmpeg_major()}, the driver {settings.features.ffmpeg_major}:"
            " their frames differ. Install the same major version on all nodes."
        )
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        raise ConfigError(
            f"This Python worker may take {address_space} bytes of address space "
            "(spark.executor.pyspark.memory sets that), and YouTube's JavaScript runtime dies "
            "under such a limit. Leave it unset; limits.max_memory_bytes bounds each child."
        )


def _begin(links: list[Link], settings: TaskSettings) -> list[Link]:
    """Arm the kill on purpose; return the links that no earlier attempt of the task committed."""
    context = TaskContext.get()
    if context is not None:
        attempt = context.attemptNumber()
        fault_injection.arm(settings.faults, task=context.partitionId(), attempt=attempt)
        links = _without_committed(links, settings) if attempt > 0 else links
    fault_injection.reach(fault_injection.Point.PLANNED)
    return links


def _without_committed(links: list[Link], settings: TaskSettings) -> list[Link]:
    # All rows, also those that do not count: a retry that was deferred is not asked for again.
    outcomes = outcomes_table.read_all_outcomes(
        settings.store, settings.features.fingerprint, columns=("link_id", "round")
    )
    rounds: dict[str, int] = {}
    for row in tables.filter_links(outcomes, (link.link_id for link in links)).to_pylist():
        rounds[row["link_id"]] = max(row["round"], rounds.get(row["link_id"], -1))
    return [link for link in links if rounds.get(link.link_id, -1) < link.round]


@functools.cache
def _host_states(session: str) -> HostStates:
    """What the tasks of one stage in this Python worker know of hosts."""
    return HostStates(HostState)

"""Links to features over a cluster: a task a part of the list or a lane.

Links go in, and the task itself writes its files, so no frame or feature crosses the JVM; what
comes back is where the time went.
"""

from __future__ import annotations

import functools
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass
from uuid import uuid4

import pyarrow as pa
from pyspark import TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import Row, SparkSession

from trailergenre.base import fault_injection
from trailergenre.base.config import BackboneConfig, HostConfig
from trailergenre.base.errors import ConfigError, ToolMissingError, WeightsError
from trailergenre.base.records import Link
from trailergenre.base.versions import DOWNLOAD_PACKAGES, check_minimum_versions
from trailergenre.features.chunks import (
    ChunkSettings,
    Commit,
    cut_parts,
    featurize_chunk,
    sample_chunk,
)
from trailergenre.frames.ffmpeg import ffmpeg_major
from trailergenre.runs import tables
from trailergenre.runs.stage_time import Place, StageTime, TimeSpent
from trailergenre.spark.gpu_resources import (
    check_gpu_slots,
    coming_slots,
    find_place,
    gpu_profile,
    granted_address,
)
from trailergenre.spark.image_udf import load_once
from trailergenre.spark.session import wait_for_slots
from trailergenre.videos.pacing import HostGate, Throttles, deal_links

_LINK_COLUMNS = "link_id string, url string, round int, is_refetched boolean"
_PLACE_COLUMNS = "executor string, host string, worker long"
_SPENT_COLUMNS = (
    "links long, frames long, download_s double, decode_s double, embed_s double, write_s double, "
    "wall_s double"
)


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What travels to every task.

    Attributes:
        chunk: how a chunk becomes features.
        backbone: the network to load there.
        backbone_id: of the driver's; another on a worker would give other features.
        ffmpeg_major: of the driver; another on a worker would give other frames.
        hosts: the paced ones.
        fault: a kill on purpose.
        calibration: SHA-256 of the driver's int8 network; empty for fp32.
    """

    chunk: ChunkSettings
    backbone: BackboneConfig
    backbone_id: str
    ffmpeg_major: int
    hosts: Mapping[str, HostConfig]
    fault: fault_injection.Fault | None
    calibration: str = ""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the tasks of a stage do with their links.

    Attributes:
        name: for people.
        work: links to commits.
    """

    name: str
    work: Callable[[list[Link], TaskSettings, HostGate], Iterator[Commit]]


def featurize_links(
    spark: SparkSession, links: Sequence[Link], settings: TaskSettings
) -> list[StageTime]:
    """Bring links to their outcomes on the cluster.

    Where frames are to be kept, a first stage brings them to the shelf on CPUs alone, and a second
    one reads and embeds them, on GPUs where there are any.

    Relies on `spark.python.worker.reuse` (true by default): the network is loaded once a worker.

    Args:
        spark: the session.
        links: without a final outcome.
        settings: for the tasks.

    Returns:
        Where each stage's time went.
    """
    is_gpu = settings.backbone.device == "gpu"
    if is_gpu:
        check_gpu_slots(spark)
    shelf = settings.chunk.stream.frames
    if shelf is None or not shelf.keeps_new:
        return [_run_stage(spark, links, settings, EMBED)]
    # What the second stage lacks is told before the first one takes its hours.
    profile = gpu_profile(spark) if is_gpu else None
    kept = shelf.list_link_ids()
    missing = [link for link in links if link.link_id not in kept]
    times = [_run_stage(spark, missing, settings, SAMPLE)] if missing else []
    # The others failed, and have their outcomes.
    kept = shelf.list_link_ids()
    left = [link for link in links if link.link_id in kept]
    if not left:
        return times
    return [*times, _run_stage(spark, left, settings, EMBED, profile)]


def _run_stage(
    spark: SparkSession,
    links: Sequence[Link],
    settings: TaskSettings,
    stage: Stage,
    profile: ResourceProfile | None = None,
) -> StageTime:
    started = time.monotonic()
    n_slots = coming_slots(spark, on_gpus=profile is not None) or wait_for_slots(spark)
    kept = settings.chunk.stream.list_kept() if settings.hosts else ()
    # Lanes come first: they take the longest, for most of their time is waiting.
    parts, rest = deal_links(links, settings.hosts, n_slots=n_slots, kept=kept)
    parts += cut_parts(rest, max(1, n_slots - len(parts)))
    rows = spark.sparkContext.parallelize(parts, len(parts)).flatMap(
        lambda part: [astuple(link) for link in part]
    )
    table = spark.createDataFrame(rows, _LINK_COLUMNS)
    # One stage without a shuffle: a stage that is run again counts its tasks from attempt 0, and
    # they would ask for committed links once more.
    task = _task(stage, settings, session=uuid4().hex, n_slots=n_slots)
    commits = table.mapInArrow(
        task, f"{_PLACE_COLUMNS}, {_SPENT_COLUMNS}", profile=profile
    ).collect()
    return StageTime(
        name=stage.name,
        wall_s=time.monotonic() - started,
        commits=[_read_time(row) for row in commits],
    )


def _read_time(row: Row) -> tuple[Place, TimeSpent]:
    values = row.asDict()
    place = Place(**{name: values.pop(name) for name in ("executor", "host", "worker")})
    return place, TimeSpent(**values)


def _task(
    stage: Stage, settings: TaskSettings, *, session: str, n_slots: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """One task: the batches of its partition are its links; a small row a commit comes out."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        links = [Link(**row) for batch in batches for row in batch.to_pylist()]
        gate = HostGate(settings.hosts, _throttles(session), n_slots=n_slots)
        place = find_place()
        for commit in stage.work(links, settings, gate):
            row = asdict(place) | asdict(commit.spent)
            yield pa.RecordBatch.from_pylist([row])

    return run


def _sample_on_worker(
    links: list[Link], settings: TaskSettings, gate: HostGate
) -> Iterator[Commit]:
    _check_worker(settings)
    shelf = settings.chunk.stream.frames
    # An earlier attempt of this task may have kept some.
    missing = (
        link
        for link in gate.order(_begin(links, settings))
        if shelf is not None and not shelf.has(link)
    )
    return sample_chunk(missing, settings.chunk, gate)


def _embed_on_worker(links: list[Link], settings: TaskSettings, gate: HostGate) -> Iterator[Commit]:
    _check_worker(settings)
    address = granted_address() if settings.backbone.device == "gpu" else None
    embedder = load_once(settings.backbone, address)
    found = embedder.manifest
    if found.int8_sha256 != settings.calibration:
        raise WeightsError(
            f"The backbone at {settings.backbone.path} on this worker is {found.precision}, "
            f"its calibrated network {found.int8_sha256 or 'none'}; the driver's is "
            f"{settings.calibration or 'none'}: their features differ. Copy the driver's to all "
            "nodes, or name a path that they share."
        )
    if found.backbone_id != settings.backbone_id:
        raise WeightsError(
            f"The backbone at {settings.backbone.path} on this worker is "
            f"{found.backbone_id}, the driver's is {settings.backbone_id}: their "
            "features differ. Copy the driver's to all nodes, or name a path that they share."
        )
    links = _begin(links, settings)
    return featurize_chunk(gate.order(links), settings.chunk, embedder, gate)


SAMPLE = Stage("sample", _sample_on_worker)
EMBED = Stage("embed", _embed_on_worker)


def _check_worker(settings: TaskSettings) -> None:
    check_minimum_versions("pyarrow", *DOWNLOAD_PACKAGES)
    if ffmpeg_major() != settings.ffmpeg_major:
        raise ToolMissingError(
            f"This worker has ffmpeg {ffmpeg_major()}, the driver {settings.ffmpeg_major}: "
            "their frames differ. Install the same major version on all nodes."
        )
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    if address_space != resource.RLIM_INFINITY:
        raise ConfigError(
            f"This Python worker may take {address_space} bytes of address space "
            "(spark.executor.pyspark.memory sets that), and YouTube's JavaScript runtime dies "
            "under such a limit. Leave it unset; limits.max_memory_bytes bounds each child."
        )


def _begin(links: list[Link], settings: TaskSettings) -> list[Link]:
    """Arm the kill on purpose; gives the links that no earlier attempt of the task committed."""
    context = TaskContext.get()
    if context is not None:
        attempt = context.attemptNumber()
        fault_injection.arm(settings.fault, task=context.partitionId(), attempt=attempt)
        links = _without_committed(links, settings.chunk) if attempt > 0 else links
    fault_injection.reach(fault_injection.Point.PLANNED)
    return links


def _without_committed(links: list[Link], chunk: ChunkSettings) -> list[Link]:
    """A task that is tried again asks for nothing that its predecessor committed."""
    # All rows, also those that do not count: a retry that was deferred is not asked for again.
    columns = ("link_id", "round")
    outcomes = tables.read_all_outcomes(chunk.store, chunk.fingerprint, columns=columns)
    rounds: dict[str, int] = {}
    for row in tables.filter_links(outcomes, (link.link_id for link in links)).to_pylist():
        rounds[row["link_id"]] = max(row["round"], rounds.get(row["link_id"], -1))
    return [link for link in links if rounds.get(link.link_id, -1) < link.round]


@functools.cache
def _throttles(session: str) -> Throttles:
    """What hosts said to the tasks of one call of `featurize_links` in this Python worker."""
    return {}

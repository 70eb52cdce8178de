"""Links to features over a cluster: one task a chunk or lane, and nothing comes back.

Links go in, and the task itself writes its chunk's files, so no frame or feature crosses the JVM.
"""

from __future__ import annotations

import functools
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from uuid import uuid4

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession

from trailergenre import faults, tables
from trailergenre.backbone import Embedder, load_embedder
from trailergenre.chunks import ChunkSettings, chunk_size, featurize_chunk
from trailergenre.config import BackboneConfig, HostConfig
from trailergenre.decode import ffmpeg_major
from trailergenre.errors import ConfigError, ToolMissingError, WeightsError
from trailergenre.floors import DOWNLOAD, check_floors
from trailergenre.pacing import HostGate, Throttles, deal_links
from trailergenre.records import Link
from trailergenre.spark.session import wait_for_slots

_LINK_COLUMNS = "link_id string, url string, round int, is_refetched boolean"


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
    """

    chunk: ChunkSettings
    backbone: BackboneConfig
    backbone_id: str
    ffmpeg_major: int
    hosts: Mapping[str, HostConfig]
    fault: faults.Fault | None


def featurize_links(spark: SparkSession, links: Sequence[Link], settings: TaskSettings) -> None:
    """Bring links to their outcomes on the cluster.

    Relies on `spark.python.worker.reuse` (true by default): the network is loaded once a worker.

    Args:
        spark: the session.
        links: without a final outcome.
        settings: for the tasks.
    """
    n_slots = wait_for_slots(spark)
    size = chunk_size(len(links), n_slots, settings.chunk.chunks)
    shelf = settings.chunk.stream.shelf
    kept = shelf.list_link_ids() if shelf and settings.hosts else ()
    # Lanes come first: they take the longest, for most of their time is waiting.
    parts, rest = deal_links(links, settings.hosts, n_slots=n_slots, kept=kept)
    parts += [rest[start : start + size] for start in range(0, len(rest), size)]
    rows = spark.sparkContext.parallelize(parts, len(parts)).flatMap(
        lambda part: [astuple(link) for link in part]
    )
    table = spark.createDataFrame(rows, _LINK_COLUMNS)
    # One stage without a shuffle: a stage that is run again counts its tasks from attempt 0, and
    # they would ask for committed links once more.
    task = _task(settings, session=uuid4().hex, n_slots=n_slots)
    table.mapInArrow(task, "link_id string").collect()


def _task(
    settings: TaskSettings, *, session: str, n_slots: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """One task: the batches of its partition are its links; no row comes out."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        links = [Link(**row) for batch in batches for row in batch.to_pylist()]
        gate = HostGate(settings.hosts, _throttles(session), n_slots=n_slots)
        _featurize_on_worker(links, settings, gate)
        return iter(())

    return run


def _featurize_on_worker(links: list[Link], settings: TaskSettings, gate: HostGate) -> None:
    check_floors("pyarrow", *DOWNLOAD)
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
    embedder = _embedder(settings.backbone)
    if embedder.manifest.backbone_id != settings.backbone_id:
        raise WeightsError(
            f"The backbone at {settings.backbone.path} on this worker is "
            f"{embedder.manifest.backbone_id}, the driver's is {settings.backbone_id}: their "
            "features differ. Copy the driver's to all nodes, or name a path that they share."
        )
    context = TaskContext.get()
    if context is not None:
        attempt = context.attemptNumber()
        faults.arm(settings.fault, task=context.partitionId(), attempt=attempt)
        links = _without_committed(links, settings.chunk) if attempt > 0 else links
    faults.reach(faults.Point.PLANNED)
    for _ in featurize_chunk(gate.order(links), settings.chunk, embedder, gate):
        pass  # committed


def _without_committed(links: list[Link], chunk: ChunkSettings) -> list[Link]:
    """A task that is tried again asks for nothing that its predecessor committed."""
    # All rows, also those that do not count: a retry that was deferred is not asked for again.
    outcomes = tables.read_all_outcomes(chunk.store, chunk.fingerprint)
    rounds: dict[str, int] = {}
    for row in outcomes.select(["link_id", "round"]).to_pylist():
        rounds[row["link_id"]] = max(row["round"], rounds.get(row["link_id"], -1))
    return [link for link in links if rounds.get(link.link_id, -1) < link.round]


@functools.cache
def _throttles(session: str) -> Throttles:
    """What hosts said to the tasks of one call of `featurize_links` in this Python worker."""
    return {}


@functools.cache
def _embedder(config: BackboneConfig) -> Embedder:
    """Load the network once a Python worker."""
    return load_embedder(config)

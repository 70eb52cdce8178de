"""Links to features over a cluster: one task a chunk, and nothing comes back.

Links go in, and the task itself writes its chunk's files, so no frame or feature crosses the JVM.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession

from trailergenre import tables
from trailergenre.backbone import Embedder, load_embedder
from trailergenre.chunks import ChunkSettings, chunk_size, featurize_chunk
from trailergenre.config import BackboneConfig
from trailergenre.decode import ffmpeg_major
from trailergenre.errors import ToolMissingError, WeightsError
from trailergenre.records import Link, LinkId
from trailergenre.spark.session import slots


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What travels to every task.

    Attributes:
        chunk: how a chunk becomes features.
        backbone: the network to load there.
        backbone_id: of the driver's; another on a worker would give other features.
        ffmpeg_major: of the driver; another on a worker would give other frames.
    """

    chunk: ChunkSettings
    backbone: BackboneConfig
    backbone_id: str
    ffmpeg_major: int


def featurize_links(spark: SparkSession, links: Sequence[Link], settings: TaskSettings) -> None:
    """Bring links to their outcomes on the cluster.

    Relies on `spark.python.worker.reuse` (true by default): the network is loaded once a worker.

    Args:
        spark: the session.
        links: without a final outcome.
        settings: for the tasks.
    """
    size = chunk_size(len(links), slots(spark), settings.chunk.chunks)
    chunks = [links[start : start + size] for start in range(0, len(links), size)]
    rows = spark.sparkContext.parallelize(chunks, len(chunks)).flatMap(
        lambda chunk: [(link.link_id, link.url) for link in chunk]
    )
    table = spark.createDataFrame(rows, "link_id string, url string")
    # One stage without a shuffle: a stage that is run again counts its tasks from attempt 0, and
    # they would ask for committed links once more.
    table.mapInArrow(_task(settings), "link_id string").collect()


def _task(
    settings: TaskSettings,
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """One task: the batches of its partition are its chunk's links; no row comes out."""

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [row for batch in batches for row in batch.to_pylist()]
        _featurize_on_worker([Link(LinkId(row["link_id"]), row["url"]) for row in rows], settings)
        return iter(())

    return run


def _featurize_on_worker(links: list[Link], settings: TaskSettings) -> None:
    if ffmpeg_major() != settings.ffmpeg_major:
        raise ToolMissingError(
            f"This worker has ffmpeg {ffmpeg_major()}, the driver {settings.ffmpeg_major}: "
            "their frames differ. Install the same major version on all nodes."
        )
    embedder = _embedder(settings.backbone)
    if embedder.manifest.backbone_id != settings.backbone_id:
        raise WeightsError(
            f"The backbone at {settings.backbone.path} on this worker is "
            f"{embedder.manifest.backbone_id}, the driver's is {settings.backbone_id}: their "
            "features differ. Copy the driver's to all nodes, or name a path that they share."
        )
    context = TaskContext.get()
    if context is not None and context.attemptNumber() > 0:
        links = _without_committed(links, settings.chunk)
    for _ in featurize_chunk(links, settings.chunk, embedder):
        pass  # committed


def _without_committed(links: list[Link], chunk: ChunkSettings) -> list[Link]:
    """A task that is tried again asks for nothing that its predecessor committed."""
    outcomes = tables.read_outcomes(chunk.store, chunk.fingerprint)
    committed = set(outcomes["link_id"].to_pylist())
    return [link for link in links if link.link_id not in committed]


@functools.cache
def _embedder(config: BackboneConfig) -> Embedder:
    """Load the network once a Python worker."""
    return load_embedder(config)

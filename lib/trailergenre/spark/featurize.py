"""Links to features over a cluster: one task a chunk, nothing but outcomes rows comes back.

No frame and no feature crosses a DataFrame column: links go in, and the task itself writes its
chunk's files.
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
from trailergenre.errors import ToolMissingError
from trailergenre.records import Link, LinkId
from trailergenre.spark.session import slots
from trailergenre.spark.tables import spark_schema


@dataclass(frozen=True, slots=True)
class TaskSettings:
    """What travels to every task.

    Attributes:
        chunk: how a chunk becomes features.
        backbone: the network to load there.
        ffmpeg_major: of the driver; another on a worker would give other frames.
    """

    chunk: ChunkSettings
    backbone: BackboneConfig
    ffmpeg_major: int


def featurize_links(spark: SparkSession, links: Sequence[Link], settings: TaskSettings) -> int:
    """Bring links to their outcomes on the cluster.

    Relies on `spark.python.worker.reuse` (true by default): the network is loaded once a worker.

    Args:
        spark: the session.
        links: without a final outcome.
        settings: for the tasks.

    Returns:
        Outcomes rows written; a link that a twin of its task finished too counts twice.
    """
    size = chunk_size(len(links), slots(spark), settings.chunk.chunks)
    chunks = [links[start : start + size] for start in range(0, len(links), size)]
    rows = spark.sparkContext.parallelize(chunks, len(chunks)).flatMap(
        lambda chunk: [(link.link_id, link.url) for link in chunk]
    )
    table = spark.createDataFrame(rows, "link_id string, url string")
    return table.mapInArrow(_task(settings), spark_schema("outcomes")).count()


def _task(
    settings: TaskSettings,
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        links = [
            Link(link_id=LinkId(link_id), url=url)
            for batch in batches
            for link_id, url in zip(*batch.to_pydict().values(), strict=True)
        ]
        for outcomes in _featurize_on_worker(links, settings):
            yield from outcomes.to_batches()

    return run


def _featurize_on_worker(links: list[Link], settings: TaskSettings) -> Iterator[pa.Table]:
    if ffmpeg_major() != settings.ffmpeg_major:
        raise ToolMissingError(
            f"This worker has ffmpeg {ffmpeg_major()}, the driver {settings.ffmpeg_major}: "
            "their frames differ. Install the same major version on all nodes."
        )
    context = TaskContext.get()
    if context is not None and context.attemptNumber() > 0:
        links = _without_committed(links, settings.chunk)
    yield from featurize_chunk(links, settings.chunk, _embedder(settings.backbone))


def _without_committed(links: list[Link], chunk: ChunkSettings) -> list[Link]:
    """A task that is tried again asks for nothing that its predecessor committed."""
    outcomes = tables.read_outcomes(chunk.store, chunk.fingerprint)
    committed = set(outcomes["link_id"].to_pylist())
    return [link for link in links if link.link_id not in committed]


@functools.cache
def _embedder(config: BackboneConfig) -> Embedder:
    """Load the network once a Python worker."""
    return load_embedder(config)

"""Links to committed features and outcomes, chunk by chunk: the unit of commit and resume."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from trailergenre import __version__
from trailergenre.base.config import ChunksConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, LinkFrames
from trailergenre.base.sandbox import missing_protections
from trailergenre.base.storage import Store
from trailergenre.features.backbone import Embedder
from trailergenre.features.fetch_frames import LinkRecord, StreamSettings
from trailergenre.features.pipeline import embed_links, keep_frames
from trailergenre.frames.ffmpeg import ffmpeg_version
from trailergenre.runs import schemas
from trailergenre.runs.commit import write_commit
from trailergenre.runs.stage_time import TimeSpent
from trailergenre.videos.gate import Gate

PARTS_PER_SLOT = 4
"""Enough tasks that slots which drew long videos do not keep the others waiting at the end."""

NO_ENGINE = "none"
"""Stands as engine and device of a link that failed before any network was there for it."""


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """What a task needs besides its links and the network; small, so that it travels.

    Attributes:
        store: the run.
        fingerprint: of the features.
        stream: how links become features.
        chunks: when a chunk is closed.
    """

    store: Store
    fingerprint: str
    stream: StreamSettings
    chunks: ChunksConfig


@dataclass(frozen=True, slots=True)
class Commit:
    """What was committed at once.

    Attributes:
        outcomes: the rows as written; empty where frames were kept and no link failed.
        spent: what its links took.
    """

    outcomes: pa.Table
    spent: TimeSpent


def cut_parts(links: list[Link], n_slots: int) -> list[list[Link]]:
    """Cut a list into what each task takes: parts few enough to balance.

    And no more of them, since a task ends with its last download. It commits whenever
    `ChunksConfig` says, so its length costs nothing when it is killed.

    Returns:
        Parts that differ by one link at most, the longer ones first: where every slot gets the
        same number of parts, every slot gets as many links.
    """
    n_parts = count_parts(len(links), n_slots)
    size, n_longer = divmod(len(links), n_parts) if n_parts else (0, 0)
    starts = [size * part + min(part, n_longer) for part in range(n_parts + 1)]
    return [links[start:end] for start, end in itertools.pairwise(starts)]


def count_parts(n_links: int, n_slots: int) -> int:
    """Tasks that take so many links.

    >>> count_parts(4000, 8), count_parts(5, 8)
    (32, 5)
    """
    return min(n_links, PARTS_PER_SLOT * n_slots)


def featurize_chunk(
    links: Iterable[Link],
    settings: ChunkSettings,
    embedder: Embedder,
    gate: Gate | None = None,
) -> Iterator[Commit]:
    """Bring the links of a task to their outcomes and commit them.

    Args:
        links: taken one by one.
        settings: of the run.
        embedder: the loaded network.
        gate: passed by every attempt at a download; None: nothing is paced.

    Yields:
        A commit whenever the open links are old, large or many enough, and at the end.

    Raises:
        StorageError: the run's storage cannot be written.
    """
    return _commit_all(embed_links(links, settings.stream, embedder, gate), settings, embedder)


def sample_chunk(
    links: Iterable[Link], settings: ChunkSettings, gate: Gate | None = None
) -> Iterator[Commit]:
    """Bring the frames of a task's links to the shelf, and commit the outcomes of those that fail.

    Args:
        links: taken one by one.
        settings: of the run; their stream's shelf of frames is filled.
        gate: passed by every attempt at a download; None: nothing is paced.

    Yields:
        A commit as `featurize_chunk` does.

    Raises:
        StorageError: the run's storage cannot be written.
    """
    return _commit_all(keep_frames(links, settings.stream, gate), settings, None)


def most_links(chunks: ChunksConfig, ahead: int) -> int:
    """Links of one commit, at most.

    With those that the stream has begun, `ahead`, they are the open ones, which a kill costs.
    """
    return max(1, chunks.max_links - ahead)


def _commit_all(
    records: Iterable[LinkRecord], settings: ChunkSettings, embedder: Embedder | None
) -> Iterator[Commit]:
    most = most_links(settings.chunks, settings.stream.ahead)
    opened_at = time.monotonic()
    open_links: list[LinkRecord] = []
    for record in records:
        _defer_throttled(record)
        open_links.append(record)
        n_bytes = sum(link.features.nbytes for link in open_links)
        age_s = time.monotonic() - opened_at
        if (
            len(open_links) >= most
            or n_bytes >= settings.chunks.max_bytes
            or age_s >= settings.chunks.max_seconds
        ):
            yield _commit(open_links, settings, embedder, opened_at)
            open_links, opened_at = [], time.monotonic()
    if open_links:
        yield _commit(open_links, settings, embedder, opened_at)


def _defer_throttled(record: LinkRecord) -> None:
    """Leave a link to a later run whose site only wants to be asked less."""
    if record.outcome is Outcome.THROTTLED:
        record.fail(ItemError(Outcome.DEFERRED, f"throttled: {record.detail}"))


def _commit(
    records: Sequence[LinkRecord],
    settings: ChunkSettings,
    embedder: Embedder | None,
    opened_at: float,
) -> Commit:
    started = time.monotonic()
    frames_per_s = settings.stream.decoder.frames_per_s
    frames = [
        LinkFrames(
            link_id=record.link.link_id,
            features=record.features,
            frame_time_s=np.arange(len(record.features), dtype=np.int32) / frames_per_s,
        )
        for record in records
        if record.outcome is Outcome.OK and embedder is not None
    ]
    # A link whose frames are kept has no outcome yet.
    rows = [
        _outcome_row(record, embedder)
        for record in records
        if record.outcome is not Outcome.OK or embedder is not None
    ]
    outcomes = schemas.OUTCOMES.empty_table()
    if rows:
        outcomes = write_commit(settings.store, settings.fingerprint, frames=frames, rows=rows)
    ended = time.monotonic()
    return Commit(
        outcomes,
        TimeSpent(
            links=len(records),
            frames=sum(record.n_frames for record in records if record.outcome is Outcome.OK),
            # An integer zero would be no double for Spark.
            download_s=sum((record.download_s for record in records if not record.is_kept), 0.0),
            decode_s=sum((record.decode_s for record in records if not record.is_kept), 0.0),
            embed_s=sum(record.embed_s for record in records),
            write_s=ended - started + sum(record.write_s for record in records),
            wall_s=ended - opened_at,
        ),
    )


def _outcome_row(record: LinkRecord, embedder: Embedder | None) -> dict[str, object]:
    facts = record.facts
    versions = {"trailergenre": __version__, "ffmpeg": ffmpeg_version()}
    if embedder is not None:
        versions[embedder.engine] = embedder.version
    return {
        "link_id": record.link.link_id,
        "outcome": record.outcome.value,
        "detail": record.detail,
        "attempts": record.attempts,
        "round": record.link.round,
        "download_s": record.download_s,
        "decode_s": record.decode_s,
        "embed_s": record.embed_s,
        "size_bytes": record.size_bytes,
        "duration_s": facts.duration_s if facts else None,
        "width_px": facts.width_px if facts else None,
        "height_px": facts.height_px if facts else None,
        "frames": len(record.features),
        "decode_errors": facts.decode_errors if facts else 0,
        "connections": list(record.connections),
        "engine": embedder.engine if embedder else NO_ENGINE,
        "device": embedder.device if embedder else NO_ENGINE,
        "versions": json.dumps(versions, sort_keys=True),
        "sandbox": missing_protections() or "full",
        "finished_at": datetime.now(UTC),
    }

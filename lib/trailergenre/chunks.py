"""One chunk of links to committed features and outcomes: the unit of work, commit and resume."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from trailergenre import __version__
from trailergenre.backbone import Embedder
from trailergenre.commits import write_commit
from trailergenre.config import ChunksConfig
from trailergenre.decode import ffmpeg_version
from trailergenre.download.gate import Gate
from trailergenre.errors import ItemError
from trailergenre.outcomes import Outcome
from trailergenre.records import Link, LinkFrames
from trailergenre.sandbox import missing_protections
from trailergenre.storage import Store
from trailergenre.stream import EmbeddedLink, StreamSettings, embed_links

CHUNKS_PER_SLOT = 4
"""Enough chunks that slots which drew long videos do not keep the others waiting at the end."""


@dataclass(frozen=True, slots=True)
class ChunkSettings:
    """What a chunk needs besides its links and the network; small, so that it travels.

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


def chunk_size(n_links: int, n_slots: int, config: ChunksConfig) -> int:
    """Links a chunk: few enough to balance, at most `max_links` to bound what a kill costs.

    >>> chunk_size(4000, 8, ChunksConfig()), chunk_size(5, 8, ChunksConfig())
    (32, 1)
    """
    return max(1, min(config.max_links, math.ceil(n_links / (CHUNKS_PER_SLOT * n_slots))))


def featurize_chunk(
    links: Iterable[Link],
    settings: ChunkSettings,
    embedder: Embedder,
    gate: Gate | None = None,
) -> Iterator[pa.Table]:
    """Bring the links of a chunk, or of a lane, to their outcomes and commit them.

    Args:
        links: taken one by one.
        settings: of the run.
        embedder: the loaded network.
        gate: passed by every attempt at a download; None: nothing is paced.

    Yields:
        The committed outcomes rows, a table a commit: whenever the open links are old, large or
        many enough, and at the end.

    Raises:
        StorageError: the run's storage cannot be written.
    """
    opened_at = time.monotonic()
    open_links: list[EmbeddedLink] = []
    for record in embed_links(links, settings.stream, embedder, gate):
        _defer_throttled(record)
        open_links.append(record)
        n_bytes = sum(link.features.nbytes for link in open_links)
        age_s = time.monotonic() - opened_at
        if (
            len(open_links) >= settings.chunks.max_links
            or n_bytes >= settings.chunks.max_bytes
            or age_s >= settings.chunks.max_seconds
        ):
            yield _commit(open_links, settings, embedder)
            open_links, opened_at = [], time.monotonic()
    if open_links:
        yield _commit(open_links, settings, embedder)


def _defer_throttled(record: EmbeddedLink) -> None:
    """Leave a link to a later run whose site only wants to be asked less."""
    if record.outcome is Outcome.THROTTLED:
        record.fail(ItemError(Outcome.DEFERRED, f"throttled: {record.detail}"))


def _commit(
    records: Sequence[EmbeddedLink], settings: ChunkSettings, embedder: Embedder
) -> pa.Table:
    frames_per_s = settings.stream.decoder.frames_per_s
    frames = [
        LinkFrames(
            link_id=record.link.link_id,
            features=record.features,
            frame_time_s=np.arange(len(record.features), dtype=np.int32) / frames_per_s,
        )
        for record in records
        if record.outcome is Outcome.OK
    ]
    rows = [_outcome_row(record, embedder) for record in records]
    return write_commit(settings.store, settings.fingerprint, frames=frames, rows=rows)


def _outcome_row(record: EmbeddedLink, embedder: Embedder) -> dict[str, object]:
    facts = record.facts
    versions = {
        "trailergenre": __version__,
        "ffmpeg": ffmpeg_version(),
        embedder.engine: embedder.version,
    }
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
        "engine": embedder.engine,
        "device": embedder.device,
        "versions": json.dumps(versions, sort_keys=True),
        "sandbox": missing_protections() or "full",
        "finished_at": datetime.now(UTC),
    }

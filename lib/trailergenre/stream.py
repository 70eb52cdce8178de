"""Links to features as one overlapped stream: download, decode and embed at the same time.

While one link is embedded the next is decoded and the one after it downloaded, each step in a
thread of its own with a bounded queue. Knows nothing of Spark or tables.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from trailergenre.backbone import BackboneManifest, Embedder
from trailergenre.config import Config
from trailergenre.decode import Decoder, ffmpeg_major
from trailergenre.download.downloader import Downloader
from trailergenre.download.formats import FORMAT_RULE
from trailergenre.download.gate import Gate
from trailergenre.errors import ItemError, RunError
from trailergenre.faults import Point, reach
from trailergenre.fingerprint import FeatureSettings
from trailergenre.floors import DOWNLOAD, check_floors
from trailergenre.outcomes import Outcome
from trailergenre.prefetch import Prefetch
from trailergenre.records import (
    FRAME_SIDE_PX,
    N_FEATURES,
    FeatureArray,
    FrameArray,
    Link,
    Video,
    VideoFacts,
)
from trailergenre.sandbox import Deadline
from trailergenre.scratch import scratch_directory
from trailergenre.videos import VideoShelf

log = logging.getLogger(__name__)

T = TypeVar("T")

_BATCHES_AHEAD = 3
"""Decoded batches that may wait for the engine; 16 frames are 4.3 MB."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What a stream needs besides its links; small, so that it travels to workers.

    Attributes:
        downloader: link to video.
        decoder: video to frames.
        batch_size: frames a call of the network.
        shelf: kept videos; None where nothing is kept or looked up.
    """

    downloader: Downloader
    decoder: Decoder
    batch_size: int
    shelf: VideoShelf | None = None


def feature_settings(config: Config, manifest: BackboneManifest) -> FeatureSettings:
    """What the features of a configuration depend on."""
    return FeatureSettings(
        format_rule=FORMAT_RULE,
        frames_per_s=config.frames.per_second,
        frame_side_px=FRAME_SIDE_PX,
        ffmpeg_major=ffmpeg_major(),
        backbone_id=manifest.backbone_id,
        precision=manifest.precision,
    )


def stream_settings(config: Config) -> StreamSettings:
    """How a configuration downloads and decodes.

    Raises:
        ConfigError: a package that downloading uses is too old to be safe.
    """
    check_floors(*DOWNLOAD)
    return StreamSettings(
        downloader=Downloader.from_config(config),
        decoder=Decoder(config.frames.per_second, config.limits),
        batch_size=config.backbone.batch_size,
    )


@dataclass(slots=True)
class EmbeddedLink:
    """What became of one link.

    Attributes:
        link: the link.
        outcome: its class; features are kept only where it is `ok`.
        detail: the reason, one line; empty for `ok`.
        attempts: downloads tried.
        download_s: wall seconds of the download, without those that its host's pace took.
        decode_s: wall seconds that were spent waiting for the decoder.
        embed_s: wall seconds of the network.
        size_bytes: of the video file; None where none came.
        connections: `address:port` of every server that the download spoke to.
        facts: what the decoder saw; None where it saw nothing.
        features: shape (n, 2048), float32; row i belongs to frame i; n = 0 unless `ok`.
    """

    link: Link
    outcome: Outcome = Outcome.OK
    detail: str = ""
    attempts: int = 0
    download_s: float = 0.0
    decode_s: float = 0.0
    embed_s: float = 0.0
    size_bytes: int | None = None
    connections: tuple[str, ...] = ()
    facts: VideoFacts | None = None
    features: FeatureArray = field(default_factory=lambda: np.empty((0, N_FEATURES), np.float32))

    def fail(self, error: ItemError) -> None:
        """Take the error's class and reason."""
        self.outcome, self.detail = error.outcome, error.detail


def embed_links(
    links: Iterable[Link], settings: StreamSettings, embedder: Embedder, gate: Gate | None = None
) -> Iterator[EmbeddedLink]:
    """Bring every link to its end, in order: rows in = rows out.

    Args:
        links: any number; the next is taken when the download of the one before has ended.
        settings: of the stream.
        embedder: the loaded network.
        gate: passed by every attempt at a download; None: nothing is paced.

    Yields:
        One record a link; bad links are records with their class.
    """
    # Leaving early ends both threads and their children at once: the event is set before any wait.
    stopped = threading.Event()
    with (
        scratch_directory() as scratch,
        Prefetch(
            _download_all(links, settings, gate, scratch, stopped), depth=1, stopped=stopped
        ) as fetched,
        Prefetch(
            _decode_all(fetched, settings, stopped), depth=_BATCHES_AHEAD, stopped=stopped
        ) as steps,
    ):
        parts: list[FeatureArray] = []
        for record, frames in steps:
            if frames is not None:
                reach(Point.MID_INFERENCE)
                started = time.monotonic()
                parts.append(embedder.embed(frames))
                record.embed_s += time.monotonic() - started
                continue
            # Frames that came before a failure are dropped with it.
            if record.outcome is Outcome.OK:
                record.features = np.concatenate(parts)
            parts = []
            yield record


@dataclass(frozen=True, slots=True)
class _Fetched:
    record: EmbeddedLink
    video: Video | None
    left_s: float


def _download_all(
    links: Iterable[Link],
    settings: StreamSettings,
    gate: Gate | None,
    scratch: Path,
    stopped: threading.Event,
) -> Generator[_Fetched]:
    for link in links:
        record = EmbeddedLink(link)
        directory = scratch / link.link_id
        directory.mkdir()
        deadline = Deadline(settings.downloader.limits.deadline_s, stopped)
        video = _guarded(record, partial(_fetch, record, settings, gate, directory, deadline))
        record.download_s = deadline.seconds - deadline.left_s
        reach(Point.DOWNLOADED)
        yield _Fetched(record, video, deadline.left_s)


def _fetch(
    record: EmbeddedLink,
    settings: StreamSettings,
    gate: Gate | None,
    directory: Path,
    deadline: Deadline,
) -> Video:
    shelf = settings.shelf
    kept = shelf.find(record.link, directory) if shelf and not record.link.is_refetched else None
    if kept is not None:
        record.size_bytes = kept.size_bytes
        return kept
    video, record.attempts = settings.downloader.fetch(record.link, directory, deadline, gate)
    record.size_bytes, record.connections = video.size_bytes, video.connections
    if shelf is not None and shelf.is_filled and video.is_owned:
        with deadline.paused():  # a slow storage is not the link's fault
            shelf.keep(record.link, video)
    return video


def _decode_all(
    fetched: Iterable[_Fetched], settings: StreamSettings, stopped: threading.Event
) -> Generator[tuple[EmbeddedLink, FrameArray | None]]:
    """Yield each link's batches, then the link with None."""
    for item in fetched:
        if item.video is not None:
            # Waiting in the queue is not the link's fault: only what it used itself counts.
            deadline = Deadline(item.left_s, stopped)
            decoded = settings.decoder.decode(item.video.path, deadline=deadline)
            batches = decoded.batches(settings.batch_size)
            while True:
                started = time.monotonic()
                frames = _guarded(item.record, partial(next, batches, None))
                item.record.decode_s += time.monotonic() - started
                if frames is None:
                    break
                reach(Point.MID_DECODE)
                yield item.record, frames
            item.record.facts = decoded.facts
            if item.video.is_owned:
                item.video.path.unlink()
        yield item.record, None


def _guarded(record: EmbeddedLink, step: Callable[[], T]) -> T | None:
    """Run one step of one link; what goes wrong with the link becomes its class.

    The run's own faults (a full disk, a missing tool) go on: they must fail the task.
    """
    try:
        return step()
    except ItemError as error:
        record.fail(error)
        record.attempts = max(record.attempts, error.attempts)
        record.connections = record.connections or error.connections
    except (RunError, OSError):
        raise
    except Exception as error:  # the one broad handler: a fault of ours costs one link, not all
        log.exception("link %s", record.link.link_id)
        record.fail(ItemError(Outcome.INTERNAL, f"{type(error).__name__}: {error}"))
    return None

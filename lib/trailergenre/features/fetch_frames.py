"""Links to sampled frames as one overlapped stream: download and decode at the same time.

While a link is decoded those after it are downloaded, each step in threads of their own with
bounded queues; a download that hangs keeps nothing else waiting. Kept videos are not downloaded,
and kept frames neither downloaded nor decoded. Knows nothing of Spark, tables or networks.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from trailergenre.base.errors import ItemError, RunError
from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import N_FEATURES, FeatureArray, FrameArray, Link, Video, VideoFacts
from trailergenre.base.sandbox import Deadline
from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.features.prefetch import Prefetch
from trailergenre.features.staggered_map import Ahead
from trailergenre.frames.decoder import Decoder
from trailergenre.runs.kept_frames import KeptFrames
from trailergenre.runs.kept_videos import KeptVideos
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.gate import Gate, OpenGate

log = logging.getLogger(__name__)

T = TypeVar("T")

_BATCHES_AHEAD = 3
"""Decoded batches that may wait for the engine; 16 frames are 4.3 MB."""

SLOW_S = 2.0
"""After which a download no longer keeps the next from starting; most take less."""

_AT_ONCE = 8
"""Downloads of a stream at the same time: what a slow host sees of a slot, and what the scratch
disk and the memory must hold. Fewer would not do where every tenth link hangs
(docs/decisions/0016-kept-frames.md)."""

LEAST_AHEAD = 4
"""Links that a stream needs open to overlap its steps: one a step, and one that waits."""


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What a stream needs besides its links; small, so that it travels to workers.

    Attributes:
        downloader: link to video.
        decoder: video to frames.
        batch_size: frames a call of the network.
        ahead: links that may be begun and not yet at their end.
        videos: kept videos; None where nothing is kept or looked up.
        frames: kept frames; None where nothing is kept or looked up.
    """

    downloader: Downloader
    decoder: Decoder
    batch_size: int
    ahead: int = LEAST_AHEAD
    videos: KeptVideos | None = None
    frames: KeptFrames | None = None

    def list_kept(self) -> set[str]:
        """Ids of links that no site is asked for: their videos or frames are there."""
        shelves = (self.videos, self.frames)
        return set().union(*(shelf.list_link_ids() for shelf in shelves if shelf is not None))


@dataclass(slots=True)
class LinkRecord:
    """What became of one link.

    Attributes:
        link: the link.
        outcome: its class; features are kept only where it is `ok`.
        detail: the reason, one line; empty for `ok`.
        attempts: downloads tried.
        download_s: wall seconds of the download, without those that its host's pace took.
        decode_s: wall seconds that were spent waiting for the decoder.
        embed_s: wall seconds of the network.
        write_s: wall seconds that its frames took on their way to the shelf.
        n_frames: that were decoded, or read where they were kept.
        is_kept: whether its frames were kept, so that the two steps before were another task's.
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
    write_s: float = 0.0
    n_frames: int = 0
    is_kept: bool = False
    size_bytes: int | None = None
    connections: tuple[str, ...] = ()
    facts: VideoFacts | None = None
    features: FeatureArray = field(default_factory=lambda: np.empty((0, N_FEATURES), np.float32))

    def fail(self, error: ItemError) -> None:
        """Take the error's class and reason."""
        self.outcome, self.detail = error.outcome, error.detail


def sample_links(
    links: Iterable[Link], settings: StreamSettings, gate: Gate | None = None
) -> Generator[tuple[LinkRecord, FrameArray | None]]:
    """Yield each link's batches of frames, then its record with None; one link after the other.

    Frames that came before a failure must be dropped with it.

    Args:
        links: any number; the next is taken when the download of the one before has ended, or
            takes long.
        settings: of the stream.
        gate: passed by every attempt at a download; None: nothing is paced.
    """
    # Leaving early ends all threads and their children at once: the event is set before any wait.
    stopped = threading.Event()
    ahead = Ahead(settings.ahead, at_once=_AT_ONCE, slow_s=SLOW_S)
    with scratch_directory() as scratch:
        fetch = _Fetch(settings, gate or OpenGate(), scratch)
        with (
            Prefetch(
                ahead.run(links, fetch, stopped), depth=settings.ahead, stopped=stopped
            ) as fetched,
            Prefetch(
                _decode_all(fetched, settings, stopped), depth=_BATCHES_AHEAD, stopped=stopped
            ) as steps,
        ):
            for record, frames in steps:
                yield record, frames
                if frames is None:
                    ahead.leave()


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A link on its way to the decoder; one without a video failed, or has its frames kept."""

    record: LinkRecord
    video: Video | None
    left_s: float


@dataclass(frozen=True, slots=True)
class _Fetch:
    """The first step of a stream, for one link a call."""

    settings: StreamSettings
    gate: Gate
    scratch: Path

    def __call__(self, link: Link, stopped: threading.Event) -> _Fetched:
        record = LinkRecord(link)
        deadline = Deadline(self.settings.downloader.limits.deadline_s, stopped)
        if self.settings.frames is not None and self.settings.frames.has(link):
            record.is_kept = True
            return _Fetched(record, None, deadline.left_s)
        directory = self.scratch / link.link_id
        directory.mkdir()
        step = partial(self._find, record, directory, deadline)
        video = _guarded(record, step, self.settings.downloader)
        record.download_s = deadline.seconds - deadline.left_s
        reach(Point.DOWNLOADED)
        return _Fetched(record, video, deadline.left_s)

    def _find(self, record: LinkRecord, directory: Path, deadline: Deadline) -> Video:
        shelf, link = self.settings.videos, record.link
        kept = shelf.find(link, directory) if shelf and not link.is_refetched else None
        if kept is not None:
            record.size_bytes = kept.size_bytes
            return kept
        with self.gate.hold(link, deadline):
            video, record.attempts = self.settings.downloader.fetch(
                link, directory, deadline, self.gate
            )
        record.size_bytes, record.connections = video.size_bytes, video.connections
        if shelf is not None and shelf.keeps_new and video.is_owned:
            with deadline.paused():  # a slow storage is not the link's fault
                shelf.keep(link, video)
        return video


def _decode_all(
    fetched: Iterable[_Fetched], settings: StreamSettings, stopped: threading.Event
) -> Generator[tuple[LinkRecord, FrameArray | None]]:
    for item in fetched:
        batches: Generator[FrameArray] | None = None
        if item.record.is_kept and settings.frames is not None:
            batches = _read_kept(item.record, settings.frames, settings.batch_size)
        elif item.video is not None:
            batches = _decode(item, item.video, settings, stopped)
        while batches is not None:
            started = time.monotonic()
            frames = _guarded(item.record, partial(next, batches, None), settings.downloader)
            item.record.decode_s += time.monotonic() - started
            if frames is None:
                break
            reach(Point.MID_DECODE)
            item.record.n_frames += len(frames)
            yield item.record, frames
        yield item.record, None


def _decode(
    item: _Fetched, video: Video, settings: StreamSettings, stopped: threading.Event
) -> Generator[FrameArray]:
    # Waiting in the queue is not the link's fault: only what it used itself counts.
    decoded = settings.decoder.decode(video.path, deadline=Deadline(item.left_s, stopped))
    try:
        yield from decoded.batches(settings.batch_size)
    finally:
        item.record.facts = decoded.facts
        if video.is_owned:
            video.path.unlink()


def _read_kept(record: LinkRecord, shelf: KeptFrames, batch_size: int) -> Generator[FrameArray]:
    kept = shelf.read(record.link.link_id)
    yield from kept.batches(batch_size)
    origin = kept.origin
    if origin is not None:
        record.attempts, record.connections = origin.attempts, origin.connections
        record.size_bytes, record.facts = origin.size_bytes, origin.facts
        record.download_s, record.decode_s = origin.download_s, origin.decode_s


def _guarded(record: LinkRecord, step: Callable[[], T], downloader: Downloader) -> T | None:
    """Run one step of one link; what goes wrong with the link becomes its class.

    The run's own faults (a full disk, a missing tool) go on: they must fail the task. Nobody knows
    what an unforeseen one quotes, so what the downloader holds is hidden in its words.
    """
    try:
        return step()
    except ItemError as error:
        record.fail(error)
        record.attempts = max(record.attempts, error.attempts)
        record.connections = record.connections or error.connections
    except (RunError, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - the one broad handler: it costs one link, not all
        said = downloader.redact(traceback.format_exc())
        log.error("link %s\n%s", record.link.link_id, said)
        detail = downloader.redact(f"{type(error).__name__}: {error}")
        record.fail(ItemError(Outcome.INTERNAL, detail))
    return None

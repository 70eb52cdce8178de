"""Links to frames: downloads and decodes run ahead of the reader, within bounds.

Three kinds of threads work at the same time: up to 8 download links, one decodes the videos in the
order in which their downloads end, and the caller's reads the frames. Kept videos are not
downloaded; kept frames are neither downloaded nor decoded.
"""

from __future__ import annotations

import logging
import queue
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import numpy as np

from trailergenre.base.errors import ItemError, RunError
from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FeatureArray, FrameArray, Link, Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.features.settings import StreamSettings, links_ahead
from trailergenre.frames.decoder import Decoder
from trailergenre.runs.kept_frames import KeptFrames
from trailergenre.runs.outcome_row import OutcomeRow
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.pacing import Pacer

log = logging.getLogger(__name__)

T = TypeVar("T")

SLOW_S = 2.0
"""A download that takes longer no longer keeps the next one from starting; most take less."""

_MAX_DOWNLOADS = 8
"""Downloads at the same time: what a slow host sees of a task, and what its scratch disk and memory
must hold. Fewer would not do where every tenth link hangs (docs/decisions/0016-kept-frames.md)."""

_WAIT_S = 1.0
"""How often the reader is told that it waits."""

_STEPS_AHEAD = 4
"""Decoded batches that may wait for the reader; 16 frames are 4.3 MB."""


@dataclass(slots=True)
class FetchedLink:
    """A link whose download has ended.

    `frames` come in batches, to be read once. They end early when the link fails, and raise only
    what is the run's own fault (a full disk, a missing tool). `features` are empty until
    `embed_links` fills them, and for a link that failed.
    """

    link: Link
    row: OutcomeRow  # complete once `frames` has ended
    leads_to: str | None = None  # a host with a pace, whose turn the link must wait for
    frames: Iterator[FrameArray] = field(default_factory=lambda: iter(()))
    features: FeatureArray = field(default_factory=lambda: np.empty((0, 0), np.float32))
    is_kept: bool = False  # its frames were kept: download and decode were another task's
    write_s: float = 0.0  # wall seconds of keeping its frames


def fetch_links(
    links: Iterable[Link],
    settings: StreamSettings,
    pacer: Pacer | None = None,
    *,
    on_wait: Callable[[], None] = lambda: None,
) -> Generator[FetchedLink]:
    """Download and decode links ahead of the reader; each is taken when its download can start.

    Yields every link once, in the order in which the downloads end. Leaving early ends all threads
    and child processes at once. `pacer` is asked before every attempt at a download. `on_wait` is
    called every second in which the reader waits.
    """
    with scratch_directory() as scratch:
        stream = _Stream(iter(links), settings, pacer or Pacer(), scratch)
        with closing(
            prefetch(stream.steps(), _STEPS_AHEAD, stop=stream.stop, on_wait=on_wait)
        ) as steps:
            for link, _ in steps:
                link.frames = _read_batches(steps)
                yield link
                for _unread in link.frames:
                    on_wait()
                stream.open_links.release()


Step: TypeAlias = "tuple[FetchedLink, FrameArray | None]"
"""A link with a batch of its frames; with None at its start and at its end."""

_Download: TypeAlias = "tuple[FetchedLink, Generator[FrameArray]]"
"""A link, and the batches of its frames, which are decoded as they are read."""


def _read_batches(steps: Iterator[Step]) -> Iterator[FrameArray]:
    for _, frames in steps:
        if frames is None:
            return
        yield frames


def prefetch(
    values: Generator[T],
    n: int,
    *,
    stop: Callable[[], None],
    on_wait: Callable[[], None] = lambda: None,
) -> Generator[T]:
    """Yield what a generator yields; a thread of its own runs it up to `n` values ahead.

    One thread from first to last, because ffmpeg ends with the thread that started it. `stop` is
    called at the end, before the thread is waited for; `on_wait` every second without a value.
    """
    end = object()
    with ThreadPoolExecutor(1) as executor:
        waiting = deque(executor.submit(next, values, end) for _ in range(n))
        try:
            while True:
                while wait([waiting[0]], _WAIT_S).not_done:
                    on_wait()
                if (value := waiting.popleft().result()) is end:
                    return
                waiting.append(executor.submit(next, values, end))
                yield cast(T, value)
        finally:
            stop()
            executor.shutdown(cancel_futures=True)
            values.close()


class _Stream:
    """The threads behind `fetch_links`; `open_links` counts down with each link that is begun."""

    def __init__(
        self, links: Iterator[Link], settings: StreamSettings, pacer: Pacer, scratch: Path
    ) -> None:
        self.open_links = threading.Semaphore(links_ahead(settings.config.chunks))
        self._links = links
        self._settings = settings
        self._downloader = Downloader.from_config(settings.config, settings.form)
        self._pacer = pacer
        self._scratch = scratch
        self._stopped = threading.Event()
        self._downloaded: queue.SimpleQueue[Future[_Download] | None] = queue.SimpleQueue()

    def stop(self) -> None:
        """End all threads and child processes at once; nothing is begun any more."""
        self._stopped.set()
        self.open_links.release()  # wakes the thread that waits for it

    def steps(self) -> Generator[Step]:
        """Decode one link after the other, in the order in which their downloads end."""
        with ThreadPoolExecutor(1) as executor:
            downloads = executor.submit(self._download_all)
            try:
                for download in iter(self._downloaded.get, None):
                    link, batches = download.result()
                    yield link, None
                    with self._failing(link), closing(batches):
                        for frames in batches:
                            reach(Point.MID_DECODE)
                            link.row.frames += len(frames)
                            yield link, frames
                    yield link, None
                downloads.result()
            finally:
                self.stop()

    def _download_all(self) -> None:
        """Download one link after the other; no download waits for a slow one."""
        running: set[Future[_Download]] = set()
        try:
            with ThreadPoolExecutor(_MAX_DOWNLOADS) as executor:
                while (link := self._next_link()) is not None:
                    newest = executor.submit(self._download, link)
                    newest.add_done_callback(self._downloaded.put)
                    wait([newest], SLOW_S)
                    running = {each for each in (*running, newest) if not each.done()}
                    if len(running) == _MAX_DOWNLOADS:
                        wait(running, return_when=FIRST_COMPLETED)
        finally:
            self._downloaded.put(None)

    def _next_link(self) -> Link | None:
        self.open_links.acquire()
        return None if self._stopped.is_set() else next(self._links, None)

    def _download(self, link: Link) -> _Download:
        fetched = FetchedLink(link, OutcomeRow(link.link_id, link.round))
        kept = self._settings.frames
        if kept is not None and kept.has(link):
            fetched.is_kept = True
            return fetched, self._read_kept(fetched, kept)
        deadline = Deadline(self._settings.config.limits.deadline_s, self._stopped)
        video = None
        with self._failing(fetched):
            video = self._find_video(fetched, deadline)
        # Waiting for the decoder is not the link's fault.
        deadline.pause()
        fetched.row.download_s = deadline.used_s
        reach(Point.DOWNLOADED)
        return fetched, self._decode(fetched, video, deadline)

    def _find_video(self, fetched: FetchedLink, deadline: Deadline) -> Video:
        link, row, kept = fetched.link, fetched.row, self._settings.videos
        directory = self._scratch / link.link_id
        directory.mkdir()
        video = kept.find(link, directory) if kept and not link.is_refetched else None
        if video is None:
            with self._pacer.lane(link, deadline):
                video, row.attempts = self._downloader.fetch(link, directory, deadline, self._pacer)
            row.connections = video.connections
            if kept is not None and kept.keeps_new and video.is_owned:
                with deadline.paused():  # a slow storage is not the link's fault
                    kept.keep(link, video)
        row.size_bytes = video.size_bytes
        return video

    def _decode(
        self, fetched: FetchedLink, video: Video | None, deadline: Deadline
    ) -> Generator[FrameArray]:
        if video is None:
            return  # the download failed
        deadline.resume()
        config = self._settings.config
        decoder = Decoder(self._settings.form, config.frames.per_second, config.limits)
        decoded = decoder.decode(video.path, deadline=deadline)
        try:
            yield from decoded.batches(self._settings.batch_size)
        finally:
            fetched.row.decode_s = deadline.used_s - fetched.row.download_s
            if decoded.facts is not None:
                fetched.row.add_facts(decoded.facts)
            if video.is_owned:
                video.path.unlink()

    def _read_kept(self, fetched: FetchedLink, kept: KeptFrames) -> Generator[FrameArray]:
        reader = kept.read(fetched.link.link_id)
        yield from reader.batches(self._settings.batch_size)
        if reader.row is not None:
            fetched.row = replace(reader.row, round=fetched.link.round)

    @contextmanager
    def _failing(self, fetched: FetchedLink) -> Iterator[None]:
        """Turn what goes wrong with a link into its outcome; the run's own faults are raised."""
        row, redact = fetched.row, self._downloader.redact
        try:
            yield
        except ItemError as error:
            row.fail(error)
            fetched.leads_to = error.leads_to
            row.attempts = max(row.attempts, error.attempts)
            row.connections = row.connections or error.connections
        except (RunError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - an unforeseen fault costs one link, not all
            # Nobody knows what its message quotes.
            trace = redact(traceback.format_exc())
            log.error("link %s\n%s", row.link_id, trace)
            detail = redact(f"{type(error).__name__}: {error}")
            row.fail(ItemError(Outcome.INTERNAL, detail))

"""Links to features, or to kept frames; the next links are downloaded and decoded meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.records import FrameArray, Link
from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.features.backbone import Embedder
from trailergenre.features.fetch_frames import FetchedLink, fetch_links
from trailergenre.features.settings import StreamSettings
from trailergenre.runs.kept_frames import FramesWriter
from trailergenre.videos.pacing import Pacer


def embed_links(
    links: Iterable[Link],
    settings: StreamSettings,
    embedder: Embedder,
    pacer: Pacer | None = None,
    *,
    on_frames: Callable[[FrameArray], None] | None = None,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[FetchedLink]:
    """Bring every link to its features or its failure; yields them as `fetch_links` does.

    `on_frames` is called with all frames that go to the network, those before a failure too;
    `on_wait` as by `fetch_links`.
    """
    with closing(fetch_links(links, settings, pacer, on_wait=on_wait)) as fetched:
        for link in fetched:
            batches, embed_s = [], 0.0
            for frames in link.frames:
                reach(Point.MID_INFERENCE)
                if on_frames is not None:
                    on_frames(frames)
                started = time.monotonic()
                batches.append(embedder.embed(frames))
                embed_s += time.monotonic() - started
            link.row.embed_s = embed_s
            if link.row.is_ok:
                link.features = np.concatenate(batches)
            yield link


def keep_frames(
    links: Iterable[Link],
    settings: StreamSettings,
    pacer: Pacer | None = None,
    *,
    on_wait: Callable[[], None] = lambda: None,
) -> Iterator[FetchedLink]:
    """Bring the frames of every link, none of which are kept, to `settings.frames`.

    Yields every link as `fetch_links` does; the frames of those that are `ok` are kept.
    """
    kept = settings.frames
    assert kept is not None  # its caller keeps frames
    fresh = replace(settings, frames=None)
    with (
        scratch_directory() as scratch,
        closing(fetch_links(links, fresh, pacer, on_wait=on_wait)) as fetched,
    ):
        for link in fetched:
            path = scratch / link.link.link_id
            writer = FramesWriter(path, kept.place(link.link.link_id), settings.form)
            for frames in link.frames:
                started = time.monotonic()
                writer.add(frames)
                link.write_s += time.monotonic() - started
            started = time.monotonic()
            writer.close(link.row if link.row.is_ok else None)
            if link.row.is_ok:
                kept.keep(writer)
            path.unlink()
            link.write_s += time.monotonic() - started
            yield link

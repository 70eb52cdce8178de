"""Links to committed features and outcomes, chunk by chunk: the unit of commit and resume."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa

from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link, LinkFrames, LinkId
from trailergenre.base.sandbox.protections import missing_protections
from trailergenre.features.backbone import Embedder
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.features.pipeline import embed_links, keep_frames
from trailergenre.features.settings import TaskSettings, links_per_commit
from trailergenre.frames.decoder import frame_times
from trailergenre.frames.ffmpeg import ffmpeg_version
from trailergenre.runs import schemas
from trailergenre.runs.commit import write_commit
from trailergenre.runs.stage_time import TimeSpent
from trailergenre.videos.pacing import Pacer

TASKS_PER_SLOT = 4
"""Enough tasks that slots which drew long videos do not keep the others waiting at the end."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What was committed at once, and what its links took."""

    outcomes: pa.Table  # as written; empty where frames were kept and no link failed
    spent: TimeSpent
    led: dict[LinkId, str]  # links without an outcome yet, and the paced host they lead to


def split_links(links: list[Link], n_slots: int) -> list[list[Link]]:
    """Split a list into what each task takes: few tasks, since each ends with a last download.

    A task commits whenever `ChunksConfig` says, so its length costs nothing when it is killed.

    Returns:
        Lists that differ by one link at most, the longer ones first: where every slot gets the
        same number of lists, every slot gets as many links.
    """
    n_tasks = count_tasks(len(links), n_slots)
    size, n_longer = divmod(len(links), n_tasks) if n_tasks else (0, 0)
    starts = [size * task + min(task, n_longer) for task in range(n_tasks + 1)]
    return [links[start:end] for start, end in itertools.pairwise(starts)]


def count_tasks(n_links: int, n_slots: int) -> int:
    """Tasks that take so many links.

    >>> count_tasks(4000, 8), count_tasks(5, 8)
    (32, 5)
    """
    return min(n_links, TASKS_PER_SLOT * n_slots)


def featurize_task(
    links: Iterable[Link], settings: TaskSettings, embedder: Embedder, pacer: Pacer | None = None
) -> Iterator[Commit]:
    """Bring the links of a task, taken one by one, to their outcomes and commit them.

    Yields a commit whenever the open links are old, large or many enough, and at the end.
    """
    chunk = _Chunk(settings, embedder)
    embedded = embed_links(links, settings, embedder, pacer, on_wait=chunk.commit_if_full)
    return _commit_all(embedded, chunk)


def sample_task(
    links: Iterable[Link], settings: TaskSettings, pacer: Pacer | None = None
) -> Iterator[Commit]:
    """Keep frames in `settings.frames` instead; commit the outcomes of links that fail."""
    chunk = _Chunk(settings, None)
    return _commit_all(keep_frames(links, settings, pacer, on_wait=chunk.commit_if_full), chunk)


def _commit_all(links: Iterable[FetchedLink], chunk: _Chunk) -> Iterator[Commit]:
    for link in links:
        chunk.add(link)
        chunk.commit_if_full()
        yield from chunk.take_commits()
    chunk.commit()
    yield from chunk.take_commits()


_FIRST_AGE_S = 10.0
"""Age at which a task commits first, doubled each time: a run shows soon how it goes."""


class _Chunk:
    """The finished links of a task that are not committed yet."""

    def __init__(self, settings: TaskSettings, embedder: Embedder | None) -> None:
        self.links: list[FetchedLink] = []
        self._commits: list[Commit] = []  # not taken yet
        self._settings = settings
        self._embedder = embedder
        self._opened_at = time.monotonic()
        self._max_age_s = _FIRST_AGE_S

    def add(self, link: FetchedLink) -> None:
        """Take a finished link; one that its site throttles is left to a later run."""
        if link.row.outcome is Outcome.THROTTLED:
            link.row.fail(ItemError(Outcome.DEFERRED, f"throttled: {link.row.detail}"))
        self.links.append(link)

    def commit_if_full(self) -> None:
        """Commit if the chunk is old, large or long enough."""
        limits = self._settings.config.chunks
        if (
            len(self.links) >= links_per_commit(limits)
            or sum(link.features.nbytes for link in self.links) >= limits.max_bytes
            or time.monotonic() - self._opened_at >= min(limits.max_seconds, self._max_age_s)
        ):
            self.commit()

    def take_commits(self) -> list[Commit]:
        """The commits since the last call."""
        taken, self._commits = self._commits, []
        return taken

    def commit(self) -> None:
        """Write the features and outcomes, and begin anew."""
        if not self.links:
            return
        started = time.monotonic()
        led = {each.link.link_id: each.leads_to for each in self.links if each.leads_to}
        outcomes = self._write()
        ended = time.monotonic()
        sampled = [link.row for link in self.links if not link.is_kept]
        spent = TimeSpent(
            links=len(self.links) - len(led),
            frames=sum(link.row.frames for link in self.links),
            # Spark takes no integer zero for a double.
            download_s=sum((row.download_s for row in sampled), 0.0),
            decode_s=sum((row.decode_s for row in sampled), 0.0),
            embed_s=sum(link.row.embed_s for link in self.links),
            write_s=ended - started + sum(link.write_s for link in self.links),
            wall_s=ended - self._opened_at,
        )
        self._commits.append(Commit(outcomes, spent, led))
        self.links, self._opened_at = [], ended
        self._max_age_s *= 2

    def _write(self) -> pa.Table:
        frames_per_s = self._settings.config.frames.per_second
        frames, rows = [], []
        for link in self.links:
            row = link.row
            # Its frames are kept, or another task asks the host to which it leads.
            if (row.is_ok and self._embedder is None) or link.leads_to:
                continue
            row.sandbox = missing_protections() or "full"
            row.versions = {"ffmpeg": ffmpeg_version()}
            if self._embedder is not None:
                row.engine, row.device = self._embedder.engine, self._embedder.device
                row.versions[row.engine] = self._embedder.version
            rows.append(row)
            if row.is_ok:
                times = frame_times(len(link.features), frames_per_s)
                frames.append(LinkFrames(row.link_id, link.features, times))
        if not rows:
            return schemas.OUTCOMES.empty_table()
        store, fingerprint = self._settings.store, self._settings.features.fingerprint
        return write_commit(store, fingerprint, frames=frames, rows=rows)

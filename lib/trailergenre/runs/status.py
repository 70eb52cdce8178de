"""How far a run is, read from its committed tables: for the job's own bar and for `status`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column

from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import format_duration
from trailergenre.base.records import LinkId
from trailergenre.base.storage import Store
from trailergenre.base.terminal import open_console
from trailergenre.runs import tables

T = TypeVar("T")

_POLL_S = 2.0
_PLAIN_EVERY_S = 15.0
_SILENT_S = 60.0
"""Longest silence in a pipe: a chunk of slow links takes minutes, and looks like one that hangs."""
_RATE_WINDOW_S = 600.0
"""The rate is that of the last ten minutes: sites and videos change over a long run."""
_RATE_MIN_SPAN_S = 10.0
"""Commits of a shorter time say nothing about the rate."""

_BAR_AT_MOST = 30
_WIDE = 120
"""Columns of a terminal that has room for the outcomes beside bar, rate and ETA."""

_COLUMNS = (*tables.PRECEDENCE_COLUMNS, "frames", "sandbox")


@dataclass(frozen=True, slots=True)
class RunStatus:
    """How far one features fingerprint is with the ready links of the list.

    Attributes:
        ready: distinct ready links.
        by_outcome: those of them that have an outcome, by class.
        frames: frames embedded.
        sandbox: what the workers' machines granted the children; only `full` where they are whole.
        links_per_s: over the last ten minutes of the run; None while too little is known.
        last_commit_at: UTC; None before the first.
    """

    ready: int
    by_outcome: dict[str, int]
    frames: int
    sandbox: list[str]
    links_per_s: float | None
    last_commit_at: datetime | None

    @property
    def finished(self) -> int:
        """Links with a final outcome."""
        return sum(self.by_outcome.values()) - self.by_outcome.get(Outcome.DEFERRED, 0)

    @property
    def without_outcome(self) -> int:
        """Links of which nothing is committed yet."""
        return self.ready - sum(self.by_outcome.values())

    @property
    def eta_s(self) -> float | None:
        """Seconds to the end at the present rate; None where no rate is known."""
        if not self.links_per_s or self.finished >= self.ready:
            return None
        return (self.ready - self.finished) / self.links_per_s

    @property
    def pace(self) -> str:
        """Rate and end, for people; empty while too little is known."""
        rate = f"{self.links_per_s * 60:.1f} links/min" if self.links_per_s else ""
        eta = f"ETA {format_duration(self.eta_s)}" if self.eta_s is not None else ""
        return ", ".join(filter(None, (rate, eta)))

    @property
    def results(self) -> str:
        """What became of the links, for people."""
        counts = ", ".join(f"{count} {name}" for name, count in self.by_outcome.items()) or "none"
        return f"({counts}), {self.frames} frames"

    def line(self) -> str:
        """One line for people; what a narrow terminal cuts off is the outcomes."""
        pace = f", {self.pace}" if self.pace else ""
        return f"{self.finished}/{self.ready} links{pace} {self.results}"


def read_status(
    store: Store,
    fingerprint: str,
    ready: Collection[LinkId],
    *,
    since: datetime | None = None,
    known: dict[str, pa.Table] | None = None,
) -> RunStatus:
    """Read the committed outcomes of one fingerprint.

    Args:
        store: the run.
        fingerprint: of the features.
        ready: the distinct ready links; a run may hold outcomes of other links, of a list before.
        since: when the present session of the run began; None: not known.
        known: see `tables.read_outcomes`.
    """
    rows = tables.read_outcomes(store, fingerprint, known, _COLUMNS)
    outcomes = tables.filter_links(rows, ready)
    counts = Counter(outcomes["outcome"].to_pylist())
    # Deferring takes no time, and a thousand at once are no rate.
    finished = outcomes.filter(pc.not_equal(outcomes["outcome"], Outcome.DEFERRED.value))
    return RunStatus(
        ready=len(ready),
        by_outcome=dict(sorted(counts.items(), key=lambda item: (item[0] != Outcome.OK, item[0]))),
        frames=int(pc.sum(outcomes["frames"]).as_py() or 0),
        sandbox=sorted(pc.unique(outcomes["sandbox"]).to_pylist()),
        links_per_s=_rate(sorted(finished["finished_at"].to_pylist()), since),
        last_commit_at=pc.max(outcomes["finished_at"]).as_py(),
    )


def _rate(finished_at: list[datetime], since: datetime | None) -> float | None:
    """Links a second over the last ten minutes before the last commit."""
    if not finished_at:
        return None
    # Without a known start the first commit starts the clock, and its own links do not count.
    start = max(since or finished_at[0], finished_at[-1] - timedelta(seconds=_RATE_WINDOW_S))
    span_s = (finished_at[-1] - start).total_seconds()
    if span_s < _RATE_MIN_SPAN_S:
        return None
    return sum(moment > start for moment in finished_at) / span_s


@dataclass
class Watch:
    """Shows a run's progress while a function works: a bar on a terminal, plain lines in a pipe.

    Attributes:
        store: the run.
        fingerprint: of the features being made.
        ready: the distinct ready links.
        console: where to show it; stderr, so that stdout keeps the summary alone.
        since: when the work began.
        count_kept: how many links have their frames kept; None where none are to be. Most links
            get no outcome while that is all that is done with them.
    """

    store: Store
    fingerprint: str
    ready: Collection[LinkId]
    console: Console = field(default_factory=open_console)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    count_kept: Callable[[], int] | None = None
    _known: dict[str, pa.Table] = field(default_factory=dict, init=False)

    def run(self, work: Callable[[], T], stop: Callable[[], None]) -> T:
        """Call `work` in a thread and show progress until it ends.

        Args:
            work: what is waited for.
            stop: called on Ctrl-C, to end `work`.

        Returns:
            What `work` returned; its exception is raised here.
        """
        with ThreadPoolExecutor(max_workers=1) as executor:
            future = executor.submit(work)
            try:
                if self.console.is_terminal:
                    self._show_bar(future)
                else:
                    self._print_lines(future)
            except BaseException:
                stop()
                raise
            return future.result()

    def _look(self) -> tuple[RunStatus, str] | None:
        """How far it is, and how many frames are kept; None where the storage does not answer.

        The work itself has to bear that, or to fail.
        """
        try:
            status = read_status(
                self.store, self.fingerprint, self.ready, since=self.since, known=self._known
            )
            kept = f"frames of {self.count_kept()} links kept" if self.count_kept else ""
        except StorageError:
            return None
        return status, kept

    def _show_bar(self, future: Future[T]) -> None:
        # What may wrap is what gives way: the outcomes first, then the bar.
        columns = (
            BarColumn(None, table_column=Column(max_width=_BAR_AT_MOST)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[results]}", markup=False, table_column=Column()),
        )
        with Progress(*columns, console=self.console) as bar:
            task = bar.add_task("starting", total=len(self.ready), results="")
            done = False
            while not done:
                done = _is_done(future, _POLL_S)
                if seen := self._look():
                    status, kept = seen
                    bar.update(
                        task,
                        completed=status.finished,
                        description=", ".join(filter(None, (status.pace, kept))),
                        results=status.results if self.console.width >= _WIDE else "",
                    )

    def _print_lines(self, future: Future[T]) -> None:
        started = printed = time.monotonic()
        last, done = "", False
        while not done:
            done = _is_done(future, _PLAIN_EVERY_S)
            seen, now = self._look(), time.monotonic()
            line = "; ".join(filter(None, (seen[0].line(), seen[1]))) if seen else ""
            if line and (done or line != last or now - printed >= _SILENT_S):
                last, printed = line, now
                self.console.print(f"[{format_duration(now - started)}] {last}", markup=False)


def _is_done(future: Future[T], timeout_s: float) -> bool:
    return bool(wait([future], timeout=timeout_s).done)

"""Progress of a run, read from its committed tables."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import ProgressDisplay, format_duration
from trailergenre.runs import outcomes_table, tables

T = TypeVar("T")

_TERMINAL_POLL_S = 2.0
_PIPE_POLL_S = 10.0
_REST = 20.0
"""Between two looks at the progress, in multiples of what the last one took."""
_RATE_WINDOW_S = 600.0  # sites and videos change over a long run
_RATE_MIN_SPAN_S = 10.0

STATUS_COLUMNS = (*outcomes_table.PRECEDENCE_COLUMNS, "frames", "sandbox")
"""Columns of the outcomes from which progress is read."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    """Progress of one features fingerprint over the distinct ready links of the list."""

    ready: int
    by_outcome: dict[str, int]
    frames: int
    sandbox: list[str]  # the protections that child processes had; `full` if all of them
    links_per_s: float | None  # over the last ten minutes of the run
    last_commit_at: datetime | None

    @property
    def finished(self) -> int:
        """Links with a final outcome."""
        return sum(self.by_outcome.values()) - self.by_outcome.get(Outcome.DEFERRED, 0)

    @property
    def without_outcome(self) -> int:
        """Links without a committed outcome."""
        return self.ready - sum(self.by_outcome.values())

    @property
    def eta_s(self) -> float | None:
        """Seconds left at the present rate; None if no rate is known."""
        if not self.links_per_s or self.finished >= self.ready:
            return None
        return (self.ready - self.finished) / self.links_per_s

    @property
    def pace(self) -> str:
        """Links done, ok and failed, their rate and the ETA, in words."""
        n_ok = self.by_outcome.get(Outcome.OK, 0)
        rate = f", {self.links_per_s * 60:.1f}/min" if self.links_per_s else ""
        eta = f", ETA {format_duration(self.eta_s)}" if self.eta_s is not None else ""
        return f"{n_ok} ok, {self.finished - n_ok} failed of {self.ready} links{rate}{eta}"

    @property
    def results(self) -> str:
        """Outcomes and frames, in words."""
        others = [
            f"{count} {name}" for name, count in self.by_outcome.items() if name != Outcome.OK
        ]
        return ", ".join([f"{self.frames} frames", *others])

    def line(self) -> str:
        """Everything in one line."""
        return f"{self.pace}; {self.results}"


def read_status(
    outcomes: outcomes_table.OutcomesReader, ready: pa.Array, *, since: datetime | None = None
) -> RunStatus:
    """Read the progress of the `ready` links from the committed outcomes of one fingerprint.

    `outcomes` has `STATUS_COLUMNS`. `since` is the start of the session at work: a past rate says
    nothing about when the run ends.
    """
    current = outcomes.current()
    is_ready = pc.is_in(current["link_id"], pa.array(ready, pa.string()))
    rows = current.select(["outcome", "frames", "sandbox", "finished_at"]).filter(is_ready)
    counts = tables.count_values(rows["outcome"])
    # Deferring takes no time: a thousand deferrals at once are no rate.
    finished = rows.filter(pc.not_equal(rows["outcome"], Outcome.DEFERRED.value))
    return RunStatus(
        ready=len(ready),
        by_outcome=dict(sorted(counts.items(), key=lambda item: (item[0] != Outcome.OK, item[0]))),
        frames=int(pc.sum(rows["frames"]).as_py() or 0),
        sandbox=sorted(pc.unique(rows["sandbox"]).to_pylist()),
        links_per_s=_rate(finished["finished_at"], since),
        last_commit_at=pc.max(rows["finished_at"]).as_py(),
    )


def _rate(finished_at: pa.ChunkedArray, since: datetime | None) -> float | None:
    if since is None or not len(finished_at):
        return None
    last = pc.max(finished_at).as_py()
    start = max(since, last - timedelta(seconds=_RATE_WINDOW_S))
    span_s: float = (last - start).total_seconds()
    if span_s < _RATE_MIN_SPAN_S:
        return None
    is_recent = pc.greater(finished_at, pa.scalar(start, finished_at.type))
    return int(pc.sum(is_recent).as_py()) / span_s


def run_with_progress(
    work: Callable[[], T],
    stop: Callable[[], None],
    *,
    outcomes: outcomes_table.OutcomesReader,
    ready: pa.Array,
    list_kept: Callable[[], Collection[str]] | None = None,
) -> T:
    """Call `work` in a thread, show the run's progress until it returns, and return its result.

    On Ctrl-C, `stop` must end `work`. `outcomes` and `ready` are those of `read_status`;
    `list_kept` lists the links whose frames are kept, if the run keeps frames.
    """
    since = datetime.now(UTC)
    with ThreadPoolExecutor(max_workers=1) as executor, ProgressDisplay("starting") as display:
        future = executor.submit(work)
        usual_s = _TERMINAL_POLL_S if display.is_terminal else _PIPE_POLL_S
        took_s = 0.0
        try:
            is_done = False
            while not is_done:
                # Of a million links, a look takes seconds.
                timeout = max(usual_s, _REST * took_s)
                is_done = bool(wait([future], timeout=timeout).done)
                started = time.monotonic()
                # Storage that fails for a moment must not end the run: the work notices itself.
                with contextlib.suppress(StorageError):
                    status = read_status(outcomes, ready, since=since)
                    kept = f", frames of {len(list_kept())} links kept" if list_kept else ""
                    state = status.finished, status.ready, status.pace + kept
                    display.update(*state, details=status.results, at_once=is_done)
                took_s = time.monotonic() - started
        except BaseException:
            stop()
            raise
        return future.result()

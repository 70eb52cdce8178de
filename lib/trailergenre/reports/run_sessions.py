"""The sessions of a run: throughput over time, and where the executors' time went.

A session is one run of `featurize`. It records a start, and a summary unless it is stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from trailergenre.base.outcomes import Outcome
from trailergenre.runs.stage_time import ExecutorTime

MAX_BINS = 48
_MIN_BINS = 8
"""Bins of a short run, however few its commits are."""
_MIN_BIN_S = 5.0
N_EXECUTORS = 20
"""Executors shown one by one; the others are summed."""

_Floats = NDArray[np.float64]


class SessionStart(BaseModel):
    """The settings that a session recorded when it started."""

    features: str
    begun_at: datetime
    limits: dict[str, int | float]
    egress: str


class SessionSummary(BaseModel):
    """The time by executor that a session recorded when it ended."""

    features: str
    time: tuple[ExecutorTime, ...] = ()


Record = TypeVar("Record", SessionStart, SessionSummary)


def parse_records(
    kind: type[Record], contents: Iterable[bytes], *, fingerprint: str
) -> tuple[list[Record], list[str]]:
    """Return the records of one fingerprint, and a message for each that cannot be read."""
    records, problems = [], []
    for content in contents:
        try:
            records.append(kind.model_validate_json(content))
        except ValidationError as error:
            problems.append(f"A session's record cannot be read: {error.errors()[0]['msg']}.")
    return [record for record in records if record.features == fingerprint], problems


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a run. Times are UTC."""

    begun_at: datetime
    last_commit_at: datetime | None
    worked_s: float  # from the start to the last commit
    links: int  # that got a final outcome
    frames: int


@dataclass(frozen=True, slots=True)
class Throughput:
    """Links and frames over the time that sessions worked; the time between them is cut out."""

    sessions: tuple[Session, ...]
    carried_over: int  # links whose outcome is older than the first session, from other settings
    bin_s: float  # seconds per bin; 0 if the time is too short for bins
    links: tuple[int, ...]  # with a final outcome, per bin; a link counts when it is committed
    frames: tuple[int, ...]  # per bin
    begins_s: tuple[float, ...]  # start of each session on this time axis


def measure_throughput(begun_at: Sequence[datetime], joined: pa.Table) -> Throughput:
    """Concatenate the sessions' working time and count links and frames in bins of it.

    `begun_at` is the start of each session, ascending. If none was recorded, the first commit
    stands for it. `joined` is from `run_links.join_links`.
    """
    finished_s, frames = _finished(joined)
    starts = [time.timestamp() for time in begun_at] or list(finished_s[:1])
    if not starts:
        return Throughput((), 0, 0.0, (), (), ())
    begins = np.array(starts)
    session_of = np.searchsorted(begins, finished_s, side="right") - 1
    sessions = [
        _session(begins[k], finished_s[session_of == k], frames[session_of == k])
        for k in range(len(begins))
    ]
    worked_s = np.array([session.worked_s for session in sessions])
    offsets = np.cumsum(worked_s) - worked_s
    is_ours = session_of >= 0
    ours = session_of[is_ours]
    passed_s = finished_s[is_ours] - begins[ours] + offsets[ours]
    total_s = float(worked_s.sum())
    # Links are committed a chunk at a time: bins of fewer than two commits would look like a comb.
    n_commits = len(np.unique(passed_s.astype(np.int64)))
    n_bins = min(MAX_BINS, int(total_s // _MIN_BIN_S), max(_MIN_BINS, n_commits // 2))
    edges = np.linspace(0, total_s, n_bins + 1)
    links, _ = np.histogram(passed_s, edges)
    binned_frames, _ = np.histogram(passed_s, edges, weights=frames[is_ours])
    return Throughput(
        sessions=tuple(sessions),
        carried_over=int((~is_ours).sum()),
        bin_s=total_s / n_bins if n_bins else 0.0,
        links=tuple(links.tolist()),
        frames=tuple(binned_frames.tolist()),
        begins_s=tuple(offsets.tolist()) if n_bins else (),
    )


def _finished(joined: pa.Table) -> tuple[_Floats, NDArray[np.int64]]:
    """Time of each final outcome, in seconds since the epoch, ascending; and the link's frames."""
    # Deferring takes no time: a thousand deferred links at once are no throughput.
    is_final = pc.not_equal(joined["outcome"], Outcome.DEFERRED.value)
    rows = joined.filter(is_final).sort_by("finished_at")
    microseconds = pc.cast(rows["finished_at"], pa.int64()).to_numpy()
    return microseconds / 1e6, rows["frames"].to_numpy().astype(np.int64)


def _session(begun_s: float, finished_s: _Floats, frames: NDArray[np.int64]) -> Session:
    last_s = float(finished_s[-1]) if len(finished_s) else None
    return Session(
        begun_at=datetime.fromtimestamp(begun_s, UTC),
        last_commit_at=None if last_s is None else datetime.fromtimestamp(last_s, UTC),
        worked_s=0.0 if last_s is None else last_s - begun_s,
        links=len(finished_s),
        frames=int(frames.sum()),
    )


@dataclass(frozen=True, slots=True)
class ExecutorTimes:
    """Where the time of the executors' slots went, summed over sessions."""

    executors: tuple[ExecutorTime, ...]  # largest slot time first; the last may sum up others
    total: ExecutorTime | None  # None without a summary
    without_summary: int  # sessions that were stopped or are still at work


def sum_executors(summaries: Sequence[SessionSummary], *, n_sessions: int) -> ExecutorTimes:
    """Sum the recorded times by stage, executor and host. `n_sessions` sessions started."""
    times = [time for summary in summaries for time in summary.time]
    groups: dict[tuple[str, str, str], list[ExecutorTime]] = {}
    for time in times:
        groups.setdefault((time.stage, time.executor, time.host), []).append(time)
    sums = [_sum(group, executor=name, host=host) for (_, name, host), group in groups.items()]
    sums.sort(key=_rank)
    if rest := sums[N_EXECUTORS:]:
        sums[N_EXECUTORS:] = [_sum(rest, executor=f"{len(rest):,} others", host="")]
    return ExecutorTimes(
        executors=tuple(sums),
        total=_sum(times, executor="all", host="") if times else None,
        without_summary=max(0, n_sessions - sum(bool(summary.time) for summary in summaries)),
    )


def _rank(time: ExecutorTime) -> tuple[float, str, str, str]:
    slot_s = time.embed_s + time.write_s + time.wait_s + time.idle_s
    return -slot_s, time.stage, time.host, time.executor


def _sum(times: Sequence[ExecutorTime], *, executor: str, host: str) -> ExecutorTime:
    """Sum the figures; sessions and stages share the slots of an executor."""
    rows = [asdict(time) for time in times]
    sums = {
        field.name: round(sum(row[field.name] for row in rows), 1)
        for field in fields(ExecutorTime)
        if field.name not in {"stage", "executor", "host", "slots"}
    }
    slots: dict[tuple[str, str], int] = {}
    for time in times:
        key = (time.executor, time.host)
        slots[key] = max(slots.get(key, 0), time.slots)
    stages = {time.stage for time in times}
    stage = stages.pop() if len(stages) == 1 else "all"
    return ExecutorTime(stage, executor, host, sum(slots.values()), **sums)

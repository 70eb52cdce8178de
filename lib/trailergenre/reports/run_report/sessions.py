"""What the sessions of a run kept, and when links came to their ends, to how fast it went.

A session is one run of `featurize`: it keeps a record when it begins and a summary when it ends by
itself. Links are counted when they are committed, which is a chunk at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from trailergenre.base.outcomes import Outcome
from trailergenre.runs.stage_time import ExecutorTime

MAX_BINS = 48
_FEW_BINS = 8
"""As many as a short run has, however few its commits are."""
_LEAST_BIN_S = 5.0

_Seconds = NDArray[np.float64]


class Begun(BaseModel):
    """What a session was allowed, of the record that it kept when it began."""

    model_config = ConfigDict(frozen=True)

    features: str
    begun_at: datetime
    limits: dict[str, int | float]
    egress: str


class Ended(BaseModel):
    """Where a session's time went, of the summary that it kept when it ended."""

    model_config = ConfigDict(frozen=True)

    features: str
    time: tuple[ExecutorTime, ...] = ()


Kept = TypeVar("Kept", Begun, Ended)


def parse_records(
    kind: type[Kept], contents: Iterable[bytes], *, fingerprint: str
) -> tuple[list[Kept], list[str]]:
    """Read what the sessions of one features fingerprint kept.

    Returns:
        The records, in their order, and why others cannot be read.
    """
    records, problems = [], []
    for content in contents:
        try:
            records.append(kind.model_validate_json(content))
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            problems.append(f"A record of a session cannot be read: {reason}.")
    return [record for record in records if record.features == fingerprint], problems


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a run.

    Attributes:
        begun_at: UTC.
        last_commit_at: UTC; None where it committed nothing.
        worked_s: from its beginning to its last commit.
        links: brought to their ends.
        frames: of those that are ok.
    """

    begun_at: datetime
    last_commit_at: datetime | None
    worked_s: float
    links: int
    frames: int


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a run was, over the time that its sessions worked; the time between them is cut out.

    Attributes:
        sessions: the oldest first.
        carried: links whose outcome is older than the first session: of other settings' run.
        bin_s: length of a bin; 0 where too little time passed for any.
        links: ended in each bin.
        frames: of those that are ok.
        begins_s: where on this time each session begins.
    """

    sessions: tuple[Session, ...]
    carried: int
    bin_s: float
    links: tuple[int, ...]
    frames: tuple[int, ...]
    begins_s: tuple[float, ...]


def measure_pace(begun_at: Sequence[datetime], joined: pa.Table) -> Pace:
    """Lay the sessions behind each other and count what each part of that time brought.

    Args:
        begun_at: when each session began, rising; of a run that kept no records, none: its first
            commit then stands for the beginning.
        joined: from `links.join_links`.
    """
    finished_at, frames = _finished(joined)
    known = begun_at or [_moment(second) for second in finished_at[:1]]
    if not known:
        return Pace((), 0, 0.0, (), (), ())
    begins = np.array([moment.timestamp() for moment in known])
    of_session = np.searchsorted(begins, finished_at, side="right") - 1
    sessions = [
        _session(begins[place], finished_at[of_session == place], frames[of_session == place])
        for place in range(len(known))
    ]
    worked_s = np.array([session.worked_s for session in sessions])
    offsets = np.cumsum(worked_s) - worked_s
    is_ours = of_session >= 0
    mine = of_session[is_ours]
    passed_s = finished_at[is_ours] - begins[mine] + offsets[mine]
    total_s = float(worked_s.sum())
    # Links come a commit at a time: bins that hold less than two would show a comb.
    n_commits = len(np.unique(passed_s.astype(np.int64)))
    n_bins = min(MAX_BINS, int(total_s // _LEAST_BIN_S), max(_FEW_BINS, n_commits // 2))
    edges = np.linspace(0, total_s, n_bins + 1) if n_bins else np.zeros(1)
    weighed = frames[is_ours].astype(np.float64)
    return Pace(
        sessions=tuple(sessions),
        carried=int((~is_ours).sum()),
        bin_s=total_s / n_bins if n_bins else 0.0,
        links=_histogram(passed_s, edges),
        frames=_histogram(passed_s, edges, weighed),
        begins_s=tuple(offsets.tolist()) if n_bins else (),
    )


def _finished(joined: pa.Table) -> tuple[_Seconds, NDArray[np.int64]]:
    """When links came to their ends, in seconds of the epoch, rising, and the frames of each."""
    # Deferring takes no time, and a thousand at once are no pace.
    is_end = pc.fill_null(pc.not_equal(joined["outcome"], Outcome.DEFERRED.value), False)
    rows = joined.filter(is_end).sort_by("finished_at")
    microseconds = pc.cast(rows["finished_at"], pa.int64()).to_numpy()
    return microseconds / 1e6, rows["frames"].to_numpy().astype(np.int64)


def _session(begun_s: float, finished_s: _Seconds, frames: NDArray[np.int64]) -> Session:
    last_s = float(finished_s[-1]) if len(finished_s) else None
    return Session(
        begun_at=_moment(begun_s),
        last_commit_at=None if last_s is None else _moment(last_s),
        worked_s=0.0 if last_s is None else last_s - begun_s,
        links=len(finished_s),
        frames=int(frames.sum()),
    )


def _moment(second: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=float(second))


def _histogram(
    passed_s: _Seconds, edges: _Seconds, weights: _Seconds | None = None
) -> tuple[int, ...]:
    if len(edges) < 2:
        return ()
    counts, _ = np.histogram(passed_s, bins=edges, weights=weights)
    return tuple(int(count) for count in counts)

"""Where the time of the executors went, over all sessions of a run that told it at their end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from trailergenre.reports.run_report.sessions import Ended
from trailergenre.runs.stage_time import ExecutorTime

N_EXECUTORS = 20
"""Executors shown by themselves; the others are summed."""


@dataclass(frozen=True, slots=True)
class ExecutorTimes:
    """Where the time of the sessions' executors went.

    Attributes:
        executors: of all sessions together, by the time of their slots; the last one may be the
            sum of others.
        total: of all; None where no session told.
        untold: sessions that kept no summary: they were stopped, or still work.
    """

    executors: tuple[ExecutorTime, ...]
    total: ExecutorTime | None
    untold: int


def sum_executors(ended: Sequence[Ended], *, sessions: int) -> ExecutorTimes:
    """Sum the sessions' times by stage, executor and host.

    Args:
        ended: the summaries that there are.
        sessions: how many began.
    """
    told = [time for session in ended for time in session.time]
    groups: dict[tuple[str, str, str], list[ExecutorTime]] = {}
    for time in told:
        groups.setdefault((time.stage, time.executor, time.host), []).append(time)
    found = [_sum(times, executor=name, host=host) for (_, name, host), times in groups.items()]
    found.sort(key=lambda time: (-slot_seconds(time), time.stage, time.host, time.executor))
    rest = found[N_EXECUTORS:]
    if rest:
        found[N_EXECUTORS:] = [_sum(rest, executor=f"{len(rest):,} others", host="")]
    untold = max(0, sessions - sum(bool(session.time) for session in ended))
    return ExecutorTimes(
        tuple(found), _sum(told, executor="all", host="") if told else None, untold
    )


def slot_seconds(time: ExecutorTime) -> float:
    """Seconds of all slots of an executor: what its four parts add up to."""
    return time.embed_s + time.write_s + time.wait_s + time.idle_s


def _sum(times: Sequence[ExecutorTime], *, executor: str, host: str) -> ExecutorTime:
    """Add up all figures; an executor's slots are those of its stages and sessions one by one."""
    rows = [asdict(time) for time in times]
    sums = {
        field.name: round(sum(row[field.name] for row in rows), 1)
        for field in fields(ExecutorTime)
        if field.name not in {"stage", "executor", "host", "slots"}
    }
    slots: dict[tuple[str, str], int] = {}
    for time in times:
        place = (time.executor, time.host)
        slots[place] = max(slots.get(place, 0), time.slots)
    stages = {time.stage for time in times}
    return ExecutorTime(
        stage=stages.pop() if len(stages) == 1 else "all",
        executor=executor,
        host=host,
        slots=sum(slots.values()),
        **sums,
    )

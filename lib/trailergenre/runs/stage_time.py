"""Where the time of a stage went: what each commit took, and the sums by executor.

The thread of a task waits for frames, embeds them and writes, one after the other: these three are
its wall seconds. Downloads and decodes go on beside it in threads of their own; the seconds of each
link overlap with everything and are told beside the others, not added to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """What the links of one commit took, in wall seconds."""

    links: int  # brought to their ends
    frames: int  # of those that are ok
    download_s: float  # of downloads, each by itself; overlapped
    decode_s: float  # waiting for the decoder; overlapped
    embed_s: float  # in the network
    write_s: float  # writing features, outcomes and kept frames
    wall_s: float  # since the commit before, or since the task's stream began


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task ran; `worker` is the process id of the Python worker, which is one slot."""

    executor: str
    host: str
    worker: int


@dataclass(frozen=True, slots=True)
class StageTime:
    """Where the time of one stage went, from its start to its end: what its tasks committed."""

    name: str
    wall_s: float
    commits: Sequence[tuple[Place, TimeSpent]]

    def by_executor(self) -> list[ExecutorTime]:
        """The sums of each executor that committed anything, by name and host."""
        places = sorted({(place.executor, place.host) for place, _ in self.commits})
        return [self._sum(executor, host) for executor, host in places]

    def _sum(self, executor: str, host: str) -> ExecutorTime:
        here = [
            (place.worker, spent)
            for place, spent in self.commits
            if (place.executor, place.host) == (executor, host)
        ]
        slots = len({worker for worker, _ in here})
        sums = {
            field.name: sum(getattr(spent, field.name) for _, spent in here)
            for field in fields(TimeSpent)
        }
        wall_s = sums.pop("wall_s")
        sums["wait_s"] = max(0.0, wall_s - sums["embed_s"] - sums["write_s"])
        sums["idle_s"] = max(0.0, slots * self.wall_s - wall_s)
        rounded = {name: round(value, 1) for name, value in sums.items()}
        return ExecutorTime(self.name, executor, host, slots, **rounded)


@dataclass(frozen=True, slots=True)
class ExecutorTime:
    """Where the time of one executor's slots went in one stage: sums of `TimeSpent`.

    `embed_s`, `write_s`, `wait_s` and `idle_s` add up to slots x wall seconds of the stage.
    """

    stage: str
    executor: str
    host: str
    slots: int  # Python workers that committed anything
    links: int
    frames: int
    embed_s: float
    write_s: float
    wait_s: float  # a task ran, and neither embedded nor wrote: it waited for frames
    idle_s: float  # no stream ran: start of the workers, loading the network, no task left
    download_s: float
    decode_s: float


def time_lines(times: Sequence[ExecutorTime]) -> list[str]:
    """A table for people; empty where there is nothing to tell."""
    if not times:
        return []
    overlapped = {"download_s": "(download", "decode_s": "decode)"}
    names = [field.name for field in fields(ExecutorTime)]
    heads = [overlapped.get(name, name.removesuffix("_s")) for name in names]
    cells = [heads, *([str(value) for value in astuple(time)] for time in times)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return [
        "seconds of all slots; embed + write + wait + idle = slots x wall of the stage; downloads "
        "and decodes go on beside them",
        *lines,
    ]

"""Where the time of a stage went: what each commit took, and the sums by executor.

The thread of a task waits for frames, embeds them and writes, one after the other: these three are
its wall seconds. Downloads and decodes go on beside it in threads of their own; the seconds of each
link overlap with everything and are told beside the others, not added to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class TimeSpent:
    """What the links of one commit took, in wall seconds.

    Attributes:
        links: brought to their ends.
        frames: of those that are ok.
        download_s: of downloads, each by itself; overlapped.
        decode_s: waiting for the decoder; overlapped.
        embed_s: in the network.
        write_s: writing features, outcomes and kept frames.
        wall_s: since the commit before, or since the task's stream began.
    """

    links: int
    frames: int
    download_s: float
    decode_s: float
    embed_s: float
    write_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task ran.

    Attributes:
        executor: its name in the cluster.
        host: the machine.
        worker: process id of the Python worker, which is one slot.
    """

    executor: str
    host: str
    worker: int


@dataclass(frozen=True, slots=True)
class StageTime:
    """Where the time of one stage went.

    Attributes:
        name: what the stage does.
        wall_s: from its start to its end.
        commits: what came back from its tasks.
    """

    name: str
    wall_s: float
    commits: Sequence[tuple[Place, TimeSpent]]

    def by_executor(self) -> list[ExecutorTime]:
        """The sums of each executor that committed anything, by name and host."""
        places = sorted({(place.executor, place.host) for place, _ in self.commits})
        return [self._sum(executor, host) for executor, host in places]

    def _sum(self, executor: str, host: str) -> ExecutorTime:
        here = [
            (place, spent)
            for place, spent in self.commits
            if (place.executor, place.host) == (executor, host)
        ]
        slots = len({place.worker for place, _ in here})
        spent = [spent for _, spent in here]
        wall_s = sum(one.wall_s for one in spent)
        embed_s, write_s = sum(one.embed_s for one in spent), sum(one.write_s for one in spent)
        return ExecutorTime(
            stage=self.name,
            executor=executor,
            host=host,
            slots=slots,
            links=sum(one.links for one in spent),
            frames=sum(one.frames for one in spent),
            embed_s=round(embed_s, 1),
            write_s=round(write_s, 1),
            wait_s=round(max(0.0, wall_s - embed_s - write_s), 1),
            idle_s=round(max(0.0, slots * self.wall_s - wall_s), 1),
            download_s=round(sum(one.download_s for one in spent), 1),
            decode_s=round(sum(one.decode_s for one in spent), 1),
        )


@dataclass(frozen=True, slots=True)
class ExecutorTime:
    """Where the time of one executor's slots went in one stage.

    `embed_s`, `write_s`, `wait_s` and `idle_s` add up to slots x wall seconds of the stage.

    Attributes:
        stage: what the stage does.
        executor: its name in the cluster.
        host: the machine.
        slots: Python workers that committed anything.
        links: brought to their ends.
        frames: of those that are ok.
        embed_s: in the network.
        write_s: writing features, outcomes and kept frames.
        wait_s: a task ran, and neither embedded nor wrote: it waited for frames.
        idle_s: no stream ran: start of the workers, loading the network, no task left.
        download_s: of downloads; several at a time, beside all others.
        decode_s: waiting for decoders; beside all others.
    """

    stage: str
    executor: str
    host: str
    slots: int
    links: int
    frames: int
    embed_s: float
    write_s: float
    wait_s: float
    idle_s: float
    download_s: float
    decode_s: float


def time_lines(times: Iterable[ExecutorTime]) -> list[str]:
    """A table for people; empty where there is nothing to tell."""
    rows = [asdict(time) for time in times]
    if not rows:
        return []
    names = {
        "stage": "stage",
        "executor": "executor",
        "host": "host",
        "slots": "slots",
        "links": "links",
        "frames": "frames",
        "embed_s": "embed",
        "write_s": "write",
        "wait_s": "wait",
        "idle_s": "idle",
        "download_s": "(download",
        "decode_s": "decode)",
    }
    cells = [list(names.values()), *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(names))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in cells
    ]
    return [
        "seconds of all slots; embed + write + wait + idle = slots x wall of the stage; downloads "
        "and decodes go on beside them",
        *lines,
    ]

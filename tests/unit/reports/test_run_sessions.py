from __future__ import annotations

import pytest

from trailergenre.reports.run_sessions import N_EXECUTORS, SessionSummary, sum_executors
from trailergenre.runs.stage_time import ExecutorTime


def executor(name: str, *, links: int = 10, slots: int = 2) -> ExecutorTime:
    return ExecutorTime(
        stage="embed",
        executor=name,
        host=f"node-{name}.example",
        slots=slots,
        links=links,
        frames=100 * links,
        embed_s=30.0 * links,
        write_s=1.0 * links,
        wait_s=9.5 * links,
        idle_s=40.0,
        download_s=60.0 * links,
        decode_s=12.0 * links,
    )


def test_many_executors_are_summed() -> None:
    few = SessionSummary(
        features="abc", time=(executor("0", links=50), executor("7", links=70, slots=3))
    )
    many = SessionSummary(features="abc", time=tuple(executor(str(number)) for number in range(30)))
    found = sum_executors([few, many], n_sessions=2)
    assert len(found.executors) == N_EXECUTORS + 1
    assert [(one.executor, one.links) for one in found.executors[:2]] == [("7", 80), ("0", 60)]
    assert found.executors[-1].executor == "10 others"
    # The slots of two sessions are the same ones; those of two executors are not.
    assert [one.slots for one in found.executors] == [3, *[2] * 19, 20]
    assert found.total is not None
    for name in ("links", "frames", "slots", "embed_s", "idle_s"):
        of_each = sum(getattr(one, name) for one in found.executors)
        assert of_each == pytest.approx(getattr(found.total, name))
    assert found.without_summary == 0

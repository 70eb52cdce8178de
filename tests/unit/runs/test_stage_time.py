from __future__ import annotations

from trailergenre.runs.stage_time import Place, StageTime, TimeSpent, time_lines

SPENT = TimeSpent(links=3, frames=30, download_s=9, decode_s=2, embed_s=5, write_s=0.5, wall_s=6)
STAGE = StageTime(
    "embed",
    wall_s=20,
    commits=[
        (Place("1", "b", 7), SPENT),
        (Place("0", "a", 5), SPENT),
        (Place("0", "a", 5), SPENT),
        (Place("0", "a", 6), SPENT),
    ],
)


def test_the_slots_time_is_parted_into_what_was_done_with_it() -> None:
    first, second = STAGE.by_executor()
    assert [(time.executor, time.slots) for time in (first, second)] == [("0", 2), ("1", 1)]
    assert (first.links, first.frames) == (9, 90)
    for time in (first, second):
        parts = time.embed_s + time.write_s + time.wait_s + time.idle_s
        assert parts == time.slots * STAGE.wall_s
    assert (first.wait_s, first.idle_s) == (1.5, 22)
    # What goes on beside is told, and may be more than there was.
    assert (first.download_s, first.decode_s) == (27, 6)


def test_the_table_has_a_line_an_executor() -> None:
    explained, names, *lines = time_lines(STAGE.by_executor())
    assert "embed + write + wait + idle = slots x wall" in explained
    assert names.split()[:2] == ["stage", "executor"]
    assert [line.split()[:4] for line in lines] == [
        ["embed", "0", "a", "2"],
        ["embed", "1", "b", "1"],
    ]
    assert len({len(line) for line in (names, *lines)}) == 1


def test_nothing_to_tell_is_no_table() -> None:
    assert time_lines([]) == []

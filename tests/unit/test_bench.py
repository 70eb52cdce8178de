from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from speed.findings import Finding, ratios, render_findings, take_turns, write_findings
from speed.memory import Memory

WHERE: dict[str, Any] = {"machine": "two cores", "is_alone": False}


@pytest.mark.parametrize(
    ("runs", "is_least", "reached"),
    [
        ([0.9, 0.95, 0.99], True, "goal"),
        ([0.86, 0.85, 0.99], True, "floor"),
        ([0.99, 0.84, 0.8], True, "NO"),
        ([0.9, 0.95, 0.96], False, "NO"),
        ([0.8, 0.85, 0.99], False, "goal"),
    ],
)
def test_the_median_is_held_to_the_bars(runs: list[float], is_least: bool, reached: str) -> None:
    goal, floor = (0.95, 0.85) if is_least else (0.85, 0.9)
    assert Finding("x", runs, goal, floor, is_least=is_least).reached == reached


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def work(name: str, value: float) -> float:
        order.append(name)
        return value * (1 + order.count(name))

    values = take_turns({"a": lambda: work("a", 1), "b": lambda: work("b", 4)}, 3)
    assert order == ["a", "b"] * 3
    assert values == {"a": [2, 3, 4], "b": [8, 12, 16]}
    assert ratios(values, "b", "a") == [4, 4, 4]


def test_one_goal_replaces_its_own_keys_alone(tmp_path: Path) -> None:
    out = tmp_path / "out" / "latest.json"
    first = {key: Finding(key, [1.0], 1, 1) for key in ("B1", "B10", "B10 two", "B10 old")}
    write_findings(out, ["B1", "B10"], first, WHERE)
    again = {key: Finding(key, [2.0], 1, 1) for key in ("B10", "B10 two")}
    write_findings(out, ["B10"], again, WHERE | {"machine": "another"})
    record = json.loads(out.read_text())
    found = {key: (one["value"], one["machine"]) for key, one in record.items()}
    assert found == {
        "B1": (1.0, "two cores"),
        "B10": (2.0, "another"),
        "B10 two": (2.0, "another"),
    }


def test_the_table_says_what_was_measured_beside_other_work(tmp_path: Path) -> None:
    out = tmp_path / "latest.json"
    finding = Finding("int8 over fp32", [0.5, 0.25, 0.75], 0.6, 0.4)
    write_findings(out, ["B1"], {"B1": finding}, WHERE)
    line = render_findings(json.loads(out.read_text()), ["B1"]).splitlines()[-1]
    assert line == (
        "| B1 | int8 over fp32 | 0.5 | 0.25 | 0.75 | >= 0.6 | >= 0.4 | floor | **no** |"
    )


def test_memory_grows_where_its_end_is_above_its_second_quarter() -> None:
    sizes = [1, 2, 10, 10, 11, 11, 15, 15]
    memory = Memory({7: 15, 8: 3}, [(float(at), size) for at, size in enumerate(sizes)])
    assert memory.growth() == 1.5
    assert memory.peak == 15

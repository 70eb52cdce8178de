"""What was found: values beside their bars, as a table and as JSON."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One figure.

    Attributes:
        what: in words.
        runs: one value a turn; the median is quoted.
        goal: what is wanted.
        floor: what would be a defect to miss.
        is_least: whether the bars are lower ones.
        figures: what the value was made of.
    """

    what: str
    runs: Sequence[float]
    goal: float
    floor: float
    is_least: bool = True
    figures: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The median."""
        return float(statistics.median(self.runs))

    @property
    def reached(self) -> str:
        """`goal`, `floor` or `NO`."""
        for name, bar in (("goal", self.goal), ("floor", self.floor)):
            if (self.value >= bar) if self.is_least else (self.value <= bar):
                return name
        return "NO"

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "what": self.what,
            "value": self.value,
            "sign": ">=" if self.is_least else "<=",
            "goal": self.goal,
            "floor": self.floor,
            "reached": self.reached,
            "runs": list(self.runs),
            "figures": dict(self.figures),
        }


Findings = dict[str, Finding]
"""By key: the goal's name, and after a blank which figure of it."""


def take_turns(contenders: Mapping[str, Callable[[], float]], turns: int) -> dict[str, list[float]]:
    """Let contenders work one after the other, and again: A B A B; what drifts hits them all."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(turns):
        for name, work in contenders.items():
            values[name].append(work())
    return values


def ratios(values: Mapping[str, Sequence[float]], one: str, other: str) -> list[float]:
    """One contender over another, turn by turn."""
    return [a / b for a, b in zip(values[one], values[other], strict=True)]


def medians(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Each contender's own median."""
    return {name: float(statistics.median(runs)) for name, runs in values.items()}


def write_findings(
    path: Path, goals: Collection[str], found: Findings, where: Mapping[str, Any]
) -> None:
    """Replace the keys of these goals in a file and leave the others.

    Args:
        path: JSON; it need not exist.
        goals: that were measured.
        found: what was found.
        where: the machine and the time; put to each.
    """
    record = json.loads(path.read_text()) if path.exists() else {}
    kept = {
        # Before figures named their weights, all were of random ones.
        key: {"weights": "random", **value}
        for key, value in record.items()
        if key.split()[0] not in goals
    }
    new = {key: {**one.to_json(), **where} for key, one in found.items()}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(kept | new, indent=2, ensure_ascii=False) + "\n")


def render_findings(record: Mapping[str, Any], keys: Sequence[str]) -> str:
    """A table in Markdown of what `keys` of a record hold."""
    lines = [
        "| | what | median | lowest | highest | goal | floor | reached | alone |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for key in keys:
        found = record[key]
        figures = (found["value"], min(found["runs"]), max(found["runs"]))
        bars = (f"{found['sign']} {found[bar]:g}" for bar in ("goal", "floor"))
        alone = "yes" if found["is_alone"] else "**no**"
        cells = [key, found["what"], *(f"{figure:.3g}" for figure in figures), *bars]
        lines.append(f"| {' | '.join([*cells, found['reached'], alone])} |")
    return "\n".join(lines)

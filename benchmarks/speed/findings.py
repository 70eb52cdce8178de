"""What was found: values beside their bars, as a table and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.table import Table


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


def show_findings(record: Mapping[str, Any], keys: Sequence[str]) -> Table:
    """A table of what `keys` of the record hold."""
    table = Table("goal", "what", "median", "min", "max", "goal", "floor", "reached", "alone")
    for key in keys:
        found = record[key]
        cells = [found["value"], min(found["runs"]), max(found["runs"])]
        bars = [f"{found['sign']} {found[bar]:g}" for bar in ("goal", "floor")]
        alone = "yes" if found["is_alone"] else "NO"
        figures = (f"{cell:.4g}" for cell in cells)
        table.add_row(key, found["what"], *figures, *bars, found["reached"], alone)
    return table

"""Which goals are measured together, by what, and how long that takes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from speed.findings import Findings
from speed.forests import measure_forests
from speed.inputs import Inputs
from speed.many import measure_many
from speed.mongo import measure_mongo
from speed.scorer import measure_score
from speed.throughput import measure_throughput


@dataclass(frozen=True)
class Part:
    """Goals that are measured together.

    Attributes:
        goals: their names.
        minutes: that all of them take on 2 cores.
        measure: given the inputs and the goals wanted.
    """

    goals: tuple[str, ...]
    minutes: float
    measure: Callable[[Inputs, Collection[str]], Findings]


PARTS = (
    Part(("B1", "B2", "B3"), 10, measure_throughput),
    Part(("B5", "memory"), 10, measure_many),
    Part(("B6",), 1, measure_score),
    Part(("B9",), 4, measure_forests),
    Part(("B10",), 2, measure_mongo),
)

QUICK = (
    Part(
        ("B1", "B2", "B3"),
        2,
        partial(measure_throughput, turns=1, n_clips=2, clip_s=30),
    ),
    Part(("B6",), 0.5, partial(measure_score, turns=1)),
)

"""Which goals are measured together, by what, and how long that takes."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

from speed.buckets import measure_buckets
from speed.cluster import measure_scale
from speed.findings import Findings
from speed.forests import measure_forests
from speed.gpu_alone import measure_gpu
from speed.hanging import measure_deadline
from speed.inputs import Inputs
from speed.kept import measure_kept
from speed.many import measure_many
from speed.mongo import measure_mongo
from speed.precision import measure_parity, measure_precision
from speed.scorer import measure_score
from speed.served import measure_bytes, measure_children, measure_requests
from speed.throughput import measure_throughput
from speed.training import measure_mllib, measure_reading, measure_spread
from speed.udf import measure_udf
from speed.versions import measure_versions
from speed.walls import measure_walls


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
    Part(("B1", "B2", "B3", "B12"), 18, measure_throughput),
    Part(("B4",), 3, measure_precision),
    Part(("parity",), 1, measure_parity),
    Part(("B5", "memory"), 9.5, measure_many),
    Part(("B6",), 1, measure_score),
    Part(("B7",), 0.2, measure_bytes),
    Part(("B8",), 3.5, measure_kept),
    Part(("B9",), 3.5, measure_forests),
    Part(("B10",), 2.5, measure_mongo),
    Part(("B13",), 2, measure_requests),
    Part(("B14",), 1, measure_children),
    Part(("scale",), 6, measure_scale),
    Part(("deadline",), 8, measure_deadline),
    Part(("udf",), 2.5, measure_udf),
    Part(("S1",), 4, measure_spread),
    Part(("S2",), 4, measure_mllib),
    Part(("S3",), 0.2, measure_reading),
    Part(("S4",), 3, measure_walls),
    Part(("S5",), 0.5, measure_buckets),
)

ASKED_FOR = (Part(("B11",), 2, measure_gpu), Part(("S6", "S7", "S8"), 6, measure_versions))
"""Not part of a whole run: most machines have no GPU, and other Sparks are downloaded."""

QUICK = (
    Part(("B1", "B2", "B3"), 2, partial(measure_throughput, turns=1, n_clips=2, clip_s=30)),
    Part(("B6",), 0.5, partial(measure_score, turns=1)),
)

"""S5 and S6: a run on S3, by a server on loopback that takes 20 ms to answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection

import pyarrow as pa

from speed.children import BENCHMARKS, run_alone
from speed.findings import Finding, Findings
from speed.inputs import Inputs
from trailergenre.base.storage import Store
from trailergenre.runs.compaction import compact_outcomes

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))

N_LINKS = 10_000
LATENCY_S = 0.02


def measure_buckets(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Status of a run before and after its files are merged, and the requests of a small write.

    Args:
        inputs: not used.
        wanted: S5.
    """
    from scale.made import SETTINGS, make_links, make_outcomes

    from buckets import serve_bucket

    with serve_bucket() as bucket:
        store = Store("s3://bucket/run")
        make_links(store, N_LINKS)
        make_outcomes(store, N_LINKS)
        bucket.latency_s = LATENCY_S
        figures: dict[str, object] = {"links": N_LINKS, "latency_s": LATENCY_S}
        figures["files"] = len(store.list_files(f"outcomes/{SETTINGS.fingerprint}"))
        before = _status(bucket.requests, str(store))
        started = time.monotonic()
        compact_outcomes(store, SETTINGS.fingerprint)
        figures |= {"before": before, "merge_s": time.monotonic() - started}
        after = [_status(bucket.requests, str(store)) for _ in range(3)]
        figures["after"] = after
        bucket.requests.clear()
        store.write_bytes("small", bytes(pa.py_buffer(b"x" * 100_000)))
        n_requests = len(bucket.requests)
    return {
        "S5": Finding(
            f"status of {N_LINKS:,} links on S3, 20 ms a request, seconds",
            [run["wall_s"] for run in after], 2, 4, False, figures,
        ),
        "S5 write": Finding("requests of a write of 100 KB", [n_requests], 1, 1, False),
    }  # fmt: skip


def _status(requests: list[str], run: str) -> dict[str, float]:
    requests.clear()
    found = run_alone("speed.command", "status", run)
    return {"wall_s": found["wall_s"], "cpu_s": found["cpu_s"], "requests": len(requests)}

"""benchmarks/out/latest.json and driver.json -> the measured figures that the plan starts from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scale.plan import DriverCost, Speed, slope

Record = Mapping[str, Any]


def read_speeds(latest: Record) -> list[Speed]:
    """The ways that were measured: fp32 and int8 on cores, and the network on a GPU.

    Args:
        latest: one key a goal, as `make bench` writes it; absent ones were not measured.
    """
    speeds = []
    for goal, precision in (("B1", "fp32"), ("B3", "int8")):
        frames_per_s = _figure(latest, goal, "frames_per_s", precision)
        if frames_per_s:
            cores = int(latest[goal]["machine"].split()[0])
            engine = latest[goal]["figures"].get("engines", {}).get(precision, "onnxruntime")
            suffix = "" if engine == "onnxruntime" else f" by {engine}"
            speeds.append(Speed(f"cores alone, {precision}{suffix}", cores / frames_per_s))
    decode_s = _figure(latest, "B1", "cpu_s_a_frame", "fp32", "decode_cpu_s")
    if decode_s and "B11" in latest:
        speeds.append(Speed("cores decode, GPUs embed", decode_s, latest["B11"]["value"]))
    return speeds


def _figure(latest: Record, goal: str, *path: str) -> float | None:
    found: Any = latest.get(goal, {}).get("figures", {})
    for key in path:
        found = found.get(key, {})
    return float(found) if isinstance(found, float | int) else None


def read_driver(measured: Record) -> DriverCost:
    """What the driver needs a link, from its runs at two sizes.

    Args:
        measured: as `python -m scale measure` writes it: links -> step -> figures.
    """
    small, large = sorted(measured["runs"], key=int)

    def a_link(step: str, figure: str) -> float:
        ends = ((int(n), measured["runs"][n][step][figure]) for n in (small, large))
        return slope(*ends)

    return DriverCost(
        plan_bytes=max(
            a_link(step, "peak_bytes") for step in ("plan a new run", "plan a finished run")
        ),
        # While a run goes on, its links stay too.
        progress_bytes=a_link("look at progress first", "peak_bytes")
        + a_link("deal the links", "held_bytes"),
        poll_s=a_link("look at progress again", "cpu_s"),
        plan_s=a_link("plan a finished run", "cpu_s"),
        outcomes_bytes=a_link("files", "bytes"),
    )

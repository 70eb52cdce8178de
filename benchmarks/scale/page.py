"""Render docs/scaling.md: assumptions, measurements, plans and limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from scale.plan import Assumptions, DriverCost, Speed, Wall, find_walls, plan_run

SIZES = (4_000, 100_000, 10_000_000)

_HEAD = """# Scaling

This page estimates what 4,000 to 10 million trailers take, and which limit is reached first.

Written by `cd benchmarks && python -m scale` from `benchmarks/out/latest.json` (`make bench`),
`benchmarks/out/driver.json` (`python -m scale measure`) and the assumptions below. The arithmetic
is in `benchmarks/scale/plan.py`, and tested. **Only the section "Measured" was measured. The rest
is computed from it, most of it far beyond what was run.**
"""

_MEANING = {
    "frames_a_video": "frames per trailer: 150 s at one frame a second",
    "bytes_a_video": "bytes per trailer in the smallest adequate format (360p, about 270 kbit/s)",
    "videos_an_hour": "videos an hour that one site is asked for (the default for YouTube)",
    "bytes_a_frame": "bytes of a frame's features: 2,048 float32, which hardly compress",
    "document_bytes": "bytes of a frame in MongoDB, including keys",
    "core_hour": "price of a core hour",
    "gpu_hour": "price of a GPU hour",
    "gb_month": "price of a GB in object storage per month",
    "thousand_puts": "price of 1,000 write requests to it",
    "driver_bytes": "memory of the driver's Python process, in bytes",
    "poll_s": "seconds between two progress updates",
    "links_a_commit": "maximum links per commit: `chunks.max_links` minus those prefetched",
    "commit_s": "maximum age of a chunk in seconds (`chunks.max_seconds`)",
    "max_tasks": "maximum tasks of one Spark stage (rule of thumb)",
    "mongo_bytes": "bytes that one MongoDB server handles well",
}


def render_page(
    latest: Mapping[str, Any], driver: DriverCost, measured: Mapping[str, Any], speeds: list[Speed]
) -> str:
    """Render the page.

    Args:
        latest: gives the machine and the date of the speeds.
        driver: cost per link.
        measured: the runs that these costs come from.
        speeds: the measured engines.
    """
    given = Assumptions()
    parts = [
        _HEAD,
        _assumed(given),
        _measured(latest, measured, driver, speeds),
        *(_plans(speed, driver, given) for speed in speeds),
        _walls(find_walls(driver, given, speeds[0] if speeds else None)),
        _LIMITS,
    ]
    return "\n".join(parts)


def _assumed(given: Assumptions) -> str:
    values = {field.name: getattr(given, field.name) for field in fields(given)}
    rows = [(_MEANING[name], f"{value:,.15g}") for name, value in values.items()]
    return (
        "## Assumptions\n\nEdit them in `Assumptions`. Prices are in dollars and typical of public "
        "clouds on demand.\n\n" + _table(("quantity", "value"), rows)
    )


def _measured(
    latest: Mapping[str, Any], measured: Mapping[str, Any], driver: DriverCost, speeds: list[Speed]
) -> str:
    rows = [
        (f"{speed.name}: core seconds per frame", f"{speed.core_s_a_frame:.3f}") for speed in speeds
    ]
    gpus = [speed.gpu_frames_per_s for speed in speeds if speed.gpu_frames_per_s]
    rows += [("frames/s of a GPU", f"{gpus[0]:,.0f}" if gpus else "not measured")]
    rows += [
        ("driver, planning: bytes per link", f"{driver.plan_bytes:,.0f}"),
        ("driver, during a run: bytes per link", f"{driver.progress_bytes:,.0f}"),
        ("driver, planning: CPU seconds per 100,000 links", f"{driver.plan_s * 1e5:.1f}"),
        (
            "driver, one progress update: CPU seconds per 100,000 links",
            f"{driver.poll_s * 1e5:.2f}",
        ),
        ("outcomes on storage: bytes per link", f"{driver.outcomes_bytes:,.0f}"),
    ]
    where = [latest[goal] for goal in ("B1", "B3") if goal in latest]
    sizes = " and ".join(f"{int(n):,}" for n in sorted(measured["runs"], key=int))
    shared = "alone" if measured["beside"] == "alone" else "shared with other work"
    places = (
        f"{one['machine']}, {one.get('finished_at', '')[:10]}"
        + ("" if one.get("is_alone") else ", shared with other work")
        for one in where
    )
    # fp32 and int8 may have been measured on two machines.
    machines = "; ".join(dict.fromkeys(places)) or "not measured"
    return (
        f"## Measured\n\nSpeeds, fp32 and int8: {machines}. Driver: runs of {sizes} generated "
        f"links, {measured['machine']}, {measured['finished_at'][:10]}, {shared}. The "
        "driver's figures are the difference of the two runs, so they exclude the cost of an empty "
        "process.\n\n" + _table(("quantity", "value"), rows)
    )


def _plans(speed: Speed, driver: DriverCost, given: Assumptions) -> str:
    plans = [plan_run(n_links, speed, driver, given) for n_links in SIZES]
    lines = [(what, *(_show(show(plan)) for plan in plans)) for what, show in _ROWS]
    return f"## Computed: {speed.name}\n\n" + _table(
        ("", *(f"{n:,} trailers" for n in SIZES)), lines
    )


_ROWS = (
    ("cores, to finish in one day", lambda plan: plan.cores),
    ("core hours", lambda plan: plan.core_hours),
    ("GPUs, to finish in one day", lambda plan: plan.gpus),
    ("GPU hours", lambda plan: plan.gpu_hours),
    ("tasks of such a run", lambda plan: plan.tasks),
    ("downloaded, GB", lambda plan: plan.downloaded_gb),
    ("features stored, GB", lambda plan: plan.features_gb),
    ("outcomes stored, GB", lambda plan: plan.outcomes_gb),
    ("in MongoDB if published, GB", lambda plan: plan.mongo_gb),
    ("files written", lambda plan: plan.files),
    ("videos of one site, if all come from it", lambda plan: plan.n_links),
    ("hours, if one address downloads from that site", lambda plan: plan.site_hours),
    ("addresses that one day would take", lambda plan: plan.addresses),
    ("cost of compute and writes, $", lambda plan: plan.money),
    ("cost of storage per month, $", lambda plan: plan.money_a_month),
)


def _walls(walls: Sequence[Wall]) -> str:
    rows = [(wall.name, _show(wall.n_links), wall.then) for wall in walls]
    return (
        "## Limits\n\nFor one list in one run, the limit that is reached first comes first:\n\n"
        + _table(("limit", "trailers", "effect and remedy"), rows)
    )


_LIMITS = """## Driver memory

No frame and no feature reaches the driver, and a task sends it a few figures per commit. But the
driver reads the list, creates one small object per link that is left, and reads the outcomes (six
of their 26 columns, for planning and progress). It keeps those during a run, so that each progress
update reads only new files, and rests 20 times as long as it took. This explains the bytes per link
above. For tens of millions of trailers, **split the list into runs of a million links** and process
them one after the other; side by side only if they share no rate-limited site, because the rate
holds within a run. A link has the same `link_id` in all runs, so put each link into one run only.
Each run has its own lease, progress and report.

A retried task reads the outcome files of the whole run, in its own worker. `prepare` reads
the whole list; the trainers read all labels and pooled rows.

## Not tested

More than a million links in one run's tables, but for `status` (ten million); more than 100,000 in
`train`, `predict` and `evaluate`; a cluster of more than two workers; YARN; Kubernetes; a
public site at any of these rates.
"""


def _show(value: float) -> str:
    """Format a figure with three significant digits.

    >>> _show(0), _show(1234567.0), _show(3), _show(0.01234), _show(41.27)
    ('0', '1,230,000', '3', '0.0123', '41.3')
    """
    return f"{float(f'{value:.3g}'):,.10g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

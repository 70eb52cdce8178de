"""Plans, walls and what they were computed from -> docs/scaling.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from scale.plan import Assumptions, DriverCost, Speed, Wall, find_walls, plan_run

SIZES = (4_000, 100_000, 10_000_000)

_HEAD = """# How far it scales

Written by `cd benchmarks && python -m scale` from `benchmarks/out/latest.json` (`make bench`),
`benchmarks/out/driver.json` (`python -m scale measure`) and the assumptions below; the arithmetic
is `benchmarks/scale/plan.py`, and tested. **Only what stands under "Measured" was measured. The
rest is computed from it, most of it far beyond what was run.**
"""

_MEANING = {
    "frames_a_video": "frames a trailer: 150 s at one a second",
    "bytes_a_video": "bytes a trailer in the smallest adequate format (360p, some 270 kbit/s)",
    "videos_an_hour": "videos an hour that a site lets one address have (YouTube's guests, about)",
    "bytes_a_frame": "bytes of a frame's features: 2,048 float32; they hardly compress",
    "document_bytes": "bytes of a frame in MongoDB, with its keys",
    "core_hour": "price of a core hour",
    "gpu_hour": "price of a GPU hour",
    "gb_month": "price of a GB in object storage for a month",
    "thousand_puts": "price of 1,000 writing requests to it",
    "driver_bytes": "bytes of memory for the driver's Python process",
    "poll_s": "seconds between two lines of progress",
    "links_a_commit": "links a commit, at most: `chunks.max_links` less those that are ahead",
    "commit_s": "seconds after which a commit is closed (`chunks.max_seconds`)",
    "max_tasks": "tasks of one Spark stage; a rule of thumb",
    "mongo_bytes": "bytes that one MongoDB server holds comfortably",
}


def render_page(
    latest: Mapping[str, Any], driver: DriverCost, measured: Mapping[str, Any], speeds: list[Speed]
) -> str:
    """The whole page.

    Args:
        latest: for the machine and the date of the speeds.
        driver: costs a link.
        measured: what they come from.
        speeds: the ways that were measured.
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
        "## Assumed\n\nEdit them in `Assumptions`; prices are in dollars, of the size that public "
        "clouds ask on demand.\n\n" + _table(("what", "value"), rows)
    )


def _measured(
    latest: Mapping[str, Any], measured: Mapping[str, Any], driver: DriverCost, speeds: list[Speed]
) -> str:
    rows = [
        (f"{speed.name}: core seconds a frame", f"{speed.core_s_a_frame:.3f}") for speed in speeds
    ]
    gpus = [speed.gpu_frames_per_s for speed in speeds if speed.gpu_frames_per_s]
    rows += [("frames/s of a GPU", f"{gpus[0]:,.0f}" if gpus else "not measured")]
    rows += [
        ("driver, planning: bytes a link", f"{driver.plan_bytes:,.0f}"),
        ("driver, while a run goes on: bytes a link", f"{driver.progress_bytes:,.0f}"),
        ("driver, planning: CPU seconds a 100,000 links", f"{driver.plan_s * 1e5:.1f}"),
        ("driver, one look at progress: CPU s a 100,000 links", f"{driver.poll_s * 1e5:.2f}"),
        ("outcomes on storage: bytes a link", f"{driver.outcomes_bytes:,.0f}"),
    ]
    where = latest.get("B1", {})
    sizes = " and ".join(f"{int(n):,}" for n in sorted(measured["runs"], key=int))
    alone = "" if where.get("is_alone") else ", beside other work"
    return (
        f"## Measured\n\nSpeeds: {where.get('machine', 'not measured')}, "
        f"{where.get('finished_at', '')[:10]}{alone}. Driver: runs of {sizes} made links, "
        f"{measured['machine']}, {measured['finished_at'][:10]}, {measured['beside']}; the figures "
        "are the difference of the two, so that what an empty process takes is not in them.\n\n"
        + _table(("what", "value"), rows)
    )


def _plans(speed: Speed, driver: DriverCost, given: Assumptions) -> str:
    plans = [plan_run(n_links, speed, driver, given) for n_links in SIZES]
    lines = [(what, *(_show(show(plan)) for plan in plans)) for what, show in _ROWS]
    return f"## Computed: {speed.name}\n\n" + _table(
        ("", *(f"{n:,} trailers" for n in SIZES)), lines
    )


_ROWS = (
    ("cores, for one day's run", lambda plan: plan.cores),
    ("core hours", lambda plan: plan.core_hours),
    ("GPUs, for one day's run", lambda plan: plan.gpus),
    ("GPU hours", lambda plan: plan.gpu_hours),
    ("tasks of such a run", lambda plan: plan.tasks),
    ("downloaded, GB", lambda plan: plan.downloaded_gb),
    ("features stored, GB", lambda plan: plan.features_gb),
    ("outcomes stored, GB", lambda plan: plan.outcomes_gb),
    ("in MongoDB where published, GB", lambda plan: plan.mongo_gb),
    ("files written", lambda plan: plan.files),
    ("videos of one site, if all are its", lambda plan: plan.n_links),
    ("hours, if one address asks that site", lambda plan: plan.site_hours),
    ("addresses, for one day's run", lambda plan: plan.addresses),
    ("money: compute and writes, $", lambda plan: plan.money),
    ("money: storage a month, $", lambda plan: plan.money_a_month),
)


def _walls(walls: Sequence[Wall]) -> str:
    rows = [(wall.name, _show(wall.n_links), wall.then) for wall in walls]
    return "## What breaks first\n\nOf one list in one run, the nearest wall first:\n\n" + _table(
        ("wall", "trailers", "what happens, and what helps"), rows
    )


_LIMITS = """## What the driver holds

No frame and no feature comes to the driver, and a task gives it a few figures a commit. But it is
not free of tables: it reads the list, makes one small object a link, reads the outcomes (of 25
columns the six that planning and progress need) and keeps those while a run goes on, so that each
look at the progress reads new files alone. Hence the bytes a link above, and the advice for tens of
millions: **part the list into runs of a million links** and take them one after the other or side
by side. A link has the same `link_id` in all of them, so each link must stand in one; each run has
its own lock, progress and report.

A task that is tried again reads the outcomes' files of the whole run, in its own worker. The list
is read whole by `prepare_dataset`, and labels and pooled rows are by the trainers.

## What was not run

More than 100,000 links in one run's tables; a cluster of more than two workers; YARN; Kubernetes; a
public site at any of these rates.
"""


def _show(value: float) -> str:
    """Three digits are as much as such a figure knows.

    >>> _show(0), _show(1234567.0), _show(3), _show(0.01234), _show(41.27)
    ('0', '1,230,000', '3', '0.0123', '41.3')
    """
    return f"{float(f'{value:.3g}'):,.10g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"

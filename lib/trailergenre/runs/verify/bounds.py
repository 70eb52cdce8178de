"""I5 and I6: what the run connected to and used, held against what it was allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from trailergenre.base.config import LimitsConfig
from trailergenre.base.ip_addresses import is_denied_address
from trailergenre.base.outcomes import Outcome
from trailergenre.runs.verify.checks import Check

NOT_RECORDED = "not recorded: the run was made by a version that kept no settings"

_GRACE_S = 2.0
"""By which a link may pass its deadline: its children are found and killed in that time."""


class Allowed(BaseModel):
    """What one session of `featurize` was allowed; its `begin` wrote it.

    Attributes:
        limits: of a link.
        allow: `address:port` that were reachable although private.
        egress: `proxy's` where a proxy decided about addresses.
    """

    model_config = ConfigDict(frozen=True)

    limits: LimitsConfig
    allow: tuple[str, ...]
    egress: Literal["guarded", "proxy's"]


def parse_allowed(records: Iterable[bytes]) -> tuple[list[Allowed], list[str]]:
    """Read what `entry.begin` kept.

    Returns:
        The sessions, and why others cannot be read.
    """
    allowed, problems = [], []
    for record in records:
        try:
            allowed.append(Allowed.model_validate_json(record))
        except ValidationError as error:
            problems.append(f"a record of a session cannot be read: {error.errors()[0]['msg']}")
    return allowed, problems


def check_connections(rows: pa.Table, allowed: Sequence[Allowed]) -> Check:
    """Every download spoke to public addresses and to those that were allowed.

    Args:
        rows: all outcomes rows, superseded ones too.
        allowed: of all sessions of the run.
    """
    check = Check(
        "I5",
        "downloads spoke to public or allowed addresses",
        "Look at these links; nothing of ours should have let them through.",
    )
    admitted = {address for session in allowed for address in session.allow}
    columns = (rows[name].to_pylist() for name in ("link_id", "connections"))
    denied = []
    for link_id, connections in zip(*columns, strict=True):
        check.checked += len(connections or ())
        for connection in connections or ():
            ip = connection.rpartition(":")[0].strip("[]")
            if connection not in admitted and is_denied_address(ip):
                denied.append(f"link {link_id}: {connection}")
    if not allowed:
        check.notes.append(f"{NOT_RECORDED}; {len(denied)} connections went to private addresses")
    elif any(session.egress != "guarded" for session in allowed):
        check.notes.append(f"egress: proxy's; {len(denied)} connections went to private addresses")
    else:
        for offender in denied:
            check.add_offender(offender)
    return check


@dataclass(frozen=True)
class _Bound:
    """One figure of an outcomes row and how large it may be."""

    name: str
    used: Callable[[dict[str, float]], float | None]
    allowed: Callable[[LimitsConfig], float]
    of_failures: bool = False


_BOUNDS = (
    _Bound(
        "seconds",
        lambda row: row["download_s"] + row["decode_s"],
        lambda limits: limits.deadline_s + _GRACE_S,
        of_failures=True,
    ),
    _Bound("attempts", lambda r: r["attempts"], lambda limits: limits.attempts, of_failures=True),
    _Bound("bytes", lambda row: row["size_bytes"], lambda limits: limits.max_file_bytes),
    _Bound("seconds long", lambda row: row["duration_s"], lambda limits: limits.max_duration_s),
    _Bound("frames", lambda row: row["frames"], lambda limits: limits.max_frames),
    _Bound(
        "pixels",
        lambda row: (row["width_px"] or 0) * (row["height_px"] or 0),
        lambda limits: limits.max_pixels,
    ),
)


def check_limits(rows: pa.Table, allowed: Sequence[Allowed]) -> Check:
    """No link used more than the loosest of the run's sessions allowed.

    Args:
        rows: all outcomes rows, superseded ones too.
        allowed: of all sessions of the run.
    """
    check = Check(
        "I6",
        "links stayed within their limits",
        "Look at these links; a limit did not hold.",
    )
    if not allowed:
        check.notes.append(NOT_RECORDED)
        return check
    check.checked = len(rows)
    largest = {bound.name: max(bound.allowed(a.limits) for a in allowed) for bound in _BOUNDS}
    columns = ["link_id", "outcome", "download_s", "decode_s", "attempts", "size_bytes"]
    columns += ["duration_s", "frames", "width_px", "height_px"]
    for row in rows.select(columns).to_pylist():
        for bound in _BOUNDS:
            used = bound.used(row)
            is_bound = bound.of_failures or row["outcome"] == Outcome.OK
            if is_bound and used is not None and used > largest[bound.name]:
                check.add_offender(
                    f"link {row['link_id']}: {used:g} {bound.name}, {largest[bound.name]:g} allowed"
                )
    return check

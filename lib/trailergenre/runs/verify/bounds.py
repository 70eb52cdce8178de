"""I5 and I6: the run connected to allowed addresses only, and stayed within its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from trailergenre.base.config import LimitsConfig
from trailergenre.base.ip_addresses import is_denied_address
from trailergenre.base.outcomes import Outcome
from trailergenre.runs.verify.verification import Check

_NOT_RECORDED = "not recorded: no session of this run kept its settings"
_GRACE_S = 2.0
"""A link may overrun its deadline by the time it takes to notice and to kill its processes."""


class Allowed(BaseModel):
    """What one session of `featurize` was allowed, from `sessions.record_start`.

    `allow` lists reachable private `address:port` pairs; `egress` is `proxy's` if a proxy decided
    about addresses.
    """

    model_config = ConfigDict(frozen=True)

    limits: LimitsConfig
    allow: tuple[str, ...]
    egress: Literal["guarded", "proxy's"]


def parse_allowed(records: Iterable[bytes]) -> tuple[list[Allowed], list[str]]:
    """Parse start records.

    Returns:
        The sessions, and why other records cannot be read.
    """
    allowed, problems = [], []
    for record in records:
        try:
            allowed.append(Allowed.model_validate_json(record))
        except ValidationError as error:
            problems.append(f"a session record cannot be read: {error.errors()[0]['msg']}")
    return allowed, problems


def check_connections(rows: pa.Table, allowed: Sequence[Allowed]) -> Check:
    """Downloads connected to public addresses, or to private ones that were allowed.

    `rows` are all outcomes rows, superseded ones too; `allowed` is of all sessions.
    """
    advice = "Look at these links; the egress guard should have refused them."
    check = Check("I5", "downloads connected to public or allowed addresses", advice)
    admitted = {address for session in allowed for address in session.allow}
    denied = []
    columns = (rows[name].to_pylist() for name in ("link_id", "connections"))
    for link_id, connections in zip(*columns, strict=True):
        check.checked += len(connections or ())
        for connection in connections or ():
            ip = connection.rpartition(":")[0].strip("[]")
            if connection not in admitted and is_denied_address(ip):
                denied.append(f"link {link_id}: {connection}")
    if not allowed:
        check.notes.append(f"{_NOT_RECORDED}; {len(denied)} connections went to private addresses")
    elif any(session.egress != "guarded" for session in allowed):
        check.notes.append(f"egress: proxy's; {len(denied)} connections went to private addresses")
    else:
        for offender in denied:
            check.add_offender(offender)
    return check


class _Bound(NamedTuple):
    """A figure of an outcomes row and its limit."""

    name: str
    used: Callable[[Mapping[str, Any]], float | None]
    limit: Callable[[LimitsConfig], float]
    also_of_failures: bool = False


_BOUNDS = (
    _Bound(
        "seconds",
        lambda row: row["download_s"] + row["decode_s"],
        lambda limits: limits.deadline_s + _GRACE_S,
        also_of_failures=True,
    ),
    _Bound("attempts", lambda row: row["attempts"], lambda limits: limits.attempts, True),
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
    """No link exceeded the loosest limits of the run's sessions.

    `rows` are all outcomes rows, superseded ones too; `allowed` is of all sessions.
    """
    check = Check("I6", "links stayed within their limits", "Look at these links: a limit failed.")
    if not allowed:
        check.notes.append(_NOT_RECORDED)
        return check
    check.checked = len(rows)
    largest = {bound: max(bound.limit(session.limits) for session in allowed) for bound in _BOUNDS}
    columns = ["link_id", "outcome", "download_s", "decode_s", "attempts", "size_bytes"]
    columns += ["duration_s", "frames", "width_px", "height_px"]
    for row in rows.select(columns).to_pylist():
        for bound, limit in largest.items():
            used = bound.used(row)
            is_bound = bound.also_of_failures or row["outcome"] == Outcome.OK
            if is_bound and used is not None and used > limit:
                check.add_offender(
                    f"link {row['link_id']}: {used:g} {bound.name}, {limit:g} allowed"
                )
    return check

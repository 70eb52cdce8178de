"""I5 and I6: the run connected to allowed addresses only, and stayed within its limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, ValidationError

from trailergenre.base.config import LimitsConfig
from trailergenre.base.ip_addresses import is_denied_address
from trailergenre.base.outcomes import Outcome
from trailergenre.runs.tables import iter_rows
from trailergenre.runs.verify.verification import Check

_NOT_RECORDED = "not recorded: no session of this run kept its settings"
_GRACE_S = 2.0  # to notice the deadline and to kill the processes


class Allowed(BaseModel):
    """What one session of `featurize` was allowed, from `sessions.record_start`.

    `allow` lists reachable private `address:port` pairs. A proxy may have decided about addresses.
    """

    model_config = ConfigDict(frozen=True)

    limits: LimitsConfig
    allow: tuple[str, ...]
    egress: Literal["guarded", "proxy's"]


def parse_allowed(records: Iterable[bytes]) -> tuple[list[Allowed], list[str]]:
    """Parse start records; returns the sessions, and why other records cannot be read."""
    allowed, problems = [], []
    for record in records:
        try:
            allowed.append(Allowed.model_validate_json(record))
        except ValidationError as error:
            problems.append(f"a session record cannot be read: {error.errors()[0]['msg']}")
    return allowed, problems


def check_connections(rows: pa.Table, allowed: Sequence[Allowed]) -> Check:
    """In all outcomes `rows`, downloads connected to public or `allowed` addresses."""
    advice = "Look at these links; the egress guard should have refused them."
    check = Check("I5", "downloads connected to public or allowed addresses", advice)
    admitted = {address for session in allowed for address in session.allow}
    denied = []
    for row in iter_rows(rows.select(["link_id", "connections"])):
        link_id, connections = row["link_id"], row["connections"]
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


def _figures(row: Mapping[str, Any]) -> dict[str, float | None]:
    """List what a link used, by the limit of it."""
    figures = {"deadline_s": row["download_s"] + row["decode_s"], "attempts": row["attempts"]}
    if row["outcome"] != Outcome.OK:  # may have failed because of the others
        return figures
    return figures | {
        "max_file_bytes": row["size_bytes"],
        "max_duration_s": row["pictures_s"],
        "max_frames": row["frames"],
        "max_pixels": (row["width_px"] or 0) * (row["height_px"] or 0),
    }


def check_limits(rows: pa.Table, allowed: Sequence[Allowed]) -> Check:
    """In all outcomes `rows`, no link exceeded the loosest limits of the `allowed` sessions."""
    check = Check("I6", "links stayed within their limits", "Look at these links: a limit failed.")
    if not allowed:
        check.notes.append(_NOT_RECORDED)
        return check
    check.checked = len(rows)
    sessions = [session.limits.model_dump() for session in allowed]
    limits = {name: max(session[name] for session in sessions) for name in sessions[0]}
    columns = ["link_id", "outcome", "download_s", "decode_s", "attempts", "size_bytes"]
    columns += ["pictures_s", "frames", "width_px", "height_px"]
    for row in iter_rows(rows.select(columns)):
        for name, used in _figures(row).items():
            limit, grace = limits[name], _GRACE_S if name == "deadline_s" else 0
            if used is not None and used > limit + grace:
                check.add_offender(f"link {row['link_id']}: {used:g} exceeds {name}={limit:g}")
    return check

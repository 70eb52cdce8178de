"""I1: every input row and every ready link ended in exactly one place."""

from __future__ import annotations

import functools
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.runs.tables import REFERENCE_COLUMNS
from trailergenre.runs.verify.checks import Check

_ROW_OUTCOMES = {outcome.value for outcome in RowOutcome}
_OUTCOMES = {outcome.value for outcome in Outcome}
_COMPARED = ["link_id", "movie_id", "title", "genres"]
"""What the labels and the list both tell of a link."""


def check_rows(links: pa.Table) -> Check:
    """Every row of the list stands once and has one outcome of the closed list."""
    check = Check("I1", "every input row has one row_outcome", "Run jobs/prepare_dataset.py again.")
    check.checked = len(links)
    seen: set[str] = set()
    columns = (links[name].to_pylist() for name in ("row_id", "link_id", "row_outcome"))
    for row_id, link_id, outcome in zip(*columns, strict=True):
        if outcome not in _ROW_OUTCOMES:
            check.add_offender(f"row {row_id}: row_outcome is {outcome!r}")
        elif outcome == RowOutcome.READY and not link_id:
            check.add_offender(f"row {row_id}: ready, without a link_id")
        elif row_id in seen:
            check.add_offender(f"row {row_id} stands twice")
        seen.add(row_id)
    return check


def check_labels(listed: pa.Table, labels: pa.Table) -> Check:
    """Every ready row with genres has its label, and no other has: both tables are of one list.

    The part of a published split stands in the labels alone; `jobs/prepare_dataset.py` sees to it
    that labels of an older list are not left behind.

    Args:
        listed: the ready rows of the list.
        labels: the table, empty where it was never written.
    """
    check = Check("I1", "labels are those of the list", "Run jobs/prepare_dataset.py again.")
    labels, listed = labels.select(_COMPARED), listed.select(_COMPARED)
    listed = listed.filter(pc.greater(pc.list_value_length(listed["genres"]), 0))
    ours, theirs = listed["link_id"], labels["link_id"]
    check.checked = pc.count_distinct(pa.chunked_array([*ours.chunks, *theirs.chunks])).as_py()
    counts = pc.value_counts(theirs)
    doubled = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    place = pc.index_in(theirs, value_set=ours)
    both = labels.filter(pc.is_valid(place))
    of_list = listed.take(place.drop_null())
    differs = [
        pc.not_equal(both["movie_id"], pc.coalesce(of_list["movie_id"], of_list["link_id"])),
        pc.not_equal(both["title"], of_list["title"]),
        pc.not_equal(*(pc.binary_join(table["genres"], "|") for table in (both, of_list))),
    ]
    other = both["link_id"].filter(functools.reduce(pc.or_, differs))
    for links, problem in (
        (doubled, "its label stands twice"),
        (theirs.filter(pc.is_null(place)), "a label, but no ready row with genres"),
        (ours.filter(pc.invert(pc.is_in(ours, value_set=theirs))), "genres, but no label"),
        (other, "its label's genres, movie or title are not the list's"),
    ):
        for link_id in links.to_pylist():
            check.add_offender(f"link {link_id}: {problem}")
    return check


def check_links(ready: Collection[str], current: pa.Table) -> Check:
    """Every ready link has an outcome of the closed list.

    Args:
        ready: the distinct ready links.
        current: one outcomes row a link.
    """
    check = Check(
        "I1",
        "every ready link has one outcome",
        "Run jobs/featurize.py again: it takes what has no outcome.",
    )
    check.checked = len(ready)
    outcome_of = dict(
        zip(current["link_id"].to_pylist(), current["outcome"].to_pylist(), strict=True)
    )
    for link_id in ready:
        outcome = outcome_of.get(link_id)
        if outcome is None:
            check.add_offender(f"link {link_id} has no outcome")
        elif outcome not in _OUTCOMES:
            check.add_offender(f"link {link_id}: outcome is {outcome!r}")
    deferred = sum(outcome_of.get(link_id) == Outcome.DEFERRED for link_id in ready)
    if deferred:
        check.notes.append(f"{deferred} links are deferred; run jobs/featurize.py again for them")
    others = len(outcome_of.keys() - set(ready))
    if others:
        check.notes.append(f"{others} outcomes are of links of an older list")
    return check


def check_names(current: pa.Table, fingerprint: str) -> Check:
    """An `ok` row names its features, and no other row names any."""
    check = Check(
        "I1",
        "ok rows name their features, no others do",
        "Delete the outcomes files named here and run jobs/featurize.py again.",
    )
    check.checked = len(current)
    columns = ["link_id", "outcome", "frames", "detail", "_file", *REFERENCE_COLUMNS]
    for row in current.select(columns).to_pylist():
        problem = _naming_problem(row, fingerprint)
        if problem:
            check.add_offender(f"link {row['link_id']}: {problem} ({row['_file']})")
    return check


def _naming_problem(row: dict[str, object], fingerprint: str) -> str | None:
    names = [name for name in REFERENCE_COLUMNS if row[name] is not None]
    if row["outcome"] != Outcome.OK:
        if names or row["frames"]:
            return f"{row['outcome']}, but it names features"
        return None if row["detail"] else f"{row['outcome']}, without a reason"
    if len(names) < len(REFERENCE_COLUMNS) or not row["frames"]:
        return "ok, but it names no features"
    if row["features_file"] != f"features/{fingerprint}/{row['features_sha256']}.parquet":
        return f"names {row['features_file']}, which is not its SHA-256's place"
    return None


def count_outcomes(ready: Collection[str], current: pa.Table) -> dict[str, int]:
    """Ready links by outcome."""
    mine = current.filter(pc.is_in(current["link_id"], pa.array(sorted(ready), pa.string())))
    counts = pc.value_counts(mine["outcome"]).to_pylist()
    return {count["values"]: count["counts"] for count in counts}


def list_weak_sandboxes(current: pa.Table) -> list[str]:
    """A note for each kind of machine that did not grant the children every protection."""
    rows = pc.value_counts(current["sandbox"]).to_pylist()
    return [
        f"sandbox: {row['values']} for {row['counts']} links"
        for row in rows
        if row["values"] not in {"full", "not needed"}
    ]

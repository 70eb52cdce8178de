"""I1: every input row and every ready link has exactly one outcome."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.runs.features_table import REFERENCE_COLUMNS
from trailergenre.runs.tables import count_values, filter_links, iter_rows
from trailergenre.runs.verify.verification import Check

_PREPARE_AGAIN = "Run `trailergenre prepare` again."


def check_rows(links: pa.Table) -> Check:
    """Every row of the list is there once and has a known outcome."""
    check = Check("I1", "every input row has one row_outcome", _PREPARE_AGAIN, len(links))
    seen, row_outcomes = set[int](), set(RowOutcome)
    for each in iter_rows(links.select(["row", "link_id", "row_outcome"])):
        row, link_id, outcome = each.values()
        if outcome not in row_outcomes:
            check.add_offender(f"row {row}: row_outcome is {outcome!r}")
        elif outcome == RowOutcome.READY and not link_id:
            check.add_offender(f"row {row}: ready, without a link_id")
        elif row in seen:
            check.add_offender(f"row {row} is there twice")
        seen.add(row)
    return check


def check_labels(listed: pa.Table, labels: pa.Table) -> Check:
    """Every ready row with genres has a label that agrees with it; no other link has one."""
    check = Check("I1", "labels match the list", _PREPARE_AGAIN)
    listed = listed.filter(pc.greater(pc.list_value_length(listed["genres"]), 0))
    in_list, in_labels = listed["link_id"], labels["link_id"]
    all_ids = pa.chunked_array([*in_list.chunks, *in_labels.chunks])
    check.checked = pc.count_distinct(all_ids).as_py()
    counts = pc.value_counts(in_labels)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1)).field("values")
    index = pc.index_in(in_labels, value_set=in_list)
    both, rows = labels.filter(pc.is_valid(index)), listed.take(index.drop_null())
    is_other = pc.not_equal(both["movie_id"], pc.coalesce(rows["movie_id"], rows["link_id"]))
    is_titled = pc.and_(pc.is_null(rows["movie_id"]), pc.starts_with(both["movie_id"], "title:"))
    differences = [
        pc.and_not(is_other, is_titled),
        pc.not_equal(both["title"], rows["title"]),
        pc.not_equal(*(pc.binary_join(table["genres"], "|") for table in (both, rows))),
    ]
    different = both["link_id"].filter(functools.reduce(pc.or_, differences))
    for link_ids, problem in (
        (repeated, "its label is there twice"),
        (in_labels.filter(pc.is_null(index)), "a label, but no ready row with genres"),
        (in_list.filter(pc.invert(pc.is_in(in_list, in_labels))), "genres, but no label"),
        (different, "genres, movie or title of its label differ from the list"),
    ):
        for link_id in link_ids.to_pylist():
            check.add_offender(f"link {link_id}: {problem}")
    return check


def check_links(ready: pa.Array, current: pa.Table) -> Check:
    """Every ready link has a known outcome in `current`, which has one row per link."""
    advice = "Run `trailergenre featurize` again: it takes the links without an outcome."
    check = Check("I1", "every ready link has one outcome", advice, len(ready))
    listed = filter_links(current.select(["link_id", "outcome"]), ready)
    for link_id in ready.filter(pc.invert(pc.is_in(ready, listed["link_id"]))).to_pylist():
        check.add_offender(f"link {link_id} has no outcome")
    is_known = pc.is_in(listed["outcome"], pa.array(list(Outcome), pa.string()))
    for row in listed.filter(pc.invert(is_known)).to_pylist():
        check.add_offender(f"link {row['link_id']}: outcome is {row['outcome']!r}")
    deferred = count_values(listed["outcome"]).get(Outcome.DEFERRED, 0)
    if deferred:
        check.notes.append(
            f"{deferred} links are deferred; run `trailergenre featurize` again for them"
        )
    others = len(current) - len(listed)
    if others:
        check.notes.append(f"{others} outcomes belong to links of an earlier list")
    return check


def check_references(current: pa.Table, fingerprint: str) -> Check:
    """Each `ok` row refers to its features, and no other row refers to any."""
    advice = "Delete the outcomes files named here and run `trailergenre featurize` again."
    name = "ok rows, and no others, refer to features"
    check = Check("I1", name, advice, len(current))
    columns = ["link_id", "outcome", "frames", "detail", "_file", *REFERENCE_COLUMNS]
    for row in iter_rows(current.select(columns)):
        problem = _reference_problem(row, fingerprint)
        if problem:
            check.add_offender(f"link {row['link_id']}: {problem} ({row['_file']})")
    return check


def _reference_problem(row: Mapping[str, object], fingerprint: str) -> str | None:
    references = [name for name in REFERENCE_COLUMNS if row[name] is not None]
    if row["outcome"] != Outcome.OK:
        if references or row["frames"]:
            return f"{row['outcome']}, but it refers to features"
        return None if row["detail"] else f"{row['outcome']}, without a reason"
    if len(references) < len(REFERENCE_COLUMNS) or not row["frames"]:
        return "ok, but it refers to no features"
    if row["features_file"] != f"features/{fingerprint}/{row['features_sha256']}.parquet":
        return f"refers to {row['features_file']}, whose name is not its SHA-256"
    return None


def count_outcomes(ready: pa.Array, current: pa.Table) -> dict[str, int]:
    """Count ready links by outcome."""
    return count_values(filter_links(current.select(["link_id", "outcome"]), ready)["outcome"])


def list_weak_sandboxes(current: pa.Table) -> list[str]:
    """A note for each set of protections that some machine lacked."""
    return [
        f"sandbox: {lacking} for {n} links"
        for lacking, n in count_values(current["sandbox"]).items()
        if lacking not in {"full", "not needed"}
    ]

"""Counts of a run's input rows, links, hosts and frames, and the sums that must hold for them."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.runs.tables import count_values

N_HOSTS = 12
"""Hosts shown one by one; the others are summed."""


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """Number of rows or links with one outcome; `meaning` is empty for an unknown outcome."""

    outcome: str
    n: int
    meaning: str


def count_outcomes(
    column: pa.ChunkedArray, outcomes: type[RowOutcome | Outcome]
) -> tuple[OutcomeCount, ...]:
    """Count outcomes: ready or ok first, then the most frequent ones."""
    meanings = {outcome.value: outcome.meaning for outcome in outcomes}
    best = next(iter(meanings))
    counts = sorted(count_values(column).items(), key=lambda pair: pair[0] != best)
    return tuple(OutcomeCount(outcome, n, meanings.get(outcome, "")) for outcome, n in counts)


@dataclass(frozen=True, slots=True)
class Sum:
    """A sum that must hold for every run, in words and numbers."""

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Funnel:
    """From input rows to features."""

    rows: int
    ready_rows: int
    links: int  # distinct links of the ready rows
    ended: int  # links with a final outcome: ok or failed
    ok: int
    failed: int
    deferred: int
    without_outcome: int
    frames: int
    files: int  # features files that the ok links refer to
    sums: tuple[Sum, ...]


def make_funnel(links: pa.Table, joined: pa.Table) -> Funnel:
    """Count how many rows, links and frames reached each stage; see `run_links.join_links`."""
    row_counts = count_values(links["row_outcome"])
    counts = count_values(joined["outcome"])
    ok, deferred = counts.get(Outcome.OK, 0), counts.get(Outcome.DEFERRED, 0)
    # Unknown outcomes are left out on purpose, so that the sum does not hold.
    failed = sum(n for outcome, n in counts.items() if outcome in set(Outcome)) - ok - deferred
    without = joined["outcome"].null_count
    stored = joined.filter(pc.is_valid(joined["features_file"]))
    files = stored.group_by("features_file", use_threads=False).aggregate(
        [("features_rows", "max")]
    )
    frames = int(pc.sum(joined["frames"]).as_py() or 0)
    in_files = int(pc.sum(files["features_rows_max"]).as_py() or 0)
    known = {outcome.value: row_counts[outcome] for outcome in RowOutcome if outcome in row_counts}
    terms = " + ".join(f"{n:,} {outcome}" for outcome, n in known.items()) or "0"
    others = f"; the other {in_files - frames:,} rows belong to no ok link of this list"
    sums = (
        Sum(f"{len(links):,} rows = {terms}", len(links) == sum(known.values())),
        Sum(
            f"{len(joined):,} links = {ok:,} ok + {failed:,} failed + {deferred:,} deferred "
            f"+ {without:,} without an outcome",
            len(joined) == ok + failed + deferred + without,
        ),
        Sum(
            f"{ok:,} links are ok, {len(stored):,} refer to features: {frames:,} frames in "
            f"{len(files):,} {'file' if len(files) == 1 else 'files'} of {in_files:,} rows"
            f"{others if in_files > frames else ''}",
            ok == len(stored) and frames <= in_files,
        ),
    )
    return Funnel(
        rows=len(links),
        ready_rows=row_counts.get(RowOutcome.READY, 0),
        links=len(joined),
        ended=ok + failed,
        ok=ok,
        failed=failed,
        deferred=deferred,
        without_outcome=without,
        frames=frames,
        files=len(files),
        sums=sums,
    )


@dataclass(frozen=True, slots=True)
class HostCount:
    """Outcomes of the distinct ready links of one host, or of all other hosts together."""

    host: str
    links: int
    ok: int
    failed: int
    open: int  # deferred, or without an outcome yet
    size_bytes: int
    download_s: float  # without open links


def count_hosts(joined: pa.Table) -> tuple[HostCount, ...]:
    """Count links by host: the hosts with most links first, all others summed as the last."""
    outcome = joined["outcome"]
    is_ok = pc.fill_null(pc.equal(outcome, Outcome.OK.value), False)
    is_open = pc.fill_null(pc.equal(outcome, Outcome.DEFERRED.value), True)
    columns = {
        "links": pc.cast(pc.is_valid(joined["host"]), pa.int64()),
        "ok": pc.cast(is_ok, pa.int64()),
        "failed": pc.cast(pc.invert(pc.or_(is_ok, is_open)), pa.int64()),
        "open": pc.cast(is_open, pa.int64()),
        "size_bytes": pc.fill_null(joined["size_bytes"], 0),
        "download_s": pc.if_else(is_open, 0.0, joined["download_s"]),
    }
    table = pa.table({"host": joined["host"], **columns})
    hosts = table.group_by("host", use_threads=False).aggregate([(name, "sum") for name in columns])
    hosts = hosts.rename_columns({f"{name}_sum": name for name in columns})
    hosts = hosts.sort_by([("links", "descending"), ("host", "ascending")])
    rows, rest = hosts.slice(0, N_HOSTS).to_pylist(), hosts.slice(N_HOSTS)
    if len(rest):
        sums = {name: pc.sum(rest[name]).as_py() for name in columns}
        rows.append({"host": f"{len(rest):,} other hosts", **sums})
    return tuple(HostCount(**row | {"download_s": round(row["download_s"], 1)}) for row in rows)

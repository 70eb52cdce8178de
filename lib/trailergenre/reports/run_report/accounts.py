"""What became of every input row and every link, in counts, and the sums that these must fulfil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome

N_HOSTS = 12


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows or links ended with one outcome.

    Attributes:
        outcome: of one of the two closed lists.
        n: rows or links.
        meaning: what the outcome means; empty where this version does not know it.
    """

    outcome: str
    n: int
    meaning: str


@dataclass(frozen=True, slots=True)
class Sum:
    """One of the sums that a run must fulfil.

    Attributes:
        text: the sum, in words and numbers.
        holds: whether it does.
    """

    text: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Funnel:
    """From input rows to features.

    Attributes:
        rows: of the input.
        ready_rows: those that are to be downloaded.
        links: distinct ones of them.
        ended: links with a final outcome.
        ok: links whose features are stored.
        failed: links with another final outcome.
        deferred: links that a later run takes up.
        without_outcome: links of which nothing is committed yet.
        frames: of the links that are ok.
        files: features files that they name.
        sums: how these numbers hang together.
    """

    rows: int
    ready_rows: int
    links: int
    ended: int
    ok: int
    failed: int
    deferred: int
    without_outcome: int
    frames: int
    files: int
    sums: tuple[Sum, ...]


@dataclass(frozen=True, slots=True)
class HostCount:
    """What became of the links of one host, or of several together.

    Attributes:
        host: its name.
        links: distinct ready ones.
        ok: those whose features are stored.
        failed: those with another final outcome.
        open: deferred, or without an outcome yet.
        size_bytes: of the video files.
        download_s: of the downloads of links that came to their ends.
    """

    host: str
    links: int
    ok: int
    failed: int
    open: int
    size_bytes: int
    download_s: float


def count_rows(links: pa.Table) -> tuple[Counted, ...]:
    """Input rows by outcome, the ready ones first, then the most frequent."""
    meanings = {outcome.value: outcome.meaning for outcome in RowOutcome}
    return _count(links["row_outcome"], meanings, first=RowOutcome.READY)


def count_links(joined: pa.Table) -> tuple[Counted, ...]:
    """Links that have an outcome, by outcome; the ok ones first, then the most frequent."""
    meanings = {outcome.value: outcome.meaning for outcome in Outcome}
    return _count(joined["outcome"].drop_null(), meanings, first=Outcome.OK)


def _count(
    column: pa.ChunkedArray, meanings: Mapping[str, str], *, first: str
) -> tuple[Counted, ...]:
    counts = {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()}
    ordered = sorted(counts.items(), key=lambda pair: (pair[0] != first, -pair[1], pair[0]))
    return tuple(Counted(outcome, n, meanings.get(outcome, "")) for outcome, n in ordered)


def make_funnel(links: pa.Table, joined: pa.Table) -> Funnel:
    """Count how many rows, links and frames came how far.

    Args:
        links: the table `links`.
        joined: from `links.join_links`.
    """
    row_counts = {found.outcome: found.n for found in count_rows(links)}
    counts = {found.outcome: found.n for found in count_links(joined)}
    ok, deferred = counts.get(Outcome.OK, 0), counts.get(Outcome.DEFERRED, 0)
    failed = sum(
        counts.get(outcome, 0) for outcome in set(Outcome) - {Outcome.OK, Outcome.DEFERRED}
    )
    ready_rows = row_counts.get(RowOutcome.READY, 0)
    without = joined["outcome"].null_count
    named = joined.filter(pc.is_valid(joined["features_file"]))
    files = named.group_by("features_file", use_threads=False).aggregate([("features_rows", "max")])
    frames = int(pc.sum(joined["frames"]).as_py() or 0)
    in_files = int(pc.sum(files["features_rows_max"]).as_py() or 0)
    n_links, n_rows = len(joined), len(links)
    rest = in_files - frames
    others = f"; the other {rest:,} rows are of links that ended elsewhere or are of an older list"
    sums = (
        _sum_rows(n_rows, row_counts),
        Sum(
            f"{n_links:,} links = {ok:,} ok + {failed:,} failed + {deferred:,} deferred "
            f"+ {without:,} without an outcome",
            n_links == ok + failed + deferred + without,
        ),
        Sum(
            f"{ok:,} links are ok, {len(named):,} name their features: {frames:,} frames in "
            f"{len(files):,} {'file' if len(files) == 1 else 'files'} of {in_files:,} rows"
            f"{others if rest > 0 else ''}",
            ok == len(named) and frames <= in_files,
        ),
    )
    return Funnel(
        rows=n_rows,
        ready_rows=ready_rows,
        links=n_links,
        ended=ok + failed,
        ok=ok,
        failed=failed,
        deferred=deferred,
        without_outcome=without,
        frames=frames,
        files=len(files),
        sums=sums,
    )


def _sum_rows(rows: int, counts: Mapping[str, int]) -> Sum:
    """Outcomes that are not of the closed list are left out, so that the sum fails."""
    known = {outcome.value: counts[outcome] for outcome in RowOutcome if counts.get(outcome)}
    parts = " + ".join(f"{n:,} {outcome}" for outcome, n in known.items()) or "0"
    return Sum(f"{rows:,} rows = {parts}", rows == sum(known.values()))


def count_hosts(joined: pa.Table) -> tuple[HostCount, ...]:
    """Links by host: the hosts of most links, and the others summed as the last."""
    outcome = joined["outcome"]
    is_ok = pc.fill_null(pc.equal(outcome, Outcome.OK.value), False)
    is_open = pc.fill_null(pc.equal(outcome, Outcome.DEFERRED.value), True)
    counted = joined.select(["host", "size_bytes"])
    # A deferred link would lend its seconds to those that ended.
    ended_s = pc.if_else(is_open, 0.0, joined["download_s"])
    counted = counted.append_column("download_s", ended_s)
    for name, flag in (("ok", is_ok), ("open", is_open), ("links", pc.is_valid(joined["host"]))):
        counted = counted.append_column(name, pc.cast(flag, pa.int64()))
    names = [name for name in counted.column_names if name != "host"]
    sums = [(name, "sum") for name in names]
    hosts = counted.group_by("host", use_threads=False).aggregate(sums)
    hosts = hosts.select(["host", *(f"{name}_sum" for name in names)])
    hosts = hosts.rename_columns(["host", *names])
    ordered = hosts.sort_by([("links", "descending"), ("host", "ascending")])
    found = ordered.slice(0, N_HOSTS).to_pylist()
    rest = ordered.slice(N_HOSTS)
    if len(rest):
        total = {name: pc.sum(rest[name]).as_py() for name in names}
        found.append({"host": f"{len(rest):,} other hosts", **total})
    return tuple(
        HostCount(
            host=row["host"],
            links=row["links"],
            ok=row["ok"],
            failed=row["links"] - row["ok"] - row["open"],
            open=row["open"],
            size_bytes=row["size_bytes"] or 0,
            download_s=round(row["download_s"] or 0.0, 1),
        )
        for row in found
    )

"""The list and its outcomes to one row a distinct ready link, and to the few links worth a look.

Column by column in Arrow: a run of a million links would be gigabytes of Python objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.runs import tables

NO_HOST = "no host (files)"
"""Stands for the host of links that lead to no web server."""

N_SLOWEST = 10
N_FAILED = 15
"""Failed links shown of each outcome; there are some thirty outcomes."""

OUTCOME_COLUMNS = (
    *tables.PRECEDENCE_COLUMNS,
    "detail",
    "attempts",
    "download_s",
    "decode_s",
    "embed_s",
    "size_bytes",
    "duration_s",
    "frames",
    "engine",
    "device",
    "versions",
    "sandbox",
    "features_file",
    "features_rows",
)
"""Columns of the outcomes table that a report needs; not who was spoken to."""

_STEPS = ("download_s", "decode_s", "embed_s")


@dataclass(frozen=True, slots=True)
class ShownLink:
    """One link of a run, as a report shows it; what strangers wrote is as they wrote it.

    Attributes:
        url: the canonical link.
        title: of the movie; may be empty.
        outcome: of `outcomes.Outcome`.
        detail: why it failed; empty where it is ok.
        attempts: downloads tried.
        download_s: of all attempts.
        decode_s: waiting for the decoder.
        embed_s: in the network.
        size_bytes: of the video file; None where none came.
        duration_s: of the video; None where it was not seen.
        frames: embedded.
    """

    url: str
    title: str
    outcome: str
    detail: str
    attempts: int
    download_s: float
    decode_s: float
    embed_s: float
    size_bytes: int | None
    duration_s: float | None
    frames: int


@dataclass(frozen=True, slots=True)
class FailedLinks:
    """Links that ended with one outcome.

    Attributes:
        outcome: of `outcomes.Outcome`.
        n: how many there are.
        links: the first of them in the list's order, `N_FAILED` at most.
    """

    outcome: str
    n: int
    links: tuple[ShownLink, ...]


def join_links(links: pa.Table, outcomes: pa.Table) -> pa.Table:
    """Give each distinct ready link, in the list's order, its outcome; nulls where it has none.

    Args:
        links: the table `links`.
        outcomes: current outcomes, `OUTCOME_COLUMNS` at least.

    Returns:
        `link_id`, `url`, `title` and `host`, then the columns of the outcomes; `took_s` is the sum
        of the three steps.
    """
    ready = links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value))
    ready = ready.select(["link_id", "url", "title"]).combine_chunks()
    first = pc.index_in(pc.unique(ready["link_id"]), value_set=_whole(ready["link_id"]))
    ready = ready.take(first)
    # An index that is null takes a row of nulls.
    place = pc.index_in(ready["link_id"], value_set=_whole(outcomes["link_id"]))
    rows = outcomes.drop_columns("link_id").take(place)
    joined = ready.append_column("host", _hosts(ready["url"]))
    for name in rows.column_names:
        joined = joined.append_column(name, rows[name])
    took_s = pc.add(pc.add(rows["download_s"], rows["decode_s"]), rows["embed_s"])
    return joined.append_column("took_s", took_s)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return pa.concat_arrays(found.chunks) if isinstance(found, pa.ChunkedArray) else found


def _hosts(urls: pa.ChunkedArray) -> pa.Array:
    """The host of each canonical link, which holds no user info."""
    pattern = r"^https?://(?P<host>\[[^\]]*\]|[^/:?#]*)"
    found = pc.extract_regex(_whole(urls), pattern=pattern)
    return pc.fill_null(pc.struct_field(found, "host"), NO_HOST)


def find_slowest(joined: pa.Table) -> tuple[ShownLink, ...]:
    """The links that took longest, the longest first; those that took no time are left out."""
    timed = joined.filter(pc.fill_null(pc.greater(joined["took_s"], 0), False))
    order = [("took_s", "descending"), ("link_id", "ascending")]
    return _show(timed.sort_by(order).slice(0, N_SLOWEST))


def find_failed(joined: pa.Table) -> tuple[FailedLinks, ...]:
    """The links that failed or were deferred, by outcome; of the most frequent one first."""
    bad = joined.filter(pc.fill_null(pc.not_equal(joined["outcome"], Outcome.OK.value), False))
    counts = {row["values"]: row["counts"] for row in pc.value_counts(bad["outcome"]).to_pylist()}
    return tuple(
        FailedLinks(
            outcome, n, _show(bad.filter(pc.equal(bad["outcome"], outcome)).slice(0, N_FAILED))
        )
        for outcome, n in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    )


def _show(rows: pa.Table) -> tuple[ShownLink, ...]:
    return tuple(ShownLink(**row) for row in rows.select(ShownLink.__slots__).to_pylist())


@dataclass(frozen=True, slots=True)
class StepTime:
    """What one step took, over the links that have an outcome.

    Attributes:
        step: its name.
        total_s: of all links; downloads and decodes go on side by side.
        median_s: of the links that are ok; None where there is none.
        p95_s: 95 of 100 of them took less.
        longest_s: of them.
    """

    step: str
    total_s: float
    median_s: float | None
    p95_s: float | None
    longest_s: float | None


def time_steps(joined: pa.Table) -> tuple[StepTime, ...]:
    """What downloading, decoding and embedding took, link by link."""
    is_ok = pc.fill_null(pc.equal(joined["outcome"], Outcome.OK.value), False)
    ok = joined.filter(is_ok)
    found = []
    for column in _STEPS:
        quantiles = pc.quantile(ok[column], q=[0.5, 0.95, 1.0]).to_pylist()
        total = pc.sum(joined[column]).as_py() or 0.0
        found.append(StepTime(column.removesuffix("_s"), round(total, 1), *quantiles))
    return tuple(found)

"""The distinct links of a run with their outcomes: the slowest, the failed, and time by step.

Computed by column in Arrow: the Python objects of a million links would take gigabytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.runs import outcomes_table
from trailergenre.runs.tables import count_values

NO_HOST = "no host (files)"
"""Host of links that lead to no web server."""
N_SLOWEST = 10
N_FAILED = 15
"""Failed links shown per outcome; there are about thirty outcomes."""

_STEPS = ("download_s", "decode_s", "embed_s")

OUTCOME_COLUMNS = (
    *outcomes_table.PRECEDENCE_COLUMNS,
    *_STEPS,
    *("detail", "attempts", "size_bytes", "pictures_s", "frames"),
    *("engine", "device", "versions", "sandbox", "features_file", "features_rows"),
)
"""Columns of the outcomes table that a report reads."""


@dataclass(frozen=True, slots=True)
class ShownLink:
    """One link on the page: columns of the tables `links` and `outcomes`.

    `url`, `title` and `detail` are untrusted text.
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
    pictures_s: float | None
    frames: int


@dataclass(frozen=True, slots=True)
class FailedLinks:
    """Number of links with one outcome, and the first `N_FAILED` of them in list order."""

    outcome: str
    n: int
    links: tuple[ShownLink, ...]


@dataclass(frozen=True, slots=True)
class StepTime:
    """Time of one step: the sum over all links, and quantiles over the links that are ok."""

    step: str
    total_s: float
    median_s: float | None
    p95_s: float | None
    longest_s: float | None


def join_links(links: pa.Table, outcomes: pa.Table) -> pa.Table:
    """Join each distinct ready link with its outcome, in list order.

    Returns:
        `link_id`, `url`, `title` and `host`; `OUTCOME_COLUMNS`, null for a link without an outcome;
        and `took_s`, the sum of the three steps.
    """
    ready = links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value))
    ready = ready.select(["link_id", "url", "title"])
    ids = ready["link_id"].combine_chunks()
    ready = ready.take(pc.index_in(pc.unique(ids), value_set=ids))
    # Taking a null index gives a row of nulls.
    index = pc.index_in(ready["link_id"], value_set=outcomes["link_id"].combine_chunks())
    rows = outcomes.drop_columns("link_id").take(index)
    joined = ready.append_column("host", _hosts(ready["url"]))
    for name in rows.column_names:
        joined = joined.append_column(name, rows[name])
    took_s = pc.add(pc.add(rows["download_s"], rows["decode_s"]), rows["embed_s"])
    return joined.append_column("took_s", took_s)


def _hosts(urls: pa.ChunkedArray) -> pa.ChunkedArray:
    """Host of each canonical link; canonical links hold no user info."""
    pattern = r"^https?://(?P<host>\[[^\]]*\]|[^/:?#]*)"
    matches = pc.extract_regex(urls, pattern=pattern)
    return pc.fill_null(pc.struct_field(matches, "host"), NO_HOST)


def find_slowest(joined: pa.Table) -> tuple[ShownLink, ...]:
    """The links that took longest, longest first; links that took no time are left out."""
    timed = joined.filter(pc.greater(joined["took_s"], 0))
    order = [("took_s", "descending"), ("link_id", "ascending")]
    return _show(timed.sort_by(order).slice(0, N_SLOWEST))


def find_failed(joined: pa.Table) -> tuple[FailedLinks, ...]:
    """The links that failed or were deferred, by outcome; the most frequent outcome first."""
    failed = joined.filter(pc.not_equal(joined["outcome"], Outcome.OK.value))
    groups = []
    for outcome, n in count_values(failed["outcome"]).items():
        rows = failed.filter(pc.equal(failed["outcome"], outcome)).slice(0, N_FAILED)
        groups.append(FailedLinks(outcome, n, _show(rows)))
    return tuple(groups)


def _show(rows: pa.Table) -> tuple[ShownLink, ...]:
    return tuple(ShownLink(**row) for row in rows.select(ShownLink.__slots__).to_pylist())


def time_steps(joined: pa.Table) -> tuple[StepTime, ...]:
    """Summarize the time of downloading, decoding and embedding."""
    ok = joined.filter(pc.equal(joined["outcome"], Outcome.OK.value))
    times = []
    for column in _STEPS:
        quantiles = pc.quantile(ok[column], q=[0.5, 0.95, 1.0]).to_pylist()
        total = pc.sum(joined[column]).as_py() or 0.0
        times.append(StepTime(column.removesuffix("_s"), round(total, 1), *quantiles))
    return tuple(times)

"""The tables of a run to the figures of its report: what became of all, how fast, and why not more.

Reads through a store and changes nothing. Knows nothing of Spark, nor of how a report looks.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.reports.run_report.accounts import (
    Counted,
    Funnel,
    HostCount,
    count_hosts,
    count_links,
    count_rows,
    make_funnel,
)
from trailergenre.reports.run_report.executors import ExecutorTimes, sum_executors
from trailergenre.reports.run_report.links import (
    OUTCOME_COLUMNS,
    FailedLinks,
    ShownLink,
    StepTime,
    find_failed,
    find_slowest,
    join_links,
    time_steps,
)
from trailergenre.reports.run_report.sessions import Begun, Ended, Pace, measure_pace, parse_records
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import list_settings
from trailergenre.runs.lease import read_lease
from trailergenre.runs.sessions import read_starts, read_summaries


@dataclass(frozen=True, slots=True)
class Machines:
    """What the links' outcomes say of the machines that made them; text -> links.

    Attributes:
        engines: engine and device, of links that are ok.
        versions: program and version.
        sandbox: `full`, `not needed`, or what the children were not granted.
    """

    engines: dict[str, int]
    versions: dict[str, int]
    sandbox: dict[str, int]


@dataclass(frozen=True, slots=True)
class RunReport:
    """All figures of a run's report.

    Attributes:
        run: its address.
        features: the fingerprint.
        is_external: whether they were published by others: nothing was downloaded.
        created_at: UTC.
        at_work: who works on the run just now; None where nobody does.
        funnel: from input rows to features.
        by_row_outcome: input rows.
        by_outcome: distinct ready links that have an outcome.
        hosts: their hosts.
        pace: links and frames over time.
        steps: what downloading, decoding and embedding took.
        executors: where the time of the slots went.
        slowest: links.
        failed: links, by outcome.
        settings: what features depend on.
        limits: of a link, of the last session; empty where none was recorded.
        egress: who decided about addresses, of all sessions: guarded, or proxy's.
        machines: what made them.
        notes: what a reader must know beside the figures.
    """

    run: str
    features: str
    is_external: bool
    created_at: datetime
    at_work: str | None
    funnel: Funnel
    by_row_outcome: tuple[Counted, ...]
    by_outcome: tuple[Counted, ...]
    hosts: tuple[HostCount, ...]
    pace: Pace
    steps: tuple[StepTime, ...]
    executors: ExecutorTimes
    slowest: tuple[ShownLink, ...]
    failed: tuple[FailedLinks, ...]
    settings: dict[str, Any]  # what JSON holds: numbers and texts
    limits: dict[str, int | float]
    egress: tuple[str, ...]
    machines: Machines
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What JSON can hold; times as ISO 8601. `Any`: it is what the page's template reads."""
        found: dict[str, Any] = TypeAdapter(RunReport).dump_python(self, mode="json")
        return found


def read_run_report(store: Store, fingerprint: str) -> RunReport:
    """Read what is committed of a run, finished or not.

    Args:
        store: the run.
        fingerprint: of the features.

    Raises:
        ConfigError: the run has no list of links.
        StorageError: a table is missing a file, or one is damaged.
    """
    holder = read_lease(store)
    links = tables.read_table(store, "links")
    outcomes = tables.read_outcomes(store, fingerprint, columns=OUTCOME_COLUMNS)
    joined = join_links(links, outcomes)
    begun, bad = parse_records(Begun, read_starts(store, "featurize"), fingerprint=fingerprint)
    ended, worse = parse_records(Ended, read_summaries(store, "featurize"), fingerprint=fingerprint)
    notes = [*bad, *worse]
    settings = list_settings(store)[fingerprint]
    older = len(outcomes) - (len(joined) - joined["outcome"].null_count)
    if older:
        notes.append(f"{older:,} outcomes are of links of an older list, and are not counted here.")
    if settings.is_external:
        notes.append("The features were published by others: nothing was downloaded.")
    elif not begun:
        notes.append("No session's beginning is recorded: the first commit stands for it.")
    return RunReport(
        run=str(store),
        features=fingerprint,
        is_external=settings.is_external,
        created_at=datetime.now(UTC).replace(microsecond=0),
        at_work=holder.describe() if holder else None,
        funnel=make_funnel(links, joined),
        by_row_outcome=count_rows(links),
        by_outcome=count_links(joined),
        hosts=count_hosts(joined),
        pace=measure_pace([session.begun_at for session in begun], joined),
        steps=time_steps(joined),
        executors=sum_executors(ended, sessions=len(begun)),
        slowest=find_slowest(joined),
        failed=find_failed(joined),
        settings=asdict(settings),
        limits=begun[-1].limits if begun else {},
        egress=tuple(sorted({session.egress for session in begun})),
        machines=_machines(joined),
        notes=tuple(notes),
    )


def _machines(joined: pa.Table) -> Machines:
    rows = joined.filter(pc.is_valid(joined["outcome"]))
    versions: Counter[str] = Counter()
    for text, n in _counts(rows["versions"]).items():
        for program, version in json.loads(text).items():
            versions[f"{program} {version}"] += n
    ok = rows.filter(pc.equal(rows["outcome"], Outcome.OK.value))
    engines = pc.binary_join_element_wise(ok["engine"], ok["device"], " on ")
    return Machines(
        engines=_counts(engines),
        versions=dict(sorted(versions.items())),
        sandbox=_counts(rows["sandbox"]),
    )


def _counts(column: pa.ChunkedArray) -> dict[str, int]:
    """Each value and how often it stands there, the most frequent first."""
    counts = {row["values"]: row["counts"] for row in pc.value_counts(column).to_pylist()}
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

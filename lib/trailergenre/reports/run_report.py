"""The report of a run, finished or not: outcomes, throughput, failures, and the page with them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.reports.pages import render_page
from trailergenre.reports.run_counts import (
    Funnel,
    HostCount,
    OutcomeCount,
    count_hosts,
    count_links,
    count_rows,
    count_values,
    make_funnel,
)
from trailergenre.reports.run_links import (
    OUTCOME_COLUMNS,
    FailedLinks,
    ShownLink,
    StepTime,
    find_failed,
    find_slowest,
    join_links,
    time_steps,
)
from trailergenre.reports.run_sessions import (
    ExecutorTimes,
    SessionStart,
    SessionSummary,
    Throughput,
    measure_throughput,
    parse_records,
    sum_executors,
)
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import list_settings
from trailergenre.runs.lease import read_lease
from trailergenre.runs.sessions import read_starts, read_summaries


@dataclass(frozen=True, slots=True)
class Machines:
    """What the outcomes record about the machines; each text with its number of links.

    Attributes:
        engines: engine and device, for links that are ok.
        versions: program and version.
        sandbox: `full`, `not needed`, or the protections that were missing.
    """

    engines: dict[str, int]
    versions: dict[str, int]
    sandbox: dict[str, int]


@dataclass(frozen=True, slots=True)
class RunReport:
    """The figures of a run's report.

    Attributes:
        features: the fingerprint.
        is_external: whether the features were imported; then nothing was downloaded.
        at_work: who is working on the run; None if nobody is.
        by_row_outcome: input rows.
        by_outcome: distinct ready links that have an outcome.
        settings: the settings that features depend on.
        limits: limits of a link in the last session; empty if none was recorded.
        egress: who enforced the egress policy in each session: guarded, or proxy's.
        notes: what a reader must know beside the figures.
    """

    run: str
    features: str
    is_external: bool
    created_at: datetime
    at_work: str | None
    funnel: Funnel
    by_row_outcome: tuple[OutcomeCount, ...]
    by_outcome: tuple[OutcomeCount, ...]
    hosts: tuple[HostCount, ...]
    throughput: Throughput
    steps: tuple[StepTime, ...]
    executors: ExecutorTimes
    slowest: tuple[ShownLink, ...]
    failed: tuple[FailedLinks, ...]
    settings: dict[str, Any]  # JSON values
    limits: dict[str, int | float]
    egress: tuple[str, ...]
    machines: Machines
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON values, which the page's template reads; times are ISO 8601."""
        record: dict[str, Any] = TypeAdapter(RunReport).dump_python(self, mode="json")
        return record


def render_run(record: Mapping[str, object]) -> str:
    """Render the HTML page of `RunReport.to_json`."""
    return render_page("run.html", record)


def read_run_report(store: Store, fingerprint: str) -> RunReport:
    """Read what is committed of a run.

    Args:
        store: the run.
        fingerprint: of the features.

    Raises:
        ConfigError: the run has no list of links.
        StorageError: a table lacks a file, or a file is damaged.
    """
    lease = read_lease(store)
    links = tables.read_table(store, "links")
    outcomes = tables.read_outcomes(store, fingerprint, columns=OUTCOME_COLUMNS)
    joined = join_links(links, outcomes)
    starts, unread_starts = parse_records(
        SessionStart, read_starts(store, "featurize"), fingerprint=fingerprint
    )
    summaries, unread_summaries = parse_records(
        SessionSummary, read_summaries(store, "featurize"), fingerprint=fingerprint
    )
    notes = [*unread_starts, *unread_summaries]
    settings = list_settings(store)[fingerprint]
    older = len(outcomes) - (len(joined) - joined["outcome"].null_count)
    if older:
        notes.append(f"{older:,} outcomes belong to links of an older list; they do not count.")
    if settings.is_external:
        notes.append("The features were imported from elsewhere: nothing was downloaded.")
    elif not starts:
        notes.append("No session start is recorded: the first commit stands for it.")
    return RunReport(
        run=str(store),
        features=fingerprint,
        is_external=settings.is_external,
        created_at=datetime.now(UTC).replace(microsecond=0),
        at_work=lease.describe() if lease else None,
        funnel=make_funnel(links, joined),
        by_row_outcome=count_rows(links),
        by_outcome=count_links(joined),
        hosts=count_hosts(joined),
        throughput=measure_throughput([start.begun_at for start in starts], joined),
        steps=time_steps(joined),
        executors=sum_executors(summaries, n_sessions=len(starts)),
        slowest=find_slowest(joined),
        failed=find_failed(joined),
        settings=asdict(settings),
        limits=starts[-1].limits if starts else {},
        egress=tuple(sorted({start.egress for start in starts})),
        machines=_machines(joined),
        notes=tuple(notes),
    )


def _machines(joined: pa.Table) -> Machines:
    rows = joined.filter(pc.is_valid(joined["outcome"]))
    versions: Counter[str] = Counter()
    for text, n in count_values(rows["versions"]).items():
        for program, version in json.loads(text).items():
            versions[f"{program} {version}"] += n
    ok = rows.filter(pc.equal(rows["outcome"], Outcome.OK.value))
    engines = pc.binary_join_element_wise(ok["engine"], ok["device"], " on ")
    return Machines(
        engines=count_values(engines),
        versions=dict(sorted(versions.items())),
        sandbox=count_values(rows["sandbox"]),
    )

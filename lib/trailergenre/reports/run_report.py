"""The report of a run, finished or not: outcomes, throughput, failures, and the page with them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.storage import Store
from trailergenre.reports import run_counts, run_links, run_rows, run_sessions
from trailergenre.reports.pages import ReportFile, render_page
from trailergenre.runs import outcomes_table, tables
from trailergenre.runs.fingerprint import list_settings
from trailergenre.runs.lease import read_leases
from trailergenre.runs.sessions import read_starts, read_summaries
from trailergenre.runs.tables import count_values


@dataclass(frozen=True, slots=True)
class Machines:
    """What the outcomes record about the machines; each text with its number of links."""

    engines: dict[str, int]  # engine and device, for links that are ok
    versions: dict[str, int]  # program and version
    sandbox: dict[str, int]  # full, not needed, or the protections that were missing


@dataclass(frozen=True, slots=True)
class RunReport:
    """The figures of a run's report."""

    run: str
    features: str  # fingerprint
    is_external: bool  # the features were imported: nothing was downloaded
    created_at: datetime
    at_work: str | None  # who is working on the run; None if nobody is
    funnel: run_counts.Funnel
    by_row_outcome: tuple[run_counts.OutcomeCount, ...]
    by_outcome: tuple[run_counts.OutcomeCount, ...]
    hosts: tuple[run_counts.HostCount, ...]
    throughput: run_sessions.Throughput
    steps: tuple[run_links.StepTime, ...]
    executors: run_sessions.ExecutorTimes
    slowest: tuple[run_links.ShownLink, ...]
    failed: tuple[run_links.FailedLinks, ...]
    to_correct: run_rows.RowsToCorrect
    settings: dict[str, Any]  # what the features depend on
    limits: dict[str, int | float]  # of a link in the last session; empty if none was recorded
    egress: tuple[str, ...]  # who enforced the egress policy: guarded, or proxy's
    machines: Machines
    notes: tuple[str, ...]  # what a reader must know beside the figures

    def to_json(self) -> dict[str, Any]:
        """As JSON values, which the page's template reads; times are ISO 8601."""
        record: dict[str, Any] = TypeAdapter(RunReport).dump_python(self, mode="json")
        return record


def render_run(
    record: Mapping[str, object],
    *,
    neighbours: Mapping[str, str] | None = None,
    rows_file: str | None = None,
) -> str:
    """Render the HTML page of `RunReport.to_json`.

    `neighbours` are those of the page's `ReportFile`; `rows_file` is the name of the CSV file of
    rows to correct, if one lies beside the page.
    """
    return render_page("run.html", record, neighbours=neighbours, rows_file=rows_file)


class RunFiles(NamedTuple):
    """The report in the run's directory: the page, and the rows to correct."""

    page: ReportFile
    rows: ReportFile

    @classmethod
    def of(cls, store: Store) -> RunFiles:
        """Those of a run."""
        rows = ReportFile(store, f"reports/{run_rows.ROWS_FILE}", run_rows.ROWS_MARK)
        return cls(ReportFile(store, "reports/run.html"), rows)

    def check(self) -> None:
        """Check that nothing but an earlier report would be replaced, by a `ForeignFileError`."""
        for file in self:
            file.check()

    def write(self, fingerprint: str) -> None:
        """Write both; errors as for `read_run_report` and `ReportFile.write`."""
        store = self.page.store
        links, outcomes = _read(store, fingerprint)
        to_correct = run_rows.find_rows(links, outcomes)
        self.rows.write(run_rows.to_csv(to_correct))
        record = _report(store, fingerprint, links, outcomes, to_correct).to_json()
        neighbours = self.page.neighbours()
        self.page.write(render_run(record, neighbours=neighbours, rows_file=run_rows.ROWS_FILE))


def read_run_report(store: Store, fingerprint: str) -> RunReport:
    """Read what is committed of a run.

    Raises:
        ConfigError: the run has no list of links.
        StorageError: a table lacks a file, or a file is damaged.
    """
    links, outcomes = _read(store, fingerprint)
    to_correct = run_rows.find_rows(links, outcomes)
    return _report(store, fingerprint, links, outcomes, to_correct)


_LINK_COLUMNS = ("row", "link_id", "url", "title", "row_outcome", "detail", "other")


def _read(store: Store, fingerprint: str) -> tuple[pa.Table, pa.Table]:
    """Read the list and its outcomes: of a million links, a gigabyte."""
    outcomes = outcomes_table.read_outcomes(store, fingerprint, columns=run_links.OUTCOME_COLUMNS)
    for name in ("versions", "features_file"):  # long texts, many times the same
        place = outcomes.schema.get_field_index(name)
        outcomes = outcomes.set_column(place, name, outcomes[name].dictionary_encode())
    return tables.read_table(store, "links", _LINK_COLUMNS), outcomes.unify_dictionaries()


def _report(
    store: Store, fingerprint: str, links: pa.Table, outcomes: pa.Table, to_correct: pa.Table
) -> RunReport:
    leases = read_leases(store)
    joined = run_links.join_links(links, outcomes)
    starts, unread_starts = run_sessions.parse_records(
        run_sessions.SessionStart, read_starts(store, "featurize"), fingerprint=fingerprint
    )
    summaries, unread_summaries = run_sessions.parse_records(
        run_sessions.SessionSummary, read_summaries(store, "featurize"), fingerprint=fingerprint
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
        at_work="; ".join(lease.describe() for lease in leases) or None,
        funnel=run_counts.make_funnel(links, joined),
        by_row_outcome=run_counts.count_outcomes(links["row_outcome"], RowOutcome),
        by_outcome=run_counts.count_outcomes(joined["outcome"], Outcome),
        hosts=run_counts.count_hosts(joined),
        throughput=run_sessions.measure_throughput([start.begun_at for start in starts], joined),
        steps=run_links.time_steps(joined),
        executors=run_sessions.sum_executors(summaries, n_sessions=len(starts)),
        slowest=run_links.find_slowest(joined),
        failed=run_links.find_failed(joined),
        to_correct=run_rows.show_rows(to_correct),
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

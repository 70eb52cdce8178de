from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from reported import (
    BEGUN,
    FP,
    TITLE,
    URL,
    begin,
    make_reported,
    ready_id,
    write_list,
    write_outcomes,
    write_record,
)
from runs import SETTINGS, make_movies, make_run, outcome_row
from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.reports.run_counts import N_HOSTS
from trailergenre.reports.run_links import N_FAILED, NO_HOST
from trailergenre.reports.run_report import RunReport, read_run_report
from trailergenre.reports.run_sessions import MAX_BINS
from trailergenre.runs import schemas, tables
from trailergenre.runs.fingerprint import EXTERNAL, write_settings
from trailergenre.runs.lease import hold_lease


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run that no test changes."""
    store = Store(str(tmp_path_factory.mktemp("run")))
    make_reported(store)
    return store


@pytest.fixture(scope="module")
def report(made: Store) -> RunReport:
    return read_run_report(made, FP)


def begun(tmp_path: Path, rows: list[dict[str, Any]], *, links: int) -> Store:
    """A run of so many ready links with these outcomes and nothing else."""
    store = Store(str(tmp_path))
    write_settings(store, SETTINGS)
    write_list(store, links)
    write_outcomes(store, rows)
    return store


def ok(number: int, **more: object) -> dict[str, Any]:
    named = {"features_file": f"features/{FP}/x.parquet", "features_rows": 100}
    return {**outcome_row(ready_id(number), Outcome.OK, frames=4), **named, **more}


def test_every_row_and_link_is_counted_and_the_sums_hold(report: RunReport) -> None:
    funnel = report.funnel
    assert (funnel.rows, funnel.ready_rows, funnel.links) == (264, 240, 240)
    assert (funnel.deferred, funnel.failed, funnel.without_outcome) == (5, 22, 3)
    assert funnel.ok == 240 - 30
    assert funnel.ended == 232
    assert sum(row.n for row in report.by_row_outcome) == 264
    assert [row.n for row in report.by_row_outcome] == [240, 8, 8, 8]
    assert sum(row.n for row in report.by_outcome) == 237
    assert report.by_outcome[0].outcome == "ok"
    assert all(row.meaning for row in (*report.by_outcome, *report.by_row_outcome))
    assert [found.holds for found in funnel.sums] == [True] * 3
    assert funnel.sums[1].text == (
        "240 links = 210 ok + 22 failed + 5 deferred + 3 without an outcome"
    )
    assert funnel.sums[2].text == (
        "210 links are ok, 210 refer to features: 25,349 frames in 30 files of 25,349 rows"
    )
    assert funnel.files == 30


def test_rows_of_files_that_are_of_no_link_here_are_accounted_for(tmp_path: Path) -> None:
    funnel = read_run_report(begun(tmp_path, [ok(0), ok(7)], links=1), FP).funnel
    assert "4 frames in 1 file of 100 rows; the other 96 rows belong to" in funnel.sums[2].text
    assert funnel.sums[2].holds


def test_a_link_of_several_ready_rows_counts_once(tmp_path: Path) -> None:
    store = begun(tmp_path, [ok(0)], links=2)
    links = tables.read_table(store, "links")
    tables.write_table(store, "links", pa.concat_tables([links, links.slice(0, 1)]))
    funnel = read_run_report(store, FP).funnel
    assert (funnel.ready_rows, funnel.links, funnel.ok, funnel.frames) == (3, 2, 1, 4)


@pytest.mark.parametrize(
    ("place", "row"),
    [
        (2, ok(0, features_file=None)),
        (2, ok(0, features_rows=3)),
        (1, {**ok(0), "outcome": "of a later version", "features_file": None, "frames": 0}),
    ],
    ids=["names no features", "more frames than rows", "unknown outcome"],
)
def test_what_does_not_add_up_is_told(tmp_path: Path, place: int, row: dict[str, Any]) -> None:
    sums = read_run_report(begun(tmp_path, [row], links=1), FP).funnel.sums
    assert [found.holds for found in sums] == [number != place for number in range(3)]


def test_a_row_of_an_unknown_outcome_does_not_add_up(tmp_path: Path) -> None:
    store = begun(tmp_path, [ok(0)], links=1)
    row = tables.read_table(store, "links").to_pylist()[0] | {"row_outcome": "lost"}
    links = pa.concat_tables(
        [tables.read_table(store, "links"), pa.Table.from_pylist([row], schemas.LINKS)]
    )
    tables.write_table(store, "links", links)
    assert read_run_report(store, FP).funnel.sums[0].holds is False


def test_the_hosts_of_few_links_are_summed(report: RunReport) -> None:
    hosts = report.hosts
    assert len(hosts) == N_HOSTS + 1
    assert hosts[0].host == "www.youtube.com"
    assert hosts[-1].host == "7 other hosts"
    assert sum(host.links for host in hosts) == report.funnel.links
    assert sum(host.ok for host in hosts) == report.funnel.ok
    assert sum(host.failed for host in hosts) == report.funnel.failed
    assert sum(host.open for host in hosts) == 8
    assert hosts[0].size_bytes > 0


def test_the_downloads_of_deferred_links_are_no_part_of_what_one_that_ended_took(
    tmp_path: Path,
) -> None:
    deferred = {**outcome_row(ready_id(2), Outcome.DEFERRED), "download_s": 500.0}
    failed = {**outcome_row(ready_id(1), Outcome.DNS), "download_s": 4.0}
    store = begun(tmp_path, [ok(0, download_s=2.0), failed, deferred], links=4)
    hosts = read_run_report(store, FP).hosts
    assert [(host.host, host.open, host.download_s) for host in hosts] == [
        ("www.youtube.com", 2, 4.0),
        (NO_HOST, 0, 2.0),
    ]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://a.example:8080/x", "a.example"),
        ("http://[2001:db8::1]:8080/x", "[2001:db8::1]"),
        ("https://b.example?x", "b.example"),
        ("file:///videos/a.mp4", NO_HOST),
        ("javascript:https://c.example", NO_HOST),
    ],
)
def test_the_host_of_a_link(tmp_path: Path, url: str, host: str) -> None:
    store = begun(tmp_path, [ok(0)], links=1)
    rows = tables.read_table(store, "links").to_pylist()
    table = pa.Table.from_pylist([rows[0] | {"url": url}], schemas.LINKS)
    tables.write_table(store, "links", table)
    assert [found.host for found in read_run_report(store, FP).hosts] == [host]


def test_the_time_between_sessions_is_cut_out(report: RunReport) -> None:
    throughput = report.throughput
    assert [session.begun_at for session in throughput.sessions] == list(BEGUN)
    assert [session.links for session in throughput.sessions] == [118, 114]
    assert [session.worked_s for session in throughput.sessions] == [15 * 75, 15 * 75]
    assert throughput.carried_over == 0
    assert throughput.begins_s == (0, 15 * 75)
    assert throughput.bin_s == 2 * 75
    assert len(throughput.links) == len(throughput.frames) == 15
    assert min(throughput.links) > 0
    assert sum(throughput.links) == report.funnel.ended
    assert sum(throughput.frames) == report.funnel.frames


def test_what_ended_before_the_first_session_was_taken_over(tmp_path: Path) -> None:
    early = ok(0, finished_at=BEGUN[0] - timedelta(days=1))
    late = ok(1, finished_at=BEGUN[0] + timedelta(seconds=60))
    store = begun(tmp_path, [early, late], links=2)
    begin(store, BEGUN[0])
    throughput = read_run_report(store, FP).throughput
    assert (throughput.carried_over, throughput.sessions[0].links) == (1, 1)
    assert sum(throughput.links) == 1
    assert throughput.sessions[0].worked_s == 60
    assert (len(throughput.links), throughput.bin_s) == (8, 7.5)


def test_a_long_run_has_no_more_bins_than_a_page_shows(tmp_path: Path) -> None:
    rows = [ok(k, finished_at=BEGUN[0] + timedelta(seconds=60 * k)) for k in range(200)]
    throughput = read_run_report(begun(tmp_path, rows, links=200), FP).throughput
    assert (len(throughput.links), sum(throughput.links)) == (MAX_BINS, 200)


def test_without_records_the_first_commit_stands_for_the_beginning(tmp_path: Path) -> None:
    rows = [ok(k, finished_at=BEGUN[0] + timedelta(seconds=30 * k)) for k in range(3)]
    found = read_run_report(begun(tmp_path, rows, links=3), FP)
    (session,) = found.throughput.sessions
    assert (session.begun_at, session.worked_s, session.links) == (BEGUN[0], 60, 3)
    assert any("session start" in note for note in found.notes)


def test_of_another_fingerprint_no_session_counts(tmp_path: Path) -> None:
    store = begun(tmp_path, [ok(0, finished_at=BEGUN[0])], links=1)
    other = {"begun_at": BEGUN[1].isoformat(), "features": "other", "limits": {}, "egress": "x"}
    write_record(store, "1-featurize-begun", other)
    found = read_run_report(store, FP)
    assert [session.begun_at for session in found.throughput.sessions] == [BEGUN[0]]
    assert found.egress == ()


def test_the_slots_time_is_summed_over_sessions(report: RunReport) -> None:
    times = report.executors
    assert [one.executor for one in times.executors] == ["0", "1"]
    assert times.total is not None
    assert times.total.embed_s == sum(one.embed_s for one in times.executors) > 0
    # One session of two told.
    for step in report.steps:
        assert 0 < getattr(times.total, f"{step.step}_s") < step.total_s
    assert times.without_summary == 1


def test_what_cannot_be_read_is_noted(tmp_path: Path) -> None:
    store = begun(tmp_path, [ok(0)], links=1)
    store.write_bytes("runs/1-featurize.json", b'{"features": 1')
    assert any("cannot be read" in note for note in read_run_report(store, FP).notes)


def test_the_slowest_links_and_what_each_step_took(report: RunReport) -> None:
    took = [link.download_s + link.decode_s + link.embed_s for link in report.slowest]
    assert len(took) == 10
    assert took == sorted(took, reverse=True)
    download, decode, embed = report.steps
    assert [step.step for step in report.steps] == ["download", "decode", "embed"]
    for step in report.steps:
        assert step.median_s is not None
        assert step.p95_s is not None
        assert step.longest_s is not None
        assert 0 < step.median_s < step.p95_s < step.longest_s < step.total_s
    assert download.total_s > took[0]
    assert embed.median_s > decode.median_s  # type: ignore[operator]


def test_failed_links_are_told_by_reason_and_bounded(tmp_path: Path) -> None:
    bad = [outcome_row(ready_id(number), Outcome.DNS) for number in range(N_FAILED + 5)]
    worse = [outcome_row(ready_id(number), Outcome.TLS) for number in range(30, 32)]
    store = begun(tmp_path, [*worse, *bad, ok(40)], links=41)
    first, second = read_run_report(store, FP).failed
    assert (first.outcome, first.n, len(first.links)) == ("dns", N_FAILED + 5, N_FAILED)
    assert (second.outcome, second.n, len(second.links)) == ("tls", 2, 2)
    assert (first.links[0].url, first.links[0].title) == (URL, TITLE)
    assert first.links[0].detail == "made so"


def test_machines_and_settings(report: RunReport) -> None:
    assert report.machines.engines == {"onnxruntime on cpu": 210}
    assert report.machines.versions["ffmpeg 7.1"] == 237
    assert report.machines.sandbox == {"full": 231, "no network namespace": 6}
    assert report.settings["backbone_id"] == SETTINGS.backbone_id
    assert report.limits["max_frames"] == 1200
    assert report.egress == ("guarded", "proxy's")
    assert report.notes == ()


def test_links_of_an_older_list_are_noted(tmp_path: Path) -> None:
    found = read_run_report(begun(tmp_path, [ok(0), ok(7)], links=1), FP)
    assert found.funnel.links == 1
    assert any("1 outcomes belong to links of an older list" in note for note in found.notes)


def test_a_run_without_any_outcome(tmp_path: Path) -> None:
    found = read_run_report(begun(tmp_path, [], links=10), FP)
    assert (found.funnel.without_outcome, found.funnel.ended) == (10, 0)
    assert (found.by_outcome, found.slowest, found.failed) == ((), (), ())
    assert found.throughput.links == ()
    assert all(one.holds for one in found.funnel.sums)
    assert found.hosts[0].open > 0


def test_published_features_were_not_downloaded(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    fingerprint = make_run(store, make_movies(3), settings=replace(SETTINGS, format_rule=EXTERNAL))
    found = read_run_report(store, fingerprint)
    assert (found.funnel.ok, found.funnel.frames) == (3, 12)
    assert "nothing was downloaded" in found.notes[0]


def test_a_run_that_others_write_to_is_said_to_be_at_work(made: Store, tmp_path: Path) -> None:
    assert read_run_report(made, FP).at_work is None
    store = begun(tmp_path, [ok(0)], links=1)
    with hold_lease(store, "featurize"):
        assert "featurize" in (read_run_report(store, FP).at_work or "")


def test_a_run_without_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="trailergenre prepare"):
        read_run_report(Store(str(tmp_path)), FP)


def test_the_figures_are_json(report: RunReport) -> None:
    record = report.to_json()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["throughput"]["sessions"][0]["begun_at"] == "2026-01-05T09:00:00Z"

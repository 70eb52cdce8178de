from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from parsed import Page, assert_stands_alone
from reported import FP, TITLE, URL, make_reported, ready_id, write_list, write_outcomes
from runs import SETTINGS, make_movies, make_run, outcome_row
from trailergenre.base.outcomes import Outcome
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.reports.run_links import N_FAILED
from trailergenre.reports.run_report import read_run_report, render_run
from trailergenre.reports.run_rows import N_SHOWN
from trailergenre.runs import schemas, tables
from trailergenre.runs.fingerprint import EXTERNAL, write_settings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that gets nothing but reports."""
    path = tmp_path_factory.mktemp("run")
    make_reported(Store(str(path)))
    return path


@pytest.fixture(scope="module")
def record(run: Path) -> dict[str, Any]:
    return read_run_report(Store(str(run)), FP).to_json()


def test_the_page_stands_alone_and_links_go_to_the_web(record: dict[str, Any]) -> None:
    page = assert_stands_alone(render_run(record))
    icon, *links = page.addresses
    assert icon == "data:,"
    assert links
    assert {link.split("/")[0] for link in links} == {"https:"}


def test_what_strangers_wrote_is_text(record: dict[str, Any]) -> None:
    html = render_run(record)
    page = Page(html)
    assert "<b>Bold" not in html
    assert TITLE.split("\u202e")[0] in page.text
    assert URL in page.text
    assert URL not in page.addresses


def test_the_page_says_what_became_of_all(record: dict[str, Any]) -> None:
    text = Page(render_run(record)).text
    assert "210 of 240 links have features; 22 failed, 8 are open." in text
    assert text.count(" holds:") == 3
    assert "does not hold" not in text
    for outcome in record["by_outcome"]:
        assert f"{outcome['outcome']} {outcome['meaning']} {outcome['n']} " in text
    for host in record["hosts"]:
        assert host["host"] in text
    assert "6 links: no network namespace." in text
    assert "egress policy: proxy's" in text
    assert "Links per minute : mean 6.2" in text
    assert "worked links links/min frames frames/min" in text
    assert "1 session was stopped or still at work" in text
    assert SETTINGS.backbone_id in text


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_reported(store, links=20, without=20)
    page = assert_stands_alone(render_run(read_run_report(store, FP).to_json()))
    assert "0 of 20 links have features; 0 failed, 20 are open." in page.text
    assert "svg" not in page.tags


def test_only_sessions_that_kept_no_summary_are_said_to_be_stopped(record: dict[str, Any]) -> None:
    said = re.compile(r"\d+ sessions? \w+ stopped or still at work")
    found = {}
    for n in range(3):
        silent = {"executors": [], "total": None, "without_summary": n}
        text = Page(render_run(record | {"executors": silent})).text
        assert "Summed over links" in text
        assert "Slot seconds" not in text
        found[n] = said.findall(text)
    assert found == {
        0: [],
        1: ["1 session was stopped or still at work"],
        2: ["2 sessions were stopped or still at work"],
    }


def test_published_features_took_no_time_that_could_be_told(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    settings = replace(SETTINGS, format_rule=EXTERNAL)
    fingerprint = make_run(store, make_movies(3), settings=settings)
    page = assert_stands_alone(render_run(read_run_report(store, fingerprint).to_json()))
    assert "nothing was downloaded" in page.text
    assert "3 of 3 links have features" in page.text
    for absent in ("stopped or still", "Where the time went", "Summed over links"):
        assert absent not in page.text


def test_what_does_not_add_up_is_said(record: dict[str, Any]) -> None:
    sums = [{**found, "holds": False} for found in record["funnel"]["sums"]]
    broken = {**record, "funnel": {**record["funnel"], "sums": sums}}
    assert Page(render_run(broken)).text.count("does not hold:") == 3


def test_a_large_run_has_a_small_page(tmp_path: Path) -> None:
    n, store = 20_000, Store(str(tmp_path))
    write_settings(store, SETTINGS)
    write_list(store, n)
    listed = tables.read_table(store, "links")
    urls = pa.array([f"https://host-{k}.example/{'x' * 300}" for k in range(len(listed))])
    tables.write_table(store, "links", listed.set_column(2, schemas.LINKS.field("url"), urls))
    failures = sorted(set(Outcome) - {Outcome.OK})
    rows = [outcome_row(ready_id(k), failures[k % len(failures)]) for k in range(n)]
    write_outcomes(store, [{**row, "detail": "y" * 300} for row in rows])
    found = read_run_report(store, FP).to_json()
    assert found["hosts"][-1]["links"] == n - 12
    n_rows = len(failures) * N_FAILED + N_SHOWN
    assert len(render_run(found)) < n_rows * 1500
    assert len(json.dumps(found)) < n_rows * 1500


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["report", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_writes_the_page_beside_the_run(run: Path) -> None:
    assert invoke(str(run)) == (0, f"report: {run}/reports/run.html\n", "")
    assert "210 of 240 links" in (run / "reports" / "run.html").read_text()


def test_the_command_writes_the_page_where_it_shall(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine.html"
    assert invoke(str(run), "--out", str(out)) == (0, f"report: {out}\n", "")
    assert "210 of 240 links" in out.read_text()


def test_a_page_that_cannot_be_written_is_refused_before_the_run_is_read(tmp_path: Path) -> None:
    reasons = {
        str(tmp_path / "absent" / "mine.html"): "The report cannot be written",
        "s3://bucket/mine.html": "--out takes a local path",
    }
    for address, reason in reasons.items():
        code, said, beside = invoke(str(tmp_path), "--out", address)
        assert (code, said) == (2, "")
        assert reason in beside


def test_as_json_the_figures_are_all_that_is_said(tmp_path: Path, record: dict[str, Any]) -> None:
    make_reported(Store(str(tmp_path / "run")))
    code, said, beside = invoke(str(tmp_path / "run"), "--json")
    assert (code, beside) == (0, "")
    (line,) = said.splitlines()
    assert json.loads(line)["funnel"] == record["funnel"]
    assert not (tmp_path / "run" / "reports").exists()


def test_a_run_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    code, said, beside = invoke(str(tmp_path))
    assert (code, said) == (2, "")
    assert beside.startswith("error: ")

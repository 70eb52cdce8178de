from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from parsed import Page
from reported import FP, TITLE, URL, ready_id, write_outcomes
from runs import SETTINGS, outcome_row
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.reports.run_report import read_run_report, render_run
from trailergenre.reports.run_rows import N_SHOWN, find_rows, to_csv
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs.fingerprint import write_settings

OK = RowOutcome.READY


def make_rows(store: Store, *rows: tuple[RowOutcome, Outcome | None, dict[str, str]]) -> None:
    """Write a run's list, row by row: its outcome, that of its link, and the other columns."""
    write_settings(store, SETTINGS)
    listed = [
        {
            "row": number,
            "link_id": ready_id(number) if row_outcome is OK else None,
            "url": None if row_outcome is RowOutcome.LINK_EMPTY else f"https://a.example/{number}",
            "title": f"Film {number}",
            "movie_id": None,
            "genres": ["Drama"],
            "row_outcome": row_outcome.value,
            "detail": "" if row_outcome is OK else f"refused {number}",
            "other": json.dumps(other),
        }
        for number, (row_outcome, _, other) in enumerate(rows, start=1)
    ]
    tables.write_table(store, "links", pa.Table.from_pylist(listed, schemas.LINKS))
    ended = [
        outcome_row(ready_id(number), outcome) | {"detail": f"failed {number}"}
        for number, (_, outcome, _) in enumerate(rows, start=1)
        if outcome is not None
    ]
    write_outcomes(store, ended)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A run with every way to be wrong, and some to be right."""
    store = Store(str(tmp_path / "run"))
    make_rows(
        store,
        (OK, Outcome.OK, {}),
        (OK, Outcome.UNAVAILABLE, {"year": "1999", "row": "mine"}),
        (RowOutcome.LINK_INVALID, None, {"id": "x3"}),
        (RowOutcome.DUPLICATE, None, {}),
        (OK, Outcome.LINK_INVALID, {}),
        (OK, Outcome.STALLED, {}),
        (OK, Outcome.DEFERRED, {}),
        (OK, None, {}),
        (RowOutcome.LINK_EMPTY, None, {}),
        (RowOutcome.NO_LABEL, None, {}),
    )
    return store


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_rows_that_another_link_or_label_mends_are_found(store: Store) -> None:
    found = find_rows(tables.read_table(store, "links"), outcomes_table.read_outcomes(store, FP))
    rows = {row["row"]: row for row in found.to_pylist()}
    assert list(rows) == [2, 3, 5, 9, 10]
    assert [row["outcome"] for row in rows.values()] == [
        "unavailable",
        "link_invalid",
        "link_invalid",
        "link_empty",
        "no_label",
    ]
    # A row and a link may be `link_invalid`, for other reasons.
    assert rows[3]["meaning"] == RowOutcome.LINK_INVALID.meaning
    assert rows[5]["meaning"] == Outcome.LINK_INVALID.meaning
    assert (rows[3]["detail"], rows[5]["detail"]) == ("refused 3", "failed 5")


def test_the_file_has_the_lists_own_columns(store: Store) -> None:
    found = find_rows(tables.read_table(store, "links"), outcomes_table.read_outcomes(store, FP))
    rows = read(to_csv(found))
    assert rows[0] == {
        "row": "2",
        "url": "https://a.example/2",
        "title": "Film 2",
        "outcome": "unavailable",
        "meaning": Outcome.UNAVAILABLE.meaning,
        "detail": "failed 2",
        "year": "1999",
        "list_row": "mine",
        "id": "",
    }
    assert rows[1]["id"] == "x3"
    assert rows[3]["url"] == ""


def test_the_command_writes_the_file_and_the_page_links_to_it(store: Store, tmp_path: Path) -> None:
    run = tmp_path / "run"
    page, rows = run / "reports" / "run.html", run / "reports" / "rows-to-correct.csv"
    for _ in range(2):  # the second replaces the first
        assert CliRunner().invoke(app, ["report", str(run)]).exit_code == 0
    assert "rows-to-correct.csv" in Page(page.read_text()).addresses
    assert "Rows to correct: 5" in Page(page.read_text()).text
    assert [row["row"] for row in read(rows.read_text())] == ["2", "3", "5", "9", "10"]
    out = tmp_path / "mine.html"
    assert CliRunner().invoke(app, ["report", str(run), "--out", str(out)]).exit_code == 0
    assert "rows-to-correct.csv" not in out.read_text()
    assert not (tmp_path / "rows-to-correct.csv").exists()


def test_without_a_row_to_correct_the_file_is_empty_and_the_page_silent(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_rows(store, (OK, Outcome.OK, {}), (RowOutcome.DUPLICATE, None, {}))
    assert CliRunner().invoke(app, ["report", str(tmp_path)]).exit_code == 0
    assert "to-correct" not in (tmp_path / "reports" / "run.html").read_text()
    text = (tmp_path / "reports" / "rows-to-correct.csv").read_text()
    assert text == "row,url,title,outcome,meaning,detail\n"


def test_of_many_rows_the_page_shows_some_and_the_file_has_all(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    n = N_SHOWN + 50
    make_rows(store, *[(RowOutcome.LINK_INVALID, None, {})] * n)
    html = render_run(read_run_report(store, FP).to_json())
    assert f"Rows to correct: {n}, {N_SHOWN} shown" in Page(html).text
    assert f"refused {N_SHOWN}<" in html
    assert f"refused {N_SHOWN + 1}<" not in html
    found = find_rows(tables.read_table(store, "links"), outcomes_table.read_outcomes(store, FP))
    assert len(read(to_csv(found))) == n


def test_what_strangers_wrote_is_text(store: Store) -> None:
    record = read_run_report(store, FP).to_json()
    record["to_correct"]["rows"][0] |= {"title": TITLE, "url": URL, "detail": "<i>why</i>"}
    page = Page(render_run(record))
    assert "<b>Bold" not in page.html
    assert "<i>why" not in page.html
    assert "<i>why</i>" in page.text
    assert URL in page.text
    assert URL not in page.addresses

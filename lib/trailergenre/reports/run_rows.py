"""The rows that a person must correct in the list: some on the page, all in a CSV file."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.runs import outcomes_table

N_SHOWN = 200
"""Rows on the page."""
ROWS_FILE = "rows-to-correct.csv"
OUTCOME_COLUMNS = (*outcomes_table.PRECEDENCE_COLUMNS, "detail")
"""Columns of the outcomes table that `find_rows` reads."""

_COLUMNS = ("row", "url", "title", "outcome", "meaning", "detail")
ROWS_MARK = ",".join(_COLUMNS)
"""What the CSV file begins with."""

_BY_LINK = (
    Outcome.LINK_INVALID,
    Outcome.SCHEME,
    Outcome.HOST_DENIED,
    Outcome.NOT_A_SINGLE_VIDEO,
    Outcome.UNSUPPORTED_SITE,
    Outcome.UNAVAILABLE,
    Outcome.TLS,
    Outcome.REDIRECT,
    Outcome.TOO_LONG,
    Outcome.PATH,
    Outcome.NOT_MEDIA,
    Outcome.FORMAT_NOT_ALLOWED,
    Outcome.NO_VIDEO,
)
"""Failures that another link or file mends, rather than another try or setting."""


@dataclass(frozen=True, slots=True)
class RowToCorrect:
    """One row; `url`, `title` and `detail` are untrusted text."""

    row: int  # its number in the list, from 1
    url: str  # canonical; as given where the link is not
    title: str
    outcome: str  # a `RowOutcome`, or the `Outcome` of the row's link
    meaning: str
    detail: str


@dataclass(frozen=True, slots=True)
class RowsToCorrect:
    """Number of rows to correct, and the first `N_SHOWN` of them."""

    n: int
    rows: tuple[RowToCorrect, ...]


def find_rows(links: pa.Table, outcomes: pa.Table) -> pa.Table:
    """Find the rows that are no ready link, or whose link failed by its own fault.

    A duplicate needs no correction: the earlier row stands for it.

    Returns:
        The columns of `RowToCorrect` and `other`, in list order.
    """
    row_outcome = links["row_outcome"]
    is_ready = pc.equal(row_outcome, RowOutcome.READY.value)
    is_refused = pc.invert(pc.or_(is_ready, pc.equal(row_outcome, RowOutcome.DUPLICATE.value)))
    place = pc.index_in(links["link_id"], value_set=outcomes["link_id"].combine_chunks())
    # Taking a null index gives null.
    outcome, detail = (outcomes[name].take(place) for name in ("outcome", "detail"))
    is_by_link = pc.is_in(outcome, pa.array([each.value for each in _BY_LINK]))
    table = pa.table(
        {
            "row": links["row"],
            "url": pc.fill_null(links["url"], ""),
            "title": links["title"],
            "outcome": pc.if_else(is_ready, outcome, row_outcome),
            "meaning": pc.if_else(
                is_ready, _meanings(outcome, Outcome), _meanings(row_outcome, RowOutcome)
            ),
            "detail": pc.if_else(is_ready, detail, links["detail"]),
            "other": links["other"],
        }
    )
    return table.filter(pc.or_(is_refused, pc.and_(is_ready, is_by_link)))


def _meanings(column: pa.ChunkedArray, outcomes: type[RowOutcome | Outcome]) -> pa.ChunkedArray:
    place = pc.index_in(column, value_set=pa.array([outcome.value for outcome in outcomes]))
    return pa.chunked_array([pa.array([outcome.meaning for outcome in outcomes])]).take(place)


def show_rows(rows: pa.Table) -> RowsToCorrect:
    """What the page shows of `find_rows`."""
    shown = rows.drop_columns("other").slice(0, N_SHOWN).to_pylist()
    return RowsToCorrect(len(rows), tuple(RowToCorrect(**row) for row in shown))


def to_csv(rows: pa.Table) -> str:
    """All of `find_rows` as CSV, followed by the list's other columns.

    Another column of the list with one of our names is `list_NAME`.
    """
    records = []
    for row in rows.to_pylist():
        other = json.loads(row.pop("other"))
        records.append(
            row | {f"list_{name}" if name in _COLUMNS else name: v for name, v in other.items()}
        )
    text = io.StringIO(newline="")
    columns = dict.fromkeys((*_COLUMNS, *(name for record in records for name in record)))
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()

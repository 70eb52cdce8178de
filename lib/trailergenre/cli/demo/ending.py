"""What a demo says at its end: what became of all, and where the pages are that show it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint

PAGES = {
    "run.html": "What became of the links",
    "evaluation.html": "How good the model is",
    "score.html": "The genres of one trailer",
}
"""The pages among a demo's reports, and what each shows."""


def print_end(store: Store, reports: Path, console: Console) -> None:
    """Print the counts of rows and links, and the paths of the pages.

    Args:
        store: the demo's run.
        reports: where its pages are.
        console: where to print.
    """
    rows = Counter(tables.read_table(store, "links")["row_outcome"].to_pylist())
    outcomes = tables.read_outcomes(store, choose_fingerprint(store, None))
    links = Counter(outcomes["outcome"].to_pylist())
    console.rule(style="dim")
    for title, counts, order in (
        ("What became of the rows", rows, RowOutcome),
        ("What became of the ready links", links, Outcome),
    ):
        table = Table(title=title, title_justify="left")
        table.add_column("outcome")
        table.add_column("count", justify="right")
        for name in order:
            if counts[name]:
                table.add_row(name, str(counts[name]))
        table.add_section()
        table.add_row("together", str(sum(counts.values())))
        console.print(table)
    for page, shown in PAGES.items():
        console.print(f"{shown + ':':<26} {reports / page}", highlight=False)

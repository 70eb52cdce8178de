"""The figures of a run to its page: what became of all, how fast, and why not more."""

from __future__ import annotations

from collections.abc import Mapping

from trailergenre.reports.pages import render_page


def render_run(record: Mapping[str, object]) -> str:
    """Render a run report as HTML.

    Args:
        record: what `trailergenre report --json` prints (`run_report.RunReport.to_json`).
    """
    return render_page("run.html", record)

"""Write docs/commands.md from the help of each command.

    python conf/commands_page.py

A test fails if the page is out of date.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import typer

from trailergenre.cli.commands import app

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"

HEAD = """\
# Commands

<!-- Written by `python conf/commands_page.py`; do not edit. -->

This page shows what `trailergenre COMMAND --help` prints. [Exit codes](outcomes.md#exit-codes) are
the same for all commands. Each script in `jobs/` is the command of one stage for `spark-submit`,
with the same options ([Run on a cluster](cluster.md)).
"""


def render_page() -> str:
    """Render the page, with a final newline."""
    command = typer.main.get_command(app)
    sections = [
        f"## {name}\n\n```text\n{text.rstrip()}\n```\n"
        for name, text in _iter_help(command, None, "trailergenre")
    ]
    return "\n".join([HEAD, *sections])


def _iter_help(
    command: click.Command, parent: click.Context | None, name: str
) -> Iterator[tuple[str, str]]:
    """Yield each command's full name and help, groups before their commands."""
    context = click.Context(command, parent=parent, info_name=name, terminal_width=100)
    yield context.command_path, command.get_help(context)
    for each, sub in getattr(command, "commands", {}).items():
        yield from _iter_help(sub, context, each)


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")

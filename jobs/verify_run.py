"""Do all tables of a run add up? One JSON line, and exit code 1 where something is found.

spark-submit jobs/verify_run.py RUN
"""

from __future__ import annotations

import typer

from trailergenre.entry import FeaturesOption, RunArgument, entry, finish
from trailergenre.errors import ExitCode
from trailergenre.fingerprint import choose_fingerprint
from trailergenre.progress import frames_bar
from trailergenre.storage import Store
from trailergenre.verify import verify_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("verify_run")
@entry
def verify(run: RunArgument, features: FeaturesOption = None) -> ExitCode:
    """Check that nothing of RUN is lost, doubled, damaged or out of bounds; changes nothing.

    \b
    Example:
      spark-submit jobs/verify_run.py runs/mine
    """
    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    with frames_bar("verify") as progress:
        found = verify_run(store, fingerprint, progress)
    typer.echo("\n".join(found.lines()), err=True)
    finish(store, "verify_run", found.to_json())
    return ExitCode.FINISHED if found.holds else ExitCode.VERIFY_FOUND


if __name__ == "__main__":
    app()

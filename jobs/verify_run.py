"""Do all tables of a run add up? One JSON line, and exit code 1 where something is found.

spark-submit jobs/verify_run.py RUN
"""

from __future__ import annotations

import typer

from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ExitCode
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.cli.entry import (
    ConfigOption,
    FeaturesOption,
    MongoOption,
    RunArgument,
    SetOption,
    entry,
)
from trailergenre.mongo import choose_target
from trailergenre.mongo.verify import check_published
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.runs.sessions import record_summary
from trailergenre.runs.verify.verify import verify_run

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("verify_run")
@entry
def verify(
    run: RunArgument,
    features: FeaturesOption = None,
    mongo: MongoOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Check, changing nothing, that no row or feature is lost, doubled, damaged or out of bounds.

    \b
    Examples:
      spark-submit jobs/verify_run.py runs/mine
      spark-submit jobs/verify_run.py runs/mine --mongo
    """
    settings = load_config(config or (), overrides or ())
    target = choose_target(settings.mongo) if mongo else None
    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    with progress_bar("verify", unit="frames") as progress:
        found = verify_run(store, fingerprint, progress)
        if target:
            found.checks.extend(check_published(store, fingerprint, target, progress))
    typer.echo("\n".join(found.lines()), err=True)
    record_summary(store, "verify_run", found.to_json())
    return ExitCode.FINISHED if found.holds else ExitCode.VERIFY_FAILED


if __name__ == "__main__":
    app()

"""The command line: one link on a laptop, and a look at a run.

Everything heavy is imported inside of the command that needs it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from trailergenre import __version__
from trailergenre.base.errors import ConfigError, ExitCode, ItemError
from trailergenre.cli.entry import (
    ConfigOption,
    FeaturesOption,
    MongoOption,
    RunArgument,
    SetOption,
    entry,
)
from trailergenre.cli.setup_commands import backbone_app, bundle_app, demo, doctor

HELP = """Movie trailers to genres. Jobs for a cluster are in jobs/ (spark-submit).

\b
Examples:
  trailergenre doctor                       what this machine has and lacks
  trailergenre demo                         the whole way once, on made clips
  trailergenre score LINK --bundle DIR      the genres of one trailer

\b
Exit codes: 0 finished, 1 verify found something, 2 usage or environment, or the link of score is
bad, 3 another run writes there, 4 links are left, or MongoDB refused documents, 130 and 143
stopped, 141 nobody read on.
TAB completes commands and options once `trailergenre --install-completion` was run (bash, zsh,
fish; it takes the shell that it is typed in).
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(backbone_app, name="backbone")
app.add_typer(bundle_app, name="bundle")
app.command()(doctor)
app.command()(demo)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"trailergenre {__version__}")
        raise typer.Exit


@app.callback()
def _take_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """What comes before a command; the help is `HELP`."""


@app.command()
@entry
def score(
    link: Annotated[str, typer.Argument(metavar="LINK", help="A link, or the path of a video.")],
    bundle: Annotated[
        str | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="Model bundle; default: score.bundle of the configuration.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write all that is to be seen as one page."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Print the top genres of one trailer.

    With --report also when it fails: a page with the genres along the trailer, the frames that
    spoke most for them, and every step's outcome and time.

    \b
    Examples:
      trailergenre score 'https://www.youtube.com/watch?v=eUTtt14G31c' --bundle bundles/mine
      trailergenre score trailer.mp4 --bundle bundles/mine --json
      trailergenre score trailer.mp4 --bundle bundles/mine --report trailer.html
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.progress import progress_bar
    from trailergenre.base.storage import Store
    from trailergenre.links.canonical import without_user
    from trailergenre.models.bundle import read_bundle
    from trailergenre.models.score_link import score_link

    if report is not None:
        from trailergenre.reports.link_report import report_link
        from trailergenre.reports.pages import check_page

        check_page(report)
    settings = load_config(config or (), overrides or ())
    address = bundle or settings.score.bundle
    if address is None:
        raise ConfigError(
            "No model bundle is given. Make one with `make demo` or jobs/train_model.py, then give "
            "--bundle DIR, or set score.bundle in the configuration."
        )
    try:
        model = read_bundle(Store(address))
        with progress_bar("scoring"):
            if report is None:
                result = score_link(link, model, settings)
            else:
                result = report_link(link, model, settings, page=report)
    except ItemError as error:
        shown = without_user(link)
        typer.echo(f"error: no score for {shown}: {error.outcome}: {error.detail}", err=True)
        _say_report(report)
        return ExitCode.USAGE
    _say_report(report)
    if as_json:
        typer.echo(json.dumps(result.to_json()))
        return ExitCode.FINISHED
    for rank, genre in enumerate(result.genres, start=1):
        typer.echo(f"{rank}. {genre.genre:<16} {genre.probability:.3f}")
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    return ExitCode.FINISHED


def _say_report(page: Path | None) -> None:
    if page is not None:
        typer.echo(f"report: {page}", err=True)


@app.command()
@entry
def status(
    run: RunArgument,
    features: FeaturesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> ExitCode:
    """Print how far a run is, and who is at work on it; from any terminal.

    \b
    Example:
      trailergenre status runs/mine
    """
    from trailergenre.base.progress import format_age
    from trailergenre.base.storage import Store
    from trailergenre.runs.fingerprint import choose_fingerprint
    from trailergenre.runs.lease import read_lease
    from trailergenre.runs.plan import read_ready_links
    from trailergenre.runs.status import read_status

    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    ready = [link.link_id for link in read_ready_links(store)]
    holder = read_lease(store)
    state = read_status(store, fingerprint, ready, since=holder.started_at if holder else None)
    if holder is None:
        # The pace of a run that is over tells no end.
        state = replace(state, links_per_s=None)
    if as_json:
        committed_at = state.last_commit_at
        figures = {
            "features": fingerprint,
            "at_work": holder.describe() if holder else None,
            "ready": state.ready,
            "finished": state.finished,
            "by_outcome": state.by_outcome,
            "frames": state.frames,
            "links_per_s": state.links_per_s,
            "eta_s": state.eta_s,
            "last_commit_at": committed_at.isoformat() if committed_at else None,
        }
        typer.echo(json.dumps(figures))
        return ExitCode.FINISHED
    typer.echo(f"features {fingerprint}: {state.line()}")
    if state.last_commit_at is not None:
        typer.echo(f"last commit {format_age(state.last_commit_at)} ago")
    typer.echo(f"at work: {holder.describe()}" if holder else "nobody is at work on it")
    return ExitCode.FINISHED


@app.command()
@entry
def verify(
    run: RunArgument,
    features: FeaturesOption = None,
    mongo: MongoOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Check, changing nothing, that no row or feature is lost, doubled, damaged or out of bounds.

    Exit code 0: all holds; 1: something was found, and is named.

    \b
    Examples:
      trailergenre verify runs/mine
      trailergenre verify s3://bucket/runs/mine --json
      trailergenre verify runs/mine --mongo     (also the collections that it was published to)
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.progress import progress_bar
    from trailergenre.base.storage import Store
    from trailergenre.mongo import choose_target
    from trailergenre.mongo.verify import check_published
    from trailergenre.runs.fingerprint import choose_fingerprint
    from trailergenre.runs.verify.verify import verify_run

    settings = load_config(config or (), overrides or ())
    target = choose_target(settings.mongo) if mongo else None
    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    with progress_bar("verify", unit="frames") as progress:
        found = verify_run(store, fingerprint, progress)
        if target:
            found.checks.extend(check_published(store, fingerprint, target, progress))
    typer.echo(json.dumps(found.to_json()) if as_json else "\n".join(found.lines()))
    return ExitCode.FINISHED if found.holds else ExitCode.VERIFY_FAILED


@app.command()
@entry
def report(
    run: RunArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where the page goes; else RUN/reports/run.html."
        ),
    ] = None,
    features: FeaturesOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on stdout; a page is written only to --out.")
    ] = False,
) -> ExitCode:
    """Write one page on what became of a run's links, how fast, and what the others failed of.

    \b
    Examples:
      trailergenre report runs/mine
      trailergenre report s3://bucket/runs/mine --out mine.html
      trailergenre report runs/mine --json
    """
    from trailergenre.base.storage import Store
    from trailergenre.reports.pages import check_page, write_page
    from trailergenre.reports.run_page import render_run
    from trailergenre.reports.run_report.figures import read_run_report
    from trailergenre.runs.fingerprint import choose_fingerprint

    if out is not None:
        check_page(out)
    store = Store(run)
    record = read_run_report(store, choose_fingerprint(store, features)).to_json()
    if as_json:
        typer.echo(json.dumps(record))
    if out is not None:
        write_page(out, render_run(record))
    elif not as_json:
        store.write_bytes("reports/run.html", render_run(record).encode())
    if not as_json:
        typer.echo(f"report: {out or f'{store}/reports/run.html'}")
    return ExitCode.FINISHED

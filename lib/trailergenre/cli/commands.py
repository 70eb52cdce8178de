"""The commands of `trailergenre`.

Each command imports what it needs when it runs, so that --help and tab completion stay fast.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

from trailergenre import __version__
from trailergenre.base.errors import ExitCode
from trailergenre.base.terminal import print_line
from trailergenre.cli.backbone_commands import backbone_check, backbone_export, backbone_import
from trailergenre.cli.bundle_commands import bundle_inspect, bundle_pack
from trailergenre.cli.entry import (
    CommandLine,
    ConfigOption,
    FeaturesOption,
    JsonOption,
    PropertiesOption,
    RunArgument,
    SetOption,
    entry,
)
from trailergenre.cli.local_spark import use_spark
from trailergenre.cli.run import export, run
from trailergenre.cli.score import score
from trailergenre.cli.stage_commands import (
    evaluate,
    featurize,
    predict,
    prepare,
    publish,
    train,
)

if TYPE_CHECKING:
    from trailergenre.base.config import Config

HELP = """Predict the genres of movie trailers.

\b
Examples:
  trailergenre run links.csv                links to features, a model and its evaluation
  trailergenre score new.csv --out out.csv  predict the genres of other trailers
  trailergenre demo                         see all of it on generated clips
  trailergenre doctor                       check what is installed on this machine

\b
Exit codes: 0 finished, 1 a check found a problem, 2 usage or environment error, or no link
was scored, 3 the run is locked by another process, 4 links are left or MongoDB rejected documents,
130 and 143 stopped by a signal, 141 output pipe closed.
Run `trailergenre --install-completion` once to complete commands and options with TAB (bash, zsh
or fish, whichever shell you run it in).
"""

app = CommandLine(help=HELP, no_args_is_help=True)
backbone_app = typer.Typer(
    help="""Export or import the network that turns frames into features.

    \b
    Example:
      trailergenre backbone export --weights imagenet
      trailergenre backbone export --network convnext_tiny --out artefacts/convnext
    """,
    no_args_is_help=True,
)
bundle_app = typer.Typer(
    help="""Inspect model bundles, and pack them as one file.

    \b
    Examples:
      trailergenre bundle inspect bundles/mine
      trailergenre bundle pack bundles/mine --out mine.tar
    """,
    no_args_is_help=True,
)
app.add_typer(backbone_app, name="backbone")
app.add_typer(bundle_app, name="bundle")
backbone_app.command("export")(backbone_export)
backbone_app.command("import")(backbone_import)
backbone_app.command("check")(backbone_check)
bundle_app.command("inspect")(bundle_inspect)
bundle_app.command("pack")(bundle_pack)
for command in (run, score, export, prepare, featurize, train, evaluate, predict, publish):
    app.command()(command)


def _print_version(requested: bool) -> None:
    if requested:
        print_line(f"trailergenre {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    version: Annotated[
        bool,
        Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Declare the options of `trailergenre` itself; its help is `HELP`."""


@app.command()
@entry
def doctor(
    bench: Annotated[
        bool, Option("--bench", help="Measure instead which engine runs the network fastest.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Check what is installed on this machine, what is missing and how to fix it.

    Takes a few seconds (with --bench half a minute) and changes nothing. Exits with 0 if no check
    failed, else with 2.

    \b
    Examples:
      trailergenre doctor
      trailergenre doctor --set backbone.device=gpu --json
      trailergenre doctor --bench --set backbone.path=artefacts/backbone-int8
    """
    from trailergenre.base.config_files import load_config

    settings = load_config(config or (), overrides or ())
    return _bench(settings, as_json) if bench else _examine(settings, as_json)


def _bench(config: Config, as_json: bool) -> ExitCode:
    from trailergenre.cli.doctor.bench import advise, choose_engine, measure_engines
    from trailergenre.features.backbone.artefact import local_backbone, read_manifest

    manifest = read_manifest(local_backbone(config.backbone.path))
    speeds, configured = measure_engines(config), config.backbone.engine
    if as_json:
        engines = [asdict(speed) for speed in speeds]
        best = choose_engine(speeds, configured)
        print_line(json.dumps({"precision": manifest.precision, "engines": engines, "best": best}))
        return ExitCode.FINISHED
    print_line(f"{manifest.network}, {manifest.precision} ({config.backbone.path}), one thread:")
    for speed in speeds:
        print_line(speed.line())
    print_line(advise(speeds, configured))
    return ExitCode.FINISHED


def _examine(config: Config, as_json: bool) -> ExitCode:
    from trailergenre.cli.doctor.checks import CHECKS
    from trailergenre.cli.doctor.examine import Verdict, examine, format_finding

    findings = {}
    for name, finding in examine(config, CHECKS):
        findings[name] = finding
        if not as_json:
            for line in format_finding(name, finding):
                print_line(line)
    is_well = all(finding.verdict is not Verdict.FAILED for finding in findings.values())
    if as_json:
        checks = [{"name": name, **asdict(finding)} for name, finding in findings.items()]
        print_line(json.dumps({"is_well": is_well, "checks": checks}))
    return ExitCode.FINISHED if is_well else ExitCode.USAGE


@app.command()
@entry
def demo(
    data: Annotated[
        Path | None, Option(metavar="PATH", help="Videos in a folder per genre, or a CSV of links.")
    ] = None,
    out: Annotated[Path, Option(metavar="DIR", help="Output directory.")] = Path("demo-run"),
) -> ExitCode:
    """Run the whole pipeline once: links, features, MongoDB, training, evaluation and a score.

    DIR must be empty, but for the network of an earlier demo (backbone/), which is used again.

    \b
    Examples:
      trailergenre demo
      trailergenre demo --data ~/trailers     (~/trailers/comedy/x.mp4, ~/trailers/horror/y.mp4)
    """
    from trailergenre.cli.demo.run import run_demo

    run_demo(data, out)
    return ExitCode.FINISHED


@app.command()
@entry
def status(
    run: RunArgument,
    features: FeaturesOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Print the progress of a run and who is working on it.

    \b
    Example:
      trailergenre status runs/mine
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.progress import format_age
    from trailergenre.base.storage import Store
    from trailergenre.features.settings import named_by
    from trailergenre.runs.fingerprint import choose_fingerprint
    from trailergenre.runs.lease import read_leases
    from trailergenre.runs.outcomes_table import OutcomesReader
    from trailergenre.runs.plan import read_ready_rows
    from trailergenre.runs.status import STATUS_COLUMNS, read_status

    settings = load_config(config or (), overrides or ())
    store = Store(run)
    fingerprint = choose_fingerprint(store, features, named_by(settings))
    ready = read_ready_rows(store, ["link_id", "row_outcome"])["link_id"].combine_chunks()
    leases = read_leases(store)
    at_work = "; ".join(lease.describe() for lease in leases) or None
    since = next((lease.started_at for lease in leases if lease.stage == "featurize"), None)
    outcomes = OutcomesReader(store, fingerprint, STATUS_COLUMNS)
    progress = read_status(outcomes, ready, since=since)
    if as_json:
        committed_at = progress.last_commit_at
        record = {
            "features": fingerprint,
            "at_work": at_work,
            "ready": progress.ready,
            "finished": progress.finished,
            "by_outcome": progress.by_outcome,
            "frames": progress.frames,
            "links_per_s": progress.links_per_s,
            "eta_s": progress.eta_s,
            "last_commit_at": committed_at.isoformat() if committed_at else None,
        }
        print_line(json.dumps(record))
        return ExitCode.FINISHED
    print_line(f"features {fingerprint}: {progress.line()}")
    if progress.last_commit_at is not None:
        print_line(f"last commit {format_age(progress.last_commit_at)} ago")
    print_line(f"at work: {at_work or 'none'}")
    return ExitCode.FINISHED


@app.command()
@entry
def verify(
    run: RunArgument,
    features: FeaturesOption = None,
    mongo: Annotated[
        bool, Option("--mongo", help="Also check MongoDB, at the address in mongo.*.")
    ] = False,
    sample: Annotated[
        int | None,
        Option(min=1, metavar="N", help="Read N features files, evenly spaced, in place of all."),
    ] = None,
    master: Annotated[
        str | None,
        Option("--master", metavar="URL", help="Spark's master, to read features on a cluster."),
    ] = None,
    properties_file: PropertiesOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Check that no row or feature is lost, duplicated, damaged or out of bounds.

    Changes nothing. Exits with 0 if every check holds; else with 1 and the problems found.

    \b
    Examples:
      trailergenre verify runs/mine
      trailergenre verify s3://bucket/runs/mine --json
      trailergenre verify runs/mine --mongo     (also the MongoDB collections it was published to)
      trailergenre verify s3://bucket/runs/mine --sample 1000
      trailergenre verify /shared/runs/mine --properties-file conf/spark-standalone.conf
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.progress import progress_bar
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages.verify import checked_on_spark
    from trailergenre.features.settings import named_by
    from trailergenre.mongo.connection import read_destination
    from trailergenre.mongo.verify import check_published
    from trailergenre.runs.fingerprint import choose_fingerprint
    from trailergenre.runs.verify.features import CheckFiles
    from trailergenre.runs.verify.verify import verify_run

    settings = load_config(config or (), overrides or ())
    destination = read_destination(settings.mongo) if mongo else None
    store = Store(run)
    fingerprint = choose_fingerprint(store, features, named_by(settings))
    checking: AbstractContextManager[CheckFiles | None] = nullcontext()
    if master is not None or properties_file is not None:
        use_spark(master, properties_file)
        checking = checked_on_spark(store, fingerprint)
    with checking as check_files, progress_bar("verify", unit="frames") as on_step:
        verification = verify_run(
            store, fingerprint, on_step, sample=sample, check_files=check_files
        )
        if destination:
            verification.checks.extend(check_published(store, fingerprint, destination, on_step))
    for line in [json.dumps(verification.to_json())] if as_json else verification.lines():
        print_line(line)
    return ExitCode.FINISHED if verification.holds else ExitCode.VERIFY_FAILED


@app.command()
@entry
def report(
    run: RunArgument,
    out: Annotated[
        Path | None, Option(metavar="FILE", help="Output file; default: RUN/reports/run.html.")
    ] = None,
    features: FeaturesOption = None,
    as_json: Annotated[
        bool, Option("--json", help="Print JSON on stdout; write a page only if --out is given.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Write an HTML page about a run: outcomes, throughput, and the links that failed and why.

    Beside the page, RUN/reports/rows-to-correct.csv has the rows of the list that need another
    link, title or genres; --out writes the page alone.

    \b
    Examples:
      trailergenre report runs/mine
      trailergenre report s3://bucket/runs/mine --out mine.html
      trailergenre report runs/mine --json
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.storage import Store
    from trailergenre.features.settings import named_by
    from trailergenre.reports.pages import ReportFile
    from trailergenre.reports.run_report import RunFiles, read_run_report, render_run
    from trailergenre.runs.fingerprint import choose_fingerprint

    store, written = Store(run), None
    if out is not None or not as_json:
        written = ReportFile.named(out) if out else RunFiles.of(store)
        written.check()
    settings = load_config(config or (), overrides or ())
    fingerprint = choose_fingerprint(store, features, named_by(settings))
    if isinstance(written, RunFiles):
        written.write(fingerprint)
        print_line(f"report: {written.page}")
        return ExitCode.FINISHED
    record = read_run_report(store, fingerprint).to_json()
    if as_json:
        print_line(json.dumps(record))
    if written is not None:
        written.write(render_run(record, neighbours=written.neighbours()))
    if not as_json:
        print_line(f"report: {out}")
    return ExitCode.FINISHED

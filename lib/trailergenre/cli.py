"""The command line: one link on a laptop, a look at a run, the network, and the demo.

Everything heavy is imported inside of the command that needs it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from trailergenre.config_files import load_config
from trailergenre.entry import ConfigOption, FeaturesOption, RunArgument, SetOption, entry
from trailergenre.errors import ConfigError, ExitCode, ItemError
from trailergenre.storage import Store

Precision = Literal["fp32", "int8"]

app = typer.Typer(
    help="Movie trailers to genres. Jobs for a cluster are in jobs/ (spark-submit).",
    no_args_is_help=True,
    rich_markup_mode=None,
)
backbone_app = typer.Typer(help="The network for frames to features.", no_args_is_help=True)
app.add_typer(backbone_app, name="backbone")
bundle_app = typer.Typer(help="A trained model and all that belongs to it.", no_args_is_help=True)
app.add_typer(bundle_app, name="bundle")


@app.command()
@entry
def score(
    link: Annotated[str, typer.Argument(metavar="LINK", help="A link, or the path of a video.")],
    bundle: Annotated[
        str | None,
        typer.Option("--bundle", help="Model bundle; default: score.bundle of the configuration."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Print the top genres of one trailer.

    \b
    Examples:
      trailergenre score https://www.youtube.com/watch?v=eUTtt14G31c --bundle bundles/mine
      trailergenre score trailer.mp4 --bundle bundles/mine --json
    """
    from trailergenre.bundle import read_bundle
    from trailergenre.local import score_link

    settings = load_config(config or (), overrides or ())
    address = bundle or settings.score.bundle
    if address is None:
        raise ConfigError(
            "No model bundle is given. Make one with `make demo` or jobs/train_model.py, then give "
            "--bundle DIR, or set score.bundle in the configuration."
        )
    try:
        result = score_link(link, read_bundle(Store(address)), settings)
    except ItemError as error:
        typer.echo(f"error: no score for {link}: {error.outcome}: {error.detail}", err=True)
        return ExitCode.USAGE
    if as_json:
        typer.echo(json.dumps(result.to_json()))
        return ExitCode.FINISHED
    for rank, genre in enumerate(result.genres, start=1):
        typer.echo(f"{rank}. {genre.genre:<16} {genre.probability:.3f}")
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    return ExitCode.FINISHED


@app.command()
@entry
def status(
    run: RunArgument,
    features: FeaturesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> ExitCode:
    """Print how far a run is, also while it works, from any terminal.

    \b
    Example:
      trailergenre status runs/mine
    """
    from trailergenre.fingerprint import choose_fingerprint
    from trailergenre.plan import read_ready_links
    from trailergenre.progress import age_s, format_s, read_status

    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    ready = [link.link_id for link in read_ready_links(store)]
    state = read_status(store, fingerprint, ready)
    if as_json:
        figures = {
            "features": fingerprint,
            "ready": state.ready,
            "finished": state.finished,
            "by_outcome": state.by_outcome,
            "frames": state.frames,
            "eta_s": state.eta_s,
        }
        typer.echo(json.dumps(figures))
        return ExitCode.FINISHED
    typer.echo(f"features {fingerprint}: {state.line()}")
    if state.last_commit_at is not None:
        typer.echo(f"last commit {format_s(age_s(state.last_commit_at))} ago")
    return ExitCode.FINISHED


@app.command()
@entry
def verify(
    run: RunArgument,
    features: FeaturesOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> ExitCode:
    """Check that nothing of a run is lost, doubled, damaged or out of bounds; changes nothing.

    Exit code 0: all holds; 1: something was found, and is named.

    \b
    Examples:
      trailergenre verify runs/mine
      trailergenre verify s3://bucket/runs/mine --json
    """
    from trailergenre.fingerprint import choose_fingerprint
    from trailergenre.progress import frames_bar
    from trailergenre.verify import verify_run

    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    with frames_bar("verify") as progress:
        found = verify_run(store, fingerprint, progress)
    typer.echo(json.dumps(found.to_json()) if as_json else "\n".join(found.lines()))
    return ExitCode.FINISHED if found.holds else ExitCode.VERIFY_FOUND


@backbone_app.command("export")
@entry
def backbone_export(
    weights: Annotated[
        str,
        typer.Option("--weights", help="imagenet, random, or the path of a weights file."),
    ] = "imagenet",
    out: Annotated[Path | None, typer.Option("--out", help="Directory to write.")] = None,
    precision: Annotated[
        Precision, typer.Option("--precision", help="int8 is faster on a CPU; needs --calibration.")
    ] = "fp32",
    calibration: Annotated[
        Path | None,
        typer.Option(
            "--calibration", metavar="FRAMES", help="A video, or a directory of videos, for int8."
        ),
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Write Inception-V3 with its preprocessing as one artefact.

    \b
    Examples:
      trailergenre backbone export --weights imagenet
      trailergenre backbone export --weights inception_v3_notop.weights.h5 --out artefacts/mine
      trailergenre backbone export --precision int8 --calibration trailers/ --out artefacts/int8
    """
    from trailergenre.backbone.export import Int8Frames, export_backbone
    from trailergenre.calibration_frames import take_frames
    from trailergenre.progress import frames_bar

    settings = load_config(config or (), overrides or ())
    if (precision == "int8") != (calibration is not None):
        raise ConfigError("--precision int8 and --calibration FRAMES need each other.")
    directory = out or Path(settings.backbone.path)
    videos = None if calibration is None else take_frames(calibration.expanduser(), settings)
    with frames_bar("int8") as report:
        int8 = None if videos is None else Int8Frames(videos, report)
        manifest = export_backbone(weights, directory.expanduser(), int8=int8)
    if manifest.is_random:
        typer.echo("warning: random weights; features and scores mean nothing.", err=True)
    if manifest.calibration:
        typer.echo(f"int8 against fp32, {manifest.calibration.line(manifest.weights)}")
    typer.echo(f"backbone {manifest.backbone_id} ({manifest.weights}) in {directory}")
    return ExitCode.FINISHED


@bundle_app.command("inspect")
@entry
def bundle_inspect(
    directory: Annotated[
        str, typer.Argument(metavar="DIR", help="Address of the bundle; one fold's, of several.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> ExitCode:
    """Check all of a bundle and print its model card.

    Exit code 0: it can be used; 2: it is broken or none, and the reason is named.

    \b
    Examples:
      trailergenre bundle inspect bundles/mine
      trailergenre bundle inspect bundles/folds/fold-0 --json
    """
    from trailergenre.bundle import read_bundle
    from trailergenre.card import render_card

    found = read_bundle(Store(directory))
    if as_json:
        facts = found.manifest.model_dump(mode="json")
        typer.echo(json.dumps({"sha256": found.sha256, **facts}))
    else:
        typer.echo(render_card(found.manifest), nl=False)
    return ExitCode.FINISHED


@app.command()
@entry
def demo(
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Your videos: folders named by genre, or a CSV of links."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Directory to write.")] = Path("demo-run"),
) -> ExitCode:
    """Run the whole way once: links, features, MongoDB, training, evaluation, one score.

    \b
    Examples:
      trailergenre demo
      trailergenre demo --data ~/trailers     (~/trailers/comedy/x.mp4, ~/trailers/horror/y.mp4)
    """
    from trailergenre.demo import run_demo

    run_demo(data, out)
    return ExitCode.FINISHED


def main() -> None:
    """Entry point of the console script."""
    app()

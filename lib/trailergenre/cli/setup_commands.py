"""The part of the command line that looks at no run: networks, bundles, this machine, the demo.

Everything heavy is imported inside of the command that needs it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from trailergenre.base.errors import ConfigError, ExitCode
from trailergenre.cli.entry import ConfigOption, SetOption, entry

Precision = Literal["fp32", "int8"]

_BACKBONE_HELP = """The network for frames to features.

\b
Example:
  trailergenre backbone export --weights imagenet
"""
_BUNDLE_HELP = """A trained model and all that belongs to it.

\b
Example:
  trailergenre bundle inspect bundles/mine
"""

backbone_app = typer.Typer(help=_BACKBONE_HELP, no_args_is_help=True)
bundle_app = typer.Typer(help=_BUNDLE_HELP, no_args_is_help=True)


@backbone_app.command("export")
@entry
def backbone_export(
    weights: Annotated[
        str,
        typer.Option(
            "--weights", metavar="WEIGHTS", help="imagenet, random, or the path of a weights file."
        ),
    ] = "imagenet",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Directory to write; default: backbone.path of the settings.",
        ),
    ] = None,
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
    from trailergenre.base.config_files import load_config
    from trailergenre.base.progress import progress_bar
    from trailergenre.features.backbone.export import Int8Frames, export_backbone
    from trailergenre.features.int8_frames import take_frames

    settings = load_config(config or (), overrides or ())
    if (precision == "int8") != (calibration is not None):
        raise ConfigError("--precision int8 and --calibration FRAMES need each other.")
    directory = out or Path(settings.backbone.path)
    videos = None if calibration is None else take_frames(calibration.expanduser(), settings)
    with progress_bar("exporting the network", unit="frames") as report:
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
    from trailergenre.base.storage import Store
    from trailergenre.models.bundle import read_bundle
    from trailergenre.models.model_card import render_card

    found = read_bundle(Store(directory))
    if as_json:
        facts = found.manifest.model_dump(mode="json")
        typer.echo(json.dumps({"sha256": found.sha256, **facts}))
    else:
        typer.echo(render_card(found.manifest), nl=False)
    return ExitCode.FINISHED


@entry
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Try what this machine has for the work, and say what is missing and what to do.

    Takes some seconds, and changes nothing. Exit code 0: nothing failed; 2: something did.

    \b
    Examples:
      trailergenre doctor
      trailergenre doctor --config conf/local.toml --set backbone.device=gpu --json
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.cli.doctor.examine import examine, has_failed, to_lines

    findings = {}
    for name, finding in examine(load_config(config or (), overrides or ())):
        findings[name] = finding
        if not as_json:
            typer.echo("\n".join(to_lines(name, finding)))
    is_well = not has_failed(findings)
    if as_json:
        checks = [{"name": name, **asdict(found)} for name, found in findings.items()]
        typer.echo(json.dumps({"is_well": is_well, "checks": checks}))
    return ExitCode.FINISHED if is_well else ExitCode.USAGE


@entry
def demo(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", metavar="PATH", help="Your videos: folders named by genre, or a CSV of links."
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Directory to write.")] = Path(
        "demo-run"
    ),
) -> ExitCode:
    """Run the whole way once: links, features, MongoDB, training, evaluation, one score.

    \b
    Examples:
      trailergenre demo
      trailergenre demo --data ~/trailers     (~/trailers/comedy/x.mp4, ~/trailers/horror/y.mp4)
    """
    from trailergenre.cli.demo.run import run_demo

    try:
        run_demo(data, out)
    except KeyboardInterrupt:  # unlike a run, which goes on where it was
        typer.echo("\nstopped; run again, the demo starts over with the network it has.", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    return ExitCode.FINISHED

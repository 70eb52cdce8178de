"""`trailergenre backbone`: networks that are exported or imported, and features of others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from trailergenre.base.errors import ConfigError, ExitCode, ItemError
from trailergenre.base.records import Resize
from trailergenre.base.terminal import print_line
from trailergenre.cli.entry import ConfigOption, JsonOption, SetOption, entry, say_next


@entry
def backbone_export(
    network: Annotated[str, Option(metavar="NETWORK", help="Network to export.")] = "inception_v3",
    weights: Annotated[
        str, Option(metavar="WEIGHTS", help="imagenet, random, or the path of a weights file.")
    ] = "imagenet",
    out: Annotated[
        Path | None, Option(metavar="DIR", help="Output directory; default: backbone.path.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "int8"], Option(help="int8 is faster on a CPU; it needs --calibration.")
    ] = "fp32",
    calibration: Annotated[
        Path | None, Option(metavar="FRAMES", help="Videos with representative frames, for int8.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Write a network and its preprocessing as one ONNX artefact.

    NETWORK is inception_v3, inception_v3_torchvision, inception_v3_gluon, resnet50, resnet50v2,
    efficientnet_v2_s, convnext_tiny, mobilenet_v3_large, xception, densenet121 or vgg16.

    \b
    Examples:
      trailergenre backbone export --weights imagenet
      trailergenre backbone export --network convnext_tiny --out artefacts/convnext
      trailergenre backbone export --weights inception_v3_notop.weights.h5 --out artefacts/mine
      trailergenre backbone export --precision int8 --calibration trailers/ --out artefacts/int8
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.progress import progress_bar
    from trailergenre.features.backbone.catalogue import find_network
    from trailergenre.features.backbone.export import export_backbone
    from trailergenre.features.representative_frames import read_representative_frames

    settings = load_config(config or (), overrides or ())
    if (precision == "int8") != (calibration is not None):
        raise ConfigError("--precision int8 and --calibration FRAMES must be given together.")
    if out is None and "://" in settings.backbone.path:
        raise ConfigError("A backbone is exported to this machine. Give its directory: --out DIR.")
    directory = out or Path(settings.backbone.path)
    form, frames = find_network(network).spec.input, None
    if calibration is not None:
        frames = read_representative_frames(calibration.expanduser(), settings, form)
    with progress_bar("exporting the network", unit="frames") as on_step:
        manifest = export_backbone(
            weights,
            directory.expanduser(),
            network=network,
            representative=frames,
            on_step=on_step,
        )
    if manifest.is_random:
        print_line("note: the weights are random; features and scores mean nothing.", err=True)
    if manifest.calibration:
        print_line(f"int8 compared with fp32, {manifest.calibration.line(manifest.source)}")
    print_line(
        f"backbone {manifest.backbone_id} ({manifest.network}, {manifest.source}) in {directory}"
    )
    return ExitCode.FINISHED


@entry
def backbone_import(
    file: Annotated[Path, Argument(metavar="FILE", help="ONNX file of a network for images.")],
    preset: Annotated[
        Literal["clip", "siglip2", "dinov3"] | None,
        Option(
            help="Size, resize, mean, deviation and output of a family; other options override it."
        ),
    ] = None,
    side: Annotated[
        int | None,
        Option(
            "--input", min=1, max=1024, metavar="PIXELS", help="Height and width of its images."
        ),
    ] = None,
    resize: Annotated[
        Resize | None, Option(help="How a picture becomes a square image; default: squeeze.")
    ] = None,
    mean: Annotated[
        str | None, Option(metavar="R,G,B", help="Mean of pixels in 0..1, as image_mean.")
    ] = None,
    std: Annotated[
        str | None, Option(metavar="R,G,B", help="Their deviation, as image_std.")
    ] = None,
    output: Annotated[
        str | None, Option(metavar="NAME", help="Output to take: one vector an image.")
    ] = None,
    name: Annotated[
        str | None, Option(metavar="NAME", help="Of the network; default: preset or file name.")
    ] = None,
    license: Annotated[str | None, Option(metavar="TEXT", help="Licence of the weights.")] = None,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="Output directory; default: backbone.path.")
    ] = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Make a backbone of a network that was exported to ONNX, as those on the Hugging Face hub.

    What the file lacks, its preprocessing, is in the preprocessor_config.json beside it. Features
    of an imported network are computed by ONNX Runtime or OpenVINO.

    \b
    Examples:
      trailergenre backbone import vision_model.onnx --preset clip --out artefacts/clip
      trailergenre backbone import model.onnx --preset dinov3 --input 256 --out artefacts/dinov3
      trailergenre backbone import model.onnx --input 224 --resize center-crop
          --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --output pooler_output
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.features.backbone.import_onnx import PRESETS, Exported, import_backbone

    settings = load_config(config or (), overrides or ())
    if out is None and "://" in settings.backbone.path:
        raise ConfigError("A backbone is imported to this machine. Give its directory: --out DIR.")
    given: dict[str, Any] = {
        "side": side,
        "resize": resize,
        "mean": _three(mean, "--mean"),
        "std": _three(std, "--std"),
        "outputs": (output,) if output else None,
        "license": license,
    }
    options = {field: value for field, value in given.items() if value is not None}
    if preset is None and not {"side", "mean", "std"} <= options.keys():
        raise ConfigError("Give --input, --mean and --std, or a --preset.")
    known = replace(PRESETS[preset], **options) if preset else Exported(**options)
    directory = (out or Path(settings.backbone.path)).expanduser()
    manifest = import_backbone(
        file.expanduser(), directory, name=name or preset or file.stem, known=known
    )
    print_line(
        f"backbone {manifest.backbone_id} ({manifest.network}, {manifest.output.width} features "
        f"of {manifest.output.name}, {manifest.input} pixels) in {directory}"
    )
    print_line(f"licence of the weights: {manifest.license}")
    say_next(f"trailergenre backbone check {directory} --against FEATURES --video FILE")
    return ExitCode.FINISHED


def _three(text: str | None, option: str) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        red, green, blue = map(float, text.split(","))
    except ValueError as error:
        raise ConfigError(
            f"{option} takes three numbers, such as 0.5,0.5,0.5. Received: {text!r}."
        ) from error
    return red, green, blue


@entry
def backbone_check(
    directory: Annotated[str, Argument(metavar="DIR", help="Address of the backbone.")],
    against: Annotated[
        Path,
        Option(metavar="FEATURES", help="Published features: .npy, .npz or .parquet."),
    ],
    video: Annotated[str, Option(metavar="FILE", help="The video that they are of, or its link.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Compare a backbone's features of a video with those that somebody published of it.

    Prints deviation and cosine, in sum and of the frames that differ most; --json has all frames.
    Exits with 0 if they are the same, else with 1.

    \b
    Examples:
      trailergenre backbone check artefacts/clip --against trailer.npy --video trailer.mp4
      trailergenre backbone check artefacts/clip --against trailer.npy --video trailer.mp4
          --set frames.per_second=2 --json
    """
    from trailergenre.api import Backbone, decode
    from trailergenre.base.config_files import load_config
    from trailergenre.features.compare_features import compare_features, read_published
    from trailergenre.models.score_link import load_all_threads, parse_cell

    settings = load_config(config or (), overrides or ())
    backbone = settings.backbone.model_copy(update={"path": directory})
    settings = settings.model_copy(update={"backbone": backbone})
    net = Backbone(settings, load_all_threads(settings))
    try:
        link = parse_cell(video, settings)
        theirs = read_published(against, net.manifest.output.width, link.link_id)
        frames = decode(video, net)
    except ItemError as error:
        raise ConfigError(f"{video} has no frames: {error}.") from error
    ours = net.embedder.embed(frames)
    found = compare_features(ours, theirs)
    if not found.holds:
        swapped = net.embedder.embed(frames[: len(theirs), ..., ::-1].copy())
        found = compare_features(ours, theirs, swapped)
    for line in [json.dumps(found.to_json())] if as_json else found.lines():
        print_line(line)
    return ExitCode.FINISHED if found.holds else ExitCode.VERIFY_FAILED

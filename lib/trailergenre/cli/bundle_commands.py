"""`trailergenre bundle`: model bundles as they are, and as one file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from trailergenre.base.errors import ConfigError, ExitCode
from trailergenre.base.terminal import print_line
from trailergenre.cli.entry import ConfigOption, JsonOption, SetOption, entry


@entry
def bundle_inspect(
    directory: Annotated[
        str, Argument(metavar="DIR", help="The bundle, one of its folds, or its .tar.")
    ],
    as_json: JsonOption = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Check every file of a bundle and print its model card.

    Exits with 0 if the bundle can be used; else with 2 and the reason.

    \b
    Examples:
      trailergenre bundle inspect bundles/mine
      trailergenre bundle inspect bundles/folds/fold-0 --json
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.models.bundle_file import open_bundle
    from trailergenre.models.model_card import render_card

    bundle = open_bundle(directory, load_config(config or (), overrides or ()))
    bundle.check_split()
    if as_json:
        record = bundle.manifest.model_dump(mode="json")
        print_line(json.dumps({"sha256": bundle.sha256, **record}))
    else:
        for line in render_card(bundle.manifest).split("\n")[:-1]:
            print_line(line)
    return ExitCode.FINISHED


@entry
def bundle_pack(
    directory: Annotated[str, Argument(metavar="DIR", help="Address of the bundle.")],
    out: Annotated[Path, Option(metavar="FILE", help="File to write: NAME.tar.")],
    license_file: Annotated[
        Path | None, Option("--license", metavar="FILE", help="Licence of the model, to pack.")
    ] = None,
) -> ExitCode:
    """Write a bundle as one file, to offer on a web server or to carry.

    It holds the model, its card and its split, and the network of a bundle that was trained with
    --with-backbone. Prints the file's checksum, which belongs to its address.

    \b
    Examples:
      trailergenre bundle pack bundles/mine --out mine.tar
      trailergenre bundle pack bundles/mine --out mine.tar --license LICENSE
      trailergenre score trailer.mp4 --bundle 'https://example.org/mine.tar#sha256=...'
    """
    from trailergenre.base.storage import Store
    from trailergenre.models.bundle import read_bundle
    from trailergenre.models.bundle_file import pack_bundle
    from trailergenre.models.use_backbone import BACKBONE

    bundle = read_bundle(Store(directory))
    bundle.check_split()
    if license_file is not None and not license_file.is_file():
        raise ConfigError(f"--license {license_file} is not a file.")
    sha256 = pack_bundle(bundle, out, license_file)
    has_network = bundle.store.exists(f"{BACKBONE}/manifest.json")
    print_line(f"{out}#sha256={sha256}")
    backbone_id = bundle.manifest.backbone.backbone_id
    print_line(f"network {backbone_id}: {'packed' if has_network else 'not packed'}")
    return ExitCode.FINISHED

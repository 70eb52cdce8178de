"""`trailergenre run`, from a list to a model; `trailergenre export`, from a run to files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from trailergenre.base.errors import ConfigError, ExitCode
from trailergenre.base.records import ModelKind, TrainerName
from trailergenre.base.terminal import print_line
from trailergenre.cli.entry import (
    ConfigOption,
    FeaturesOption,
    GenresColumnOption,
    MasterOption,
    PropertiesOption,
    RunArgument,
    SetOption,
    UrlColumnOption,
    entry,
    resumable_entry,
    say_next,
)
from trailergenre.cli.local_spark import use_spark


@resumable_entry
def run(
    links: Annotated[
        str,
        Argument(
            metavar="LIST",
            help="A table of links and genres, also at an address; or a folder of videos; - reads "
            "standard input.",
        ),
    ],
    out: Annotated[
        str | None, Option(metavar="RUN", help="Address of the run; default: runs/NAME-OF-LIST.")
    ] = None,
    model: Annotated[ModelKind, Option(help="Kind of model to train.")] = "forest",
    bundle: Annotated[
        str | None,
        Option(metavar="DIR", help="Score the links with this model; train none."),
    ] = None,
    url_column: UrlColumnOption = None,
    genres_column: GenresColumnOption = None,
    keep: Annotated[Literal["videos", "frames"] | None, Option(help="As for `featurize`.")] = None,
    master: MasterOption = None,
    properties_file: PropertiesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Do all of it: links to features, a model, its evaluation, and pages about both.

    Says first how many downloads are left and how long they take. Stop it at any time: run again,
    it resumes where it stopped. The model is in RUN/bundle, the pages are in RUN/reports. Links
    without genres only get features and, with --bundle, scores.

    \b
    Examples:
      trailergenre run links.csv
      trailergenre run ~/trailers --out runs/mine
      trailergenre run new.csv --bundle runs/links/bundle
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.local_copies import local_copies
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages.run_all import RunOptions, run_all, run_directory
    from trailergenre.links.columns import NamedColumns
    from trailergenre.links.prepare import Sources
    from trailergenre.models.score_link import allow_directory

    settings = load_config(config or (), overrides or ())
    use_spark(master, properties_file)
    # On one machine, scikit-learn's forest is the same model and needs a fraction of the time.
    is_local = master is None and properties_file is None
    trainer: TrainerName | None = "sklearn" if is_local and model != "temporal" else None
    options = RunOptions(model, trainer, keep, bundle)
    named = NamedColumns(url_column, genres_column)
    with local_copies() as copy:
        path = copy(links).expanduser()
        if path.is_dir():
            settings = allow_directory(path.absolute(), settings)
        place = out or run_directory(path)
        sources = Sources(path, is_unlabelled=None, named=named)
        code = run_all(sources, Store(place), settings, options)
    if code is not ExitCode.FINISHED:
        say_next(f"trailergenre run {links}, for the links that are left")
    elif bundle is not None:
        say_next(f"trailergenre export {place} scores --out scores.csv")
    elif Store(place).exists("bundle/manifest.json"):
        say_next(f"trailergenre score LINK --bundle {place}/bundle")
    else:
        say_next(f"trailergenre export {place} features --out features.npz")
    return code


@entry
def export(
    run: RunArgument,
    what: Annotated[
        Literal["scores", "features", "outcomes", "links"], Argument(help="What to write.")
    ],
    out: Annotated[
        Path,
        Option(
            metavar="FILE",
            help="links, outcomes: .csv, .jsonl or .parquet. scores: the same, a row for each row "
            "of the list. features: .parquet, .npz, or a directory for one .npy a link.",
        ),
    ],
    features: FeaturesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Write results of a run to one file that other programs read.

    An .npz holds link_ids and one row a link: mean, max and std of its frames (n, 3 x width). The
    .npy files hold the frames of a link (n, width), and `index.csv` names them. The width is the
    network's: 2,048 for Inception-V3.

    \b
    Examples:
      trailergenre export runs/mine scores --out scores.csv
      trailergenre export runs/mine features --out features.npz
      trailergenre export runs/mine features --out frames/
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages.export import export as write
    from trailergenre.features.settings import named_by
    from trailergenre.runs.fingerprint import choose_fingerprint

    if out.exists():
        raise ConfigError(f"{out} exists. Move it, or give another --out.")
    store = Store(run)
    settings = load_config(config or (), overrides or ())
    fingerprint = ""
    if what != "links":
        fingerprint = choose_fingerprint(store, features, named_by(settings))
    n_rows = write(store, fingerprint, what, out)
    print_line(f"{n_rows} rows are in {out}", err=True)
    return ExitCode.FINISHED

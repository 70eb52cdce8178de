"""The stages of a run as commands. Each job in `jobs/` is one of them under spark-submit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from trailergenre.base.errors import ExitCode
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.records import ModelKind, RowKind, TrainerName
from trailergenre.cli.entry import (
    BundleOption,
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


@entry
def prepare(
    run: RunArgument,
    links: Annotated[
        str | None,
        Option(
            metavar="PATH",
            help="A table (CSV, Excel, JSON, Parquet, text) with url, title, genres; - reads it "
            "from standard input. Or a folder of videos. It and the files of the other options "
            "may be at an address.",
        ),
    ] = None,
    url_column: UrlColumnOption = None,
    genres_column: GenresColumnOption = None,
    external: Annotated[
        tuple[str, str] | None,
        Option(
            metavar="FORM PATH",
            help="Features that others computed, in place of --links. FORM is trailers12k, "
            "trailers15k, or table: a directory with one Parquet or npz file of features by id, "
            "and one CSV of labels.",
        ),
    ] = None,
    metadata: Annotated[
        str | None,
        Option(metavar="FILE", help="movie_metadata.csv: genres and IMDb ids by title."),
    ] = None,
    labels: Annotated[
        str | None, Option(metavar="FILE", help="Other labels, which must agree with --metadata.")
    ] = None,
    splits: Annotated[
        str | None,
        Option(
            metavar="FILE|COLUMN",
            help="A given split: JSON with trn, val, tst by YouTube id. With --external, the "
            "column of its labels: split1.",
        ),
    ] = None,
    split_movies: Annotated[
        str | None,
        Option(
            metavar="FILE",
            help="CSV of youtube_id and imdb_id: apply the split to movies, not to trailers.",
        ),
    ] = None,
    unlabelled: Annotated[
        bool, Option("--unlabelled", help="Links without genres, only to be scored.")
    ] = False,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Clean a list of links and join it with genres; every input row gets one row_outcome.

    \b
    Examples:
      trailergenre prepare runs/mine --links links.csv
      trailergenre prepare runs/mine --links films.xlsx --url-column Watch --genres-column Kind
      trailergenre prepare runs/imdb \\
        --links trailer_source.csv --metadata movie_metadata.csv \\
        --splits splits.json --split-movies trailers_genres_clean.csv
      trailergenre prepare runs/disk --links ~/trailers \\
        --set 'links.allowed_roots=["~/trailers"]'
      trailergenre prepare runs/t12k \\
        --external trailers12k DIR/trailers_i_swin_fpc24.zarr --splits split0
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.local_copies import local_copies
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages import prepare as stage
    from trailergenre.links.columns import NamedColumns
    from trailergenre.links.prepare import Sources

    named = NamedColumns(url_column, genres_column)
    with local_copies() as copy:
        sources = Sources(
            links=copy(links) if links else None,
            external=(external[0], copy(external[1])) if external else None,
            metadata=copy(metadata) if metadata else None,
            labels=copy(labels) if labels else None,
            splits=copy(splits) if splits and not external else splits,
            split_movies=copy(split_movies) if split_movies else None,
            is_unlabelled=unlabelled,
            named=named,
        )
        prepared = stage.prepare(Store(run), sources, load_config(config or (), overrides or ()))
    if external is not None:
        given = " --set dataset.split=given" if prepared.summary["links_with_part"] else ""
        say_next(f"trailergenre train {run} --bundle DIR{given}")
    elif prepared.counts[RowOutcome.READY]:
        say_next(f"trailergenre featurize {run}")


@resumable_entry
def featurize(
    run: RunArgument,
    keep: Annotated[
        Literal["videos", "frames"] | None,
        Option(
            "--keep",
            help="videos: keep what is downloaded, so that nothing is downloaded twice. frames: "
            "keep what is decoded (some 130 KB a frame), so that nothing is decoded twice, and "
            "GPUs need not wait for downloads.",
        ),
    ] = None,
    retry: Annotated[
        list[str] | None,
        Option(
            "--retry",
            metavar="OUTCOME",
            help="Take links that failed with this outcome again; repeatable. A kept video is used "
            "where a limit or the machine was the reason; where the file was (not_media, decode, "
            "partial, ...) the site is asked anew.",
        ),
    ] = None,
    recompute: Annotated[
        bool,
        Option("--recompute", help="Settings changed: request links that are finished once more."),
    ] = False,
    master: MasterOption = None,
    properties_file: PropertiesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Turn the ready links of RUN into features; a stopped run resumes.

    \b
    Example:
      trailergenre featurize runs/mine --keep videos

    \b
    A rate-limited site has a section in the configuration, or:
      --set 'hosts."youtube.com".lanes=1' --set 'hosts."youtube.com".seconds_between=12'
    Links that a site throttles are deferred, and the exit code is 4: run again later.

    \b
    Links that failed are final, unless named:
      --retry connect --retry dns
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages import featurize as stage

    settings = load_config(config or (), overrides or ())
    use_spark(master, properties_file)
    code = stage.featurize(Store(run), settings, keep=keep, retry=retry or (), recompute=recompute)
    left = f"trailergenre featurize {run}, for the links that are left"
    say_next(f"trailergenre train {run} --bundle DIR" if code is ExitCode.FINISHED else left)
    return code


@entry
def train(
    run: RunArgument,
    bundle: BundleOption,
    model: Annotated[ModelKind, Option(help="Kind of model.")] = "forest",
    rows: Annotated[
        RowKind | None, Option(help="Training rows. Default: pooled; frames for temporal.")
    ] = None,
    trainer: Annotated[
        TrainerName | None,
        Option(
            help="mllib: on the cluster, one model per genre. sklearn: on this machine; trees of a "
            "forest on pooled rows grow on the cluster, if there is one. keras: on this machine."
        ),
    ] = None,
    cross_validate: Annotated[
        bool, Option("--cross-validate", help="Train a bundle per fold: DIR/fold-0, fold-1 ...")
    ] = False,
    search: Annotated[
        int,
        Option(
            min=0,
            metavar="N",
            help="Try N sets of hyper-parameters with scikit-learn, in parallel on the cluster, by "
            "folds of the training part.",
        ),
    ] = 0,
    shuffle_labels: Annotated[
        bool, Option("--shuffle-labels", help="Train a control on shuffled labels.")
    ] = False,
    with_backbone: Annotated[
        bool, Option("--with-backbone", help="Copy the network into the bundle.")
    ] = False,
    features: FeaturesOption = None,
    master: MasterOption = None,
    properties_file: PropertiesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Train a model on the features and labels of RUN and write it as a bundle.

    \b
    Examples:
      trailergenre train runs/mine --bundle bundles/mine
      trailergenre train runs/mine --bundle bundles/mine --trainer sklearn
      trailergenre train runs/mine --bundle bundles/lr --model logistic --trainer sklearn \\
        --cross-validate
      trailergenre train runs/mine --bundle bundles/found --search 20
      trailergenre train runs/mine --bundle bundles/head --model temporal \\
        --set 'temporal.head="gru"'
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages import train as stage

    settings = load_config(config or (), overrides or ())
    use_spark(master, properties_file)
    stage.train(
        Store(run),
        Store(bundle),
        settings,
        model=model,
        rows=rows,
        trainer=trainer,
        cross_validate=cross_validate,
        search=search,
        shuffle_labels=shuffle_labels,
        with_backbone=with_backbone,
        features=features,
    )
    if not (cross_validate or shuffle_labels):
        say_next(f"trailergenre evaluate {run} --bundle {bundle}")


@entry
def evaluate(
    run: RunArgument,
    bundle: BundleOption,
    compare: Annotated[
        list[str] | None, Option(metavar="DIR", help="Model to compare with; repeatable.")
    ] = None,
    control: Annotated[
        str | None, Option(metavar="DIR", help="Model trained with --shuffle-labels.")
    ] = None,
    report: Annotated[
        Path | None,
        Option(metavar="FILE", help="Output page. Default: RUN/reports/evaluation.html."),
    ] = None,
    features: FeaturesOption = None,
    master: MasterOption = None,
    properties_file: PropertiesOption = None,
) -> None:
    """Measure a bundle, or those of all folds, on the movies of RUN it was not trained on.

    \b
    Examples:
      trailergenre evaluate runs/mine --bundle bundles/mine --control bundles/shuffled
      trailergenre evaluate runs/mine --bundle bundles/head --compare bundles/logistic
    """
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages import evaluate as stage
    from trailergenre.runs.fingerprint import list_settings

    use_spark(master, properties_file)
    store = Store(run)
    found = stage.evaluate(
        store, bundle, compare=compare or (), control=control, report=report, features=features
    )
    if list_settings(store)[found.features].is_external:
        # No video has features that such a model knows.
        say_next(f"trailergenre predict {run} --bundle {bundle}")
    else:
        say_next(f"trailergenre score LINK --bundle {bundle}")


@entry
def predict(
    run: RunArgument,
    bundle: BundleOption,
    features: FeaturesOption = None,
    master: MasterOption = None,
    properties_file: PropertiesOption = None,
) -> None:
    """Score every link of RUN's list that has features, for every genre of the bundle.

    \b
    Example:
      trailergenre predict runs/mine --bundle bundles/mine
    """
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages import predict as stage

    use_spark(master, properties_file)
    stage.predict(Store(run), bundle, features=features)
    say_next(f"trailergenre export {run} scores --out scores.csv")


@resumable_entry
def publish(
    run: RunArgument,
    features: FeaturesOption = None,
    master: MasterOption = None,
    properties_file: PropertiesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Publish the features of a run to MongoDB. Publishing again repairs what differs.

    The connection string is read from the environment, or from the file mongo.uri_file. A
    collection holds features of one fingerprint; for others: --set mongo.collection=NAME.

    Exit code 4: the server refused some documents, e.g. as too large. The first are named; all
    others are published.

    \b
    Example:
      export TRAILERGENRE_MONGO_URI='mongodb://127.0.0.1:27017'
      trailergenre publish runs/mine
    """
    from trailergenre.base.config_files import load_config
    from trailergenre.base.storage import Store
    from trailergenre.cli.stages import publish as stage

    settings = load_config(config or (), overrides or ())
    use_spark(master, properties_file)
    return stage.publish(Store(run), settings, features=features)

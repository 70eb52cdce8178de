"""Features and genres of a run -> MongoDB: one document a frame, and one a trailer."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated

import typer

from trailergenre.base.config_files import load_config
from trailergenre.base.errors import ConfigError, ExitCode, StorageError
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.cli.entry import (
    ConfigOption,
    FeaturesOption,
    RunArgument,
    SetOption,
    resumable_entry,
)
from trailergenre.mongo import (
    Publishable,
    Published,
    Shape,
    Target,
    choose_target,
    is_claimed,
    prepare_collections,
    read_publishable,
    withdraw_links,
)
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.runs.sessions import record_summary
from trailergenre.spark.publish import publish_documents
from trailergenre.spark.session import spark_session

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@resumable_entry
def publish_features(
    run: RunArgument,
    features: FeaturesOption = None,
    shape: Annotated[
        Shape,
        typer.Option(
            "--shape",
            help="frames: packed vectors (some 8.5 KB a frame), and a document a trailer. "
            "original: a double for each feature (some 28 KB a frame), as the original notebooks "
            "read them, in a collection of its own, <collection>_original.",
        ),
    ] = "frames",
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> ExitCode:
    """Publish the features of a run to MongoDB; again changes nothing, or mends what is wrong.

    The connection string is read from the environment, or from the file mongo.uri_file. A
    collection holds features of one fingerprint; mongo.collection names another one for others.

    Exit code 4: the server refused some documents for what they are; the first are named, and
    all others are there.

    \b
    Examples:
      export TRAILERGENRE_MONGO_URI='mongodb://127.0.0.1:27017'
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/publish_features.py runs/mine
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/publish_features.py runs/mine --set mongo.collection=frames_2fps
    """
    settings = load_config(config or (), overrides or ()).mongo
    store = Store(run)
    source = read_publishable(store, choose_fingerprint(store, features))
    target = choose_target(settings, shape)
    # What failed is withdrawn from what was published; nothing is claimed for it.
    if not len(source.links) and not (source.withdrawn and is_claimed(target)):
        raise ConfigError(
            f"No link of {store} has features {source.fingerprint} yet. Run jobs/featurize.py "
            "first."
        )
    # Before Spark starts: a missing server, or a collection of others, should cost a user seconds.
    prepare_collections(target, source.settings)
    started = time.monotonic()
    with (
        spark_session("publish_features", store) as spark,
        progress_bar("publish", unit="frames") as show,
    ):
        done = publish_documents(
            spark, source, target, report=lambda n_frames: show(n_frames, source.n_frames)
        )
        show(done.frames.documents, source.n_frames)
    done += withdraw_links(target, source.withdrawn)
    return _finish(source, target, done, seconds=time.monotonic() - started)


def _finish(source: Publishable, target: Target, done: Published, *, seconds: float) -> ExitCode:
    received = done.frames.documents + done.frames.refused
    if received != source.n_frames:
        raise StorageError(
            f"The outcomes of {source.store} promise {source.n_frames} rows of features. "
            f"Received: {received}. Check the run: trailergenre verify {source.store}"
        )
    record_summary(
        source.store,
        "publish_features",
        {
            "fingerprint": source.fingerprint,
            "rows": source.n_frames,
            **asdict(done.frames),
            "trailers": asdict(done.trailers),
            "database": target.config.database,
            "collection": target.config.collection,
            "shape": target.shape,
            "seconds": round(seconds, 3),
        },
    )
    refused = done.frames.refused + done.trailers.refused
    if not refused:
        return ExitCode.FINISHED
    reasons = (*done.frames.reasons, *done.trailers.reasons)
    for reason in reasons:
        typer.echo(f"refused: {reason}", err=True)
    if refused > len(reasons):
        typer.echo(f"and {refused - len(reasons)} more", err=True)
    typer.echo(f"{refused} documents were refused; all others are there.", err=True)
    return ExitCode.INCOMPLETE


if __name__ == "__main__":
    app()

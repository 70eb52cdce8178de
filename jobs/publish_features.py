"""Features and genres of a run -> MongoDB, one document a frame."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import typer

from trailergenre.config_files import load_config
from trailergenre.documents import open_collection, parse_address
from trailergenre.entry import (
    ConfigOption,
    FeaturesOption,
    RunArgument,
    SetOption,
    entry,
    finish,
)
from trailergenre.errors import ConfigError, StorageError
from trailergenre.fingerprint import choose_fingerprint
from trailergenre.spark.publish import read_publishable, write_frames
from trailergenre.spark.session import spark_session
from trailergenre.storage import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def publish_features(
    run: RunArgument,
    features: FeaturesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    """Publish the features of a run to MongoDB; again gives the same documents.

    The connection string is read from the environment only.

    \b
    Example:
      export TRAILERGENRE_MONGO_URI='mongodb://127.0.0.1:27017'
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/publish_features.py runs/mine
    """
    settings = load_config(config or [], overrides or []).mongo
    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    source = read_publishable(store, fingerprint)
    address = parse_address(_read_uri(settings.uri_variable))
    # Before Spark starts: a missing server should cost a user seconds.
    with open_collection(address, settings):
        pass
    started = time.monotonic()
    report = _progress_lines(source.n_frames)
    with spark_session("publish_features", store) as spark:
        counts = write_frames(spark, source, address, settings, report=report)
        report(counts.documents)
    if counts.documents != source.n_frames:
        raise StorageError(
            f"The outcomes of {store} promise {source.n_frames} rows of features. "
            f"Published: {counts.documents}. Check the run: trailergenre verify {store}"
        )
    finish(
        store,
        "publish_features",
        {
            "fingerprint": fingerprint,
            "rows": source.n_frames,
            "documents": counts.documents,
            "matched": counts.matched,
            "upserted": counts.upserted,
            "database": settings.database,
            "collection": settings.collection,
            "seconds": round(time.monotonic() - started, 3),
        },
    )


def _read_uri(variable: str) -> str:
    uri = os.environ.get(variable, "")
    if not uri:
        raise ConfigError(
            f"The environment variable {variable} holds no MongoDB connection string. "
            f"Set it: export {variable}='mongodb://127.0.0.1:27017'"
        )
    return uri


def _progress_lines(total: int) -> Callable[[int], None]:
    """A line whenever the count changed; spark-submit gives its Python child no terminal."""
    reported = 0

    def report(done: int) -> None:
        nonlocal reported
        if done != reported:
            reported = done
            typer.echo(f"published {done} of {total} rows", err=True)

    return report


if __name__ == "__main__":
    app()

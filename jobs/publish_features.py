"""Features and genres of a run -> MongoDB, one document a frame."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from trailergenre.config import load_config
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
from trailergenre.spark.publish import count_frames, read_publishable, write_frames
from trailergenre.spark.session import spark_session
from trailergenre.storage import Store

app = typer.Typer(add_completion=False)


@app.command()
@entry
def publish_features(
    run: RunArgument,
    features: FeaturesOption = None,
    config: ConfigOption = None,
    overrides: SetOption = None,
) -> None:
    r"""Publish the features of a run to MongoDB; again gives the same documents.

    The connection string is read from the environment only:

    \b
    export TRAILERGENRE_MONGO_URI='mongodb://127.0.0.1:27017'
    spark-submit --properties-file conf/spark-local.conf jobs/publish_features.py RUN
    """
    settings = load_config(config or [], overrides or []).mongo
    store = Store(run)
    fingerprint = choose_fingerprint(store, features)
    address = parse_address(_read_uri(settings.uri_variable))
    # Before Spark starts: a missing server should cost a user seconds.
    with open_collection(address, settings):
        pass
    started = time.monotonic()
    with spark_session("publish_features") as spark:
        total = count_frames(spark, store, fingerprint)
        with _progress(total) as report:
            counts = write_frames(
                read_publishable(spark, store, fingerprint),
                address,
                settings,
                fingerprint=fingerprint,
                report=report,
            )
            report(counts.documents)
    if counts.documents != total:
        raise StorageError(
            f"The outcomes of {store} promise {total} rows of features. "
            f"Published: {counts.documents}. Check the run: trailergenre verify {store}"
        )
    finish(
        store,
        "publish_features",
        {
            "fingerprint": fingerprint,
            "rows": total,
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


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, a line whenever the count changed elsewhere; both on stderr."""
    if sys.stderr.isatty():
        columns = (*Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("publishing rows", total=total)
            yield lambda done: bar.update(task, completed=done)
        return
    reported = 0

    def report(done: int) -> None:
        nonlocal reported
        if done != reported:
            reported = done
            typer.echo(f"published {done} of {total} rows", err=True)

    yield report


if __name__ == "__main__":
    app()

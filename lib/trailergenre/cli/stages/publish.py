"""Publish features and genres of a run to MongoDB: one document per frame and per trailer."""

from __future__ import annotations

import time
from dataclasses import asdict

from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, ExitCode, StorageError
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.base.terminal import print_line
from trailergenre.features.settings import named_by
from trailergenre.mongo.collections import is_initialized, prepare_collections
from trailergenre.mongo.connection import read_destination
from trailergenre.mongo.published_links import plan_publishing
from trailergenre.mongo.publishing import PublishResult, withdraw_links
from trailergenre.runs.fingerprint import choose_fingerprint
from trailergenre.runs.sessions import record_summary
from trailergenre.spark.publish import publish_documents
from trailergenre.spark.session import spark_session
from trailergenre.spark.worker_checks import PUBLISHING


def publish(store: Store, settings: Config, *, features: str | None = None) -> ExitCode:
    """Publish the features of a run to MongoDB; publishing again repairs what differs."""
    plan = plan_publishing(store, choose_fingerprint(store, features, named_by(settings)))
    destination = read_destination(settings.mongo)
    # A run without features may still withdraw what it published before.
    if not len(plan.links) and not (plan.withdrawn and is_initialized(destination)):
        raise ConfigError(
            f"No link of {store} has features {plan.fingerprint} yet. "
            f"Run `trailergenre featurize` first."
        )
    # Before Spark starts: a missing server or foreign collection is reported within seconds.
    prepare_collections(destination, plan.settings)
    started = time.monotonic()
    with (
        spark_session("publish_features", store, PUBLISHING) as spark,
        progress_bar("publish", unit="frames") as on_step,
    ):
        result = publish_documents(spark, plan, destination, on_step)
        on_step(result.frames.documents, plan.n_frames)
    result += withdraw_links(destination, plan.withdrawn)
    n_read = result.frames.documents + result.frames.refused
    if n_read != plan.n_frames:
        raise StorageError(
            f"The outcomes of {store} promise {plan.n_frames} rows of features. "
            f"Received: {n_read}. Check the run: trailergenre verify {store}"
        )
    record_summary(
        store,
        "publish_features",
        {
            "fingerprint": plan.fingerprint,
            "rows": plan.n_frames,
            **asdict(result.frames),
            "trailers": asdict(result.trailers),
            "database": destination.config.database,
            "collection": destination.config.collection,
            "seconds": round(time.monotonic() - started, 3),
        },
    )
    return _report_refused(result)


def _report_refused(result: PublishResult) -> ExitCode:
    n_refused = result.frames.refused + result.trailers.refused
    if not n_refused:
        return ExitCode.FINISHED
    reasons = (*result.frames.reasons, *result.trailers.reasons)
    for reason in reasons:
        print_line(f"refused: {reason}", err=True)
    if n_refused > len(reasons):
        print_line(f"and {n_refused - len(reasons)} more", err=True)
    print_line(f"{n_refused} documents were refused; all others are there.", err=True)
    return ExitCode.INCOMPLETE

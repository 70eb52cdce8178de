"""Scores the links of a run with a model bundle and writes the table of scores."""

from __future__ import annotations

import time
from collections import Counter

import pyarrow.compute as pc

from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.base.terminal import print_line
from trailergenre.models.bundle import check_fits, fits, read_bundle
from trailergenre.models.pooled_table import remove_unfinished
from trailergenre.models.training_set import check_all_read
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.plan import read_ready_links
from trailergenre.runs.sessions import record_summary
from trailergenre.spark.feature_files import FeatureFiles
from trailergenre.spark.predict import write_scores
from trailergenre.spark.session import spark_session
from trailergenre.spark.worker_checks import SCORING


def predict(store: Store, bundle: str, *, features: str | None = None) -> None:
    """Score every link of a run that has features, for every genre of the bundle."""
    started = time.monotonic()
    source = Store(bundle)
    model = read_bundle(source)
    fingerprint = choose_fingerprint(store, features, fits(model))
    notes = [*model.warnings, *check_fits(model, list_settings(store)[fingerprint])]
    for note in notes:
        print_line(f"note: {note}", err=True)
    with hold_lease(store, "predict_genres", of="scores"):
        tables.check_replaceable(store, "scores")
        ready = [link.link_id for link in read_ready_links(store)]
        # Links that left the list still have outcomes.
        outcomes = tables.filter_links(tables.read_outcomes(store, fingerprint), ready)
        ok = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
        with spark_session("predict_genres", store, SCORING) as spark:
            files = FeatureFiles(spark, store, outcomes, ok["link_id"].to_pylist())
            with progress_bar(f"scoring {len(ok)} links"):
                scores = files.scores(model.scorer)
                write_scores(scores, model.manifest, store)
        remove_unfinished(store, fingerprint)
    n_scored = pc.count_distinct(tables.read_table(store, "scores")["link_id"]).as_py()
    check_all_read(store, wanted=len(ok), read=n_scored)
    not_scored = Counter(outcomes["outcome"].to_pylist())
    not_scored[Outcome.DEFERRED.value] += len(ready) - len(outcomes)  # never tried
    del not_scored[Outcome.OK.value]
    record_summary(
        store,
        "predict_genres",
        {
            "bundle": str(source),
            "sha256": model.sha256,
            "features": fingerprint,
            "links": len(ready),
            "scored": n_scored,
            "not_scored": dict(+not_scored),
            "genres": len(model.manifest.genres),
            "notes": notes,
            "seconds": round(time.monotonic() - started, 1),
        },
    )

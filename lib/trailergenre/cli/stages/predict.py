"""Scores the links of a run with a model bundle and writes the table of scores."""

from __future__ import annotations

import time
from collections import Counter

from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.base.terminal import print_line
from trailergenre.models.bundle import check_fits, fits, read_bundle
from trailergenre.models.pooled_table import remove_unfinished
from trailergenre.models.training_set import check_all_read
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.plan import read_ready_rows
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
        ready = read_ready_rows(store)
        outcomes = outcomes_table.read_outcomes(
            store, fingerprint, columns=features_table.FEATURE_COLUMNS
        )
        # Links that left the list still have outcomes.
        outcomes = tables.filter_links(outcomes, ready["link_id"])
        not_scored = Counter(tables.count_values(outcomes["outcome"]))
        n_ok = not_scored.pop(Outcome.OK.value, 0)
        not_scored[Outcome.DEFERRED.value] += len(ready) - len(outcomes)  # never tried
        with spark_session("predict_genres", store, SCORING) as spark:
            files = FeatureFiles(spark, store, outcomes)
            with progress_bar(f"scoring {n_ok} links"):
                n_scored = write_scores(files.scores(model.scorer), ready, model.manifest, store)
        remove_unfinished(store, fingerprint)
    check_all_read(store, wanted=n_ok, read=n_scored)
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

"""Measure a model on its test movies, beside baselines and other models."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from trailergenre.base.progress import progress_bar
from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.links import labelled_links
from trailergenre.models import evaluation as measuring
from trailergenre.models.bundle import check_fits, fits
from trailergenre.models.evaluated_model import read_models
from trailergenre.models.evaluation import Evaluation, print_evaluation, score_models
from trailergenre.models.pooled_table import remove_unfinished
from trailergenre.models.scorer import ScorerGroup
from trailergenre.reports.evaluation_page import render_evaluation
from trailergenre.reports.pages import RECORD_MARK, ReportFile
from trailergenre.runs import features_table, outcomes_table, tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.sessions import record_summary
from trailergenre.spark.feature_files import FeatureFiles
from trailergenre.spark.session import spark_session
from trailergenre.spark.worker_checks import SCORING


def evaluate(
    store: Store,
    bundle: str,
    *,
    compare: Sequence[str] = (),
    control: str | None = None,
    report: Path | None = None,
    features: str | None = None,
) -> Evaluation:
    """Measure a bundle, or those of all folds, on the movies that it was not trained on."""
    started = time.monotonic()
    page = ReportFile.named(report) if report else ReportFile(store, "reports/evaluation.html")
    figures = ReportFile(store, "reports/evaluation.json", RECORD_MARK)
    for file in (page, figures):
        file.check()
    models = read_models(bundle, control=control, others=list(compare))
    fingerprint = choose_fingerprint(store, features, fits(models[0].bundles[0]))
    settings = list_settings(store)[fingerprint]
    notes = [note for m in models for each in m.bundles for note in check_fits(each, settings)]
    with hold_lease(store, "evaluate_model", of="reports"):
        labels = tables.read_table(store, "labels", labelled_links.COLUMNS)
        outcomes = outcomes_table.read_outcomes(
            store, fingerprint, columns=features_table.FEATURE_COLUMNS
        )
        with (
            spark_session("evaluate_model", store, SCORING) as spark,
            progress_bar("scoring") as on_step,
        ):

            def score(
                link_ids: list[str], scorer: ScorerGroup
            ) -> tuple[list[str], ProbabilityArray]:
                return FeatureFiles(spark, store, outcomes, link_ids).collect_scores(scorer)

            (model, *others), counts = score_models(models, labels, score, on_step)
        remove_unfinished(store, fingerprint)
        with progress_bar("measuring"):
            evaluation = measuring.evaluate(
                model,
                control=others.pop(0) if control else None,
                others=others,
                links=tables.read_table(store, "links"),
                run=str(store),
                features=fingerprint,
                test=counts,
                notes=notes,
            )
        print_evaluation(evaluation)
        record = asdict(evaluation)
        marked = {"generator": "trailergenre", **record}
        content = json.dumps(marked, indent=2, allow_nan=False, ensure_ascii=False)
        figures.write(f"{content}\n")
        page.write(render_evaluation(record, neighbours=page.neighbours()))
    seconds = round(time.monotonic() - started, 1)
    summary = evaluation.summary() | {"report": str(report or page), "seconds": seconds}
    record_summary(store, "evaluate_model", summary)
    return evaluation

"""A model's test movies to figures beside the prior, chance and other models; JSON and HTML.

spark-submit --properties-file conf/spark-local.conf jobs/evaluate_model.py RUN --bundle DIR
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from pyspark.sql import SparkSession
from rich.console import Console
from rich.table import Table

from trailergenre.base.errors import ConfigError
from trailergenre.base.progress import progress_bar
from trailergenre.base.records import ProbabilityArray
from trailergenre.base.storage import Store
from trailergenre.cli.entry import BundleOption, FeaturesOption, RunArgument, entry
from trailergenre.links.labelled_links import LabelledLink
from trailergenre.metrics.format import MEASURES, format_figure, format_spread
from trailergenre.models.bundle import Bundle, check_fits
from trailergenre.models.evaluation import Scored, ScoredFold, evaluate, find_notes, merge_fold
from trailergenre.models.model_card import render_card
from trailergenre.models.model_under_test import (
    Candidate,
    check_control,
    check_names,
    check_pair,
    describe_candidate,
    find_test_links,
    read_candidate,
)
from trailergenre.models.scorer import SideBySide
from trailergenre.reports.evaluation_page import render_evaluation
from trailergenre.reports.pages import check_page, write_page
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.sessions import record_summary
from trailergenre.spark.feature_files import FeatureFiles
from trailergenre.spark.session import spark_session

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def evaluate_model(
    run: RunArgument,
    bundle: BundleOption,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare", metavar="DIR", help="Another model, to be compared with; may be repeated."
        ),
    ] = None,
    control: Annotated[
        str | None,
        typer.Option(
            "--control", metavar="DIR", help="Model trained with --shuffle-labels, to stand beside."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="Where the page goes; else RUN/reports/evaluation.html.",
        ),
    ] = None,
    features: FeaturesOption = None,
) -> None:
    """Measure a bundle, or those of all folds, on the movies of RUN it was not trained on.

    \b
    Examples:
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/evaluate_model.py runs/mine --bundle bundles/mine --control bundles/shuffled
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/evaluate_model.py runs/mine --bundle bundles/head --compare bundles/logistic
    """
    started = time.monotonic()
    if report is not None:
        check_page(report)
    store = Store(run)
    candidates = _read(bundle, control, compare or [])
    fingerprint = choose_fingerprint(store, features)
    settings = list_settings(store)[fingerprint]
    fits = [check_fits(bundle, settings) for found in candidates for bundle in found.bundles]
    with hold_lease(store, "evaluate_model"):
        tested, counts = _test(store, fingerprint, candidates)
        model, *beside = tested
        shuffled = beside.pop(0) if control else None
        with progress_bar("measuring"):
            figures = evaluate(model, control=shuffled, others=beside)
        record = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "run": str(store),
            "features": fingerprint,
            "bundle": describe_candidate(model.candidate),
            "control": describe_candidate(shuffled.candidate) if shuffled else None,
            "compared": [describe_candidate(other.candidate) for other in beside],
            "test": counts,
            "notes": list(dict.fromkeys([*find_notes(model), *itertools.chain(*fits)])),
            **figures,
            "card": render_card(model.candidate.bundles[0].manifest),
        }
        _show(record)
        page = _write(store, record, report)
    record_summary(store, "evaluate_model", _summary(record, page, time.monotonic() - started))


def _read(bundle: str, control: str | None, compare: Sequence[str]) -> list[Candidate]:
    """Read the model, then its control where there is one, then the others; refuse misfits."""
    candidates = [read_candidate(address) for address in (bundle, *filter(None, [control]))]
    if control:
        check_control(candidates[1])
    others = [read_candidate(address) for address in compare]
    check_names(others)
    candidates += others
    for other in candidates[1:]:
        check_pair(candidates[0], other)
    return candidates


def _test(
    store: Store, fingerprint: str, candidates: Sequence[Candidate]
) -> tuple[list[Scored], dict[str, int]]:
    """Score each fold's test links by all models at once; those without features are left out."""
    labels = tables.read_table(store, "labels")
    outcomes = tables.read_outcomes(store, fingerprint)
    folds = list(zip(*(candidate.bundles for candidate in candidates), strict=True))
    # All bundles of a fold test the same links, but each has training movies of its own.
    links_of = [[find_test_links(b, labels) for b in fold].pop() for fold in folds]
    scored: list[list[ScoredFold]] = [[] for _ in candidates]
    n_scored = 0
    with spark_session("evaluate_model", store) as spark, progress_bar("scoring") as report:
        for fold, links in zip(folds, links_of, strict=True):
            found, scores = _score(spark, store, outcomes, links, fold)
            if not found:
                raise ConfigError(
                    f"None of the {len(links)} test links has features {fingerprint}. "
                    "Run jobs/featurize.py, or name other features with --features."
                )
            n_scored += len(found)
            for place, (bundle, raw) in enumerate(zip(fold, scores, strict=True)):
                scored[place].append(merge_fold(bundle, found, raw))
            report(len(scored[0]), len(folds), f"folds, {n_scored} links")
    tested = [Scored(c, tuple(f)) for c, f in zip(candidates, scored, strict=True)]
    n_links = sum(map(len, links_of))
    return tested, {
        "movies": sum(len(fold.truth) for fold in scored[0]),
        "links": n_scored,
        "links_without_features": n_links - n_scored,
    }


def _score(
    spark: SparkSession,
    store: Store,
    outcomes: pa.Table,
    links: Sequence[LabelledLink],
    bundles: Sequence[Bundle],
) -> tuple[list[LabelledLink], list[ProbabilityArray]]:
    """Give the links that have features, and each bundle's raw scores of them."""
    raw = SideBySide(tuple(replace(bundle.scorer, calibration=None) for bundle in bundles))
    files = FeatureFiles(spark, store, outcomes, [link.link_id for link in links])
    found, scores = files.collect_scores(raw.predict_proba)
    link_of = {link.link_id: link for link in links}
    return [link_of[i] for i in found], np.split(scores, len(bundles), axis=1) if found else []


def _show(record: Mapping[str, Any]) -> None:
    """Print the models side by side on stderr. `Any`: the record is what JSON holds."""
    columns = record["columns"]
    folds = record["bundle"]["folds"]
    over = f", mean ± standard deviation over {folds} folds" if folds > 1 else ""
    table = Table(title=f"{record['test']['movies']} test movies{over}")
    for heading in ("measure", *(heading for _, heading in columns)):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for key, name, _ in MEASURES:
        cells = []
        for column, _ in columns:
            found = record["models"][column]
            # The spread of a baseline is that of the folds' movies: left to JSON and page.
            std = found["std"][key] if column in record["beats_prior"] else None
            cells.append(format_spread(found[key], std))
        table.add_row(name, *cells)
    console = Console(stderr=True)
    console.print(table)
    for line in [*_verdicts(record), *_comparisons(record)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for note in record["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _verdicts(record: Mapping[str, Any]) -> list[str]:
    names, lines = dict(record["columns"]), []
    for key, beats in record["beats_prior"].items():
        bars = {
            "prior": record["models"]["prior"]["mean_ap"],
            "95% of random": record["random"]["mean_ap_p95"],
            "95% of its genres mixed": record["mixed"][key]["mean_ap_p95"],
        }
        said = ", ".join(f"{bar} {format_figure(value)}" for bar, value in bars.items())
        verdict = "beats" if beats else "does not beat"
        mean_ap = format_figure(record["models"][key]["mean_ap"])
        lines.append(f"{names[key]}: mAP {mean_ap} {verdict} {said}")
    return lines


def _comparisons(record: Mapping[str, Any]) -> list[str]:
    return [
        f"mAP against {found['other']}: {format_figure(found['difference'])} "
        f"[{format_figure(found['low'])}, {format_figure(found['high'])}], "
        f"better in {found['share_a_better']:.1%} of {found['draws']} draws of the movies"
        for found in record["comparisons"]
        if found["measure"] == "mean_ap"
    ]


def _write(store: Store, record: Mapping[str, Any], report: Path | None) -> str:
    """Write JSON and page; say where the page is."""
    content = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    store.write_bytes("reports/evaluation.json", content.encode())
    html = render_evaluation(record)
    if report is None:
        store.write_bytes("reports/evaluation.html", html.encode())
        return f"{store}/reports/evaluation.html"
    write_page(report, html)
    return str(report)


def _summary(record: Mapping[str, Any], page: str, seconds: float) -> dict[str, object]:
    return {
        "bundle": record["bundle"]["address"],
        "folds": record["bundle"]["folds"],
        "features": record["features"],
        **record["test"],
        "compared": [other["address"] for other in record["compared"]],
        "mean_ap": {key: round(found["mean_ap"], 4) for key, found in record["models"].items()},
        "random_p95": round(record["random"]["mean_ap_p95"], 4),
        "mixed_p95": {
            key: round(found["mean_ap_p95"], 4) for key, found in record["mixed"].items()
        },
        "beats_prior": record["beats_prior"],
        "report": page,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    app()

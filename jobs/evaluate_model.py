"""A bundle's test movies to figures beside the prior, chance and a control; JSON and HTML.

spark-submit --properties-file conf/spark-local.conf jobs/evaluate_model.py RUN --bundle DIR
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from trailergenre import tables
from trailergenre.bundle import Bundle, check_fits, read_bundle
from trailergenre.entry import (
    BundleOption,
    FeaturesOption,
    RunArgument,
    entry,
    finish,
)
from trailergenre.errors import ConfigError
from trailergenre.evaluation import (
    check_control,
    compare,
    describe_bundle,
    find_test_links,
    merge_movies,
)
from trailergenre.fingerprint import choose_fingerprint, list_settings
from trailergenre.records import ProbabilityArray
from trailergenre.report import COLUMNS, MEASURES, format_figure, render_evaluation
from trailergenre.spark.rows import FeatureFiles, collect_scores
from trailergenre.spark.session import spark_session
from trailergenre.splits import LabelledLink
from trailergenre.storage import Store

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def evaluate_model(
    run: RunArgument,
    bundle: BundleOption,
    control: Annotated[
        str | None,
        typer.Option("--control", help="Bundle trained with --shuffle-labels, to stand beside."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Where the page goes; else RUN/reports/evaluation.html."),
    ] = None,
    features: FeaturesOption = None,
) -> None:
    """Measure a bundle on the movies of RUN that it was not trained on.

    \b
    Example:
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/evaluate_model.py runs/mine --bundle bundles/mine --control bundles/shuffled
    """
    started = time.monotonic()
    store = Store(run)
    model = read_bundle(Store(bundle))
    other = read_bundle(Store(control)) if control else None
    fingerprint = choose_fingerprint(store, features)
    settings = list_settings(store)[fingerprint]
    notes = [*model.warnings, *check_fits(model, settings)]
    if other is not None:
        check_control(model, other)
        check_fits(other, settings)
    links = find_test_links(model, tables.read_table(store, "labels"))
    bundles = [model] if other is None else [model, other]
    scored, scores = _score(store, fingerprint, links, bundles)
    truth, probabilities = merge_movies(scored, scores[0], model)
    beside = None
    if other is not None:
        beside = (merge_movies(scored, scores[1], other)[1], other)
    record = {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": str(store),
        "features": fingerprint,
        "bundle": describe_bundle(model, str(Store(bundle))),
        "control": describe_bundle(other, str(Store(str(control)))) if other else None,
        "test": {
            "movies": len(truth),
            "links": len(scored),
            "links_without_features": len(links) - len(scored),
        },
        "notes": notes,
        **compare(truth, probabilities, model, control=beside),
    }
    _show(record)
    page = _write(store, record, report)
    finish(store, "evaluate_model", _summary(record, page, time.monotonic() - started))


def _score(
    store: Store, fingerprint: str, links: list[LabelledLink], bundles: list[Bundle]
) -> tuple[list[LabelledLink], list[ProbabilityArray]]:
    """Score the test links on the cluster by each bundle; those without features are left out."""
    outcomes = tables.read_outcomes(store, fingerprint)
    scores = []
    with spark_session("evaluate_model", store) as spark:
        files = FeatureFiles(spark, store, outcomes, [link.link_id for link in links])
        for bundle in bundles:
            found, probabilities = collect_scores(files.scores(bundle.scorer.predict_proba))
            scores.append(probabilities)
    if not found:
        raise ConfigError(
            f"None of the {len(links)} test links has features {fingerprint}. "
            "Run jobs/featurize.py, or name other features with --features."
        )
    link_of = {link.link_id: link for link in links}
    return [link_of[link_id] for link_id in found], scores


def _show(record: Mapping[str, Any]) -> None:
    """Print the models side by side on stderr. `Any`: the record is what JSON holds."""
    columns = [(key, heading) for key, heading in COLUMNS if key in record["models"]]
    table = Table(title=f"{record['test']['movies']} test movies")
    for heading in ("measure", *(heading for _, heading in columns), "random"):
        table.add_column(heading, justify="left" if heading == "measure" else "right")
    for key, name, _ in MEASURES:
        cells = [format_figure(record["models"][column][key]) for column, _ in columns]
        chance = format_figure(record["random"]["mean_ap"]) if key == "mean_ap" else ""
        table.add_row(name, *cells, chance)
    console = Console(stderr=True)
    console.print(table)
    for name, beats in record["beats_prior"].items():
        bars = ", ".join(
            f"{bar} {format_figure(value)}" for bar, value in _bars(record, name).items()
        )
        verdict = "beats" if beats else "does not beat"
        line = f"{name}: mAP {format_figure(record['models'][name]['mean_ap'])} {verdict} {bars}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for note in record["notes"]:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)


def _bars(record: Mapping[str, Any], name: str) -> dict[str, float]:
    return {
        "prior": record["models"]["prior"]["mean_ap"],
        "95% of random": record["random"]["mean_ap_p95"],
        "95% of its genres mixed": record["mixed"][name]["mean_ap_p95"],
    }


def _write(store: Store, record: Mapping[str, Any], report: Path | None) -> str:
    """Write JSON and page; say where the page is."""
    content = json.dumps(record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    store.write_bytes("reports/evaluation.json", content.encode())
    page = render_evaluation(record).encode()
    if report is None:
        store.write_bytes("reports/evaluation.html", page)
        return f"{store}/reports/evaluation.html"
    Store(str(report.parent)).write_bytes(report.name, page)
    return str(report)


def _summary(record: Mapping[str, Any], page: str, seconds: float) -> dict[str, object]:
    return {
        "bundle": record["bundle"]["address"],
        "features": record["features"],
        **record["test"],
        "mean_ap": {name: round(found["mean_ap"], 4) for name, found in record["models"].items()},
        "random_p95": round(record["random"]["mean_ap_p95"], 4),
        "mixed_p95": {
            name: round(found["mean_ap_p95"], 4) for name, found in record["mixed"].items()
        },
        "beats_prior": record["beats_prior"],
        "report": page,
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    app()

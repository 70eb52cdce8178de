"""Features and a bundle to the scores table: every genre's probability for every link of a run.

spark-submit --properties-file conf/spark-local.conf jobs/predict_genres.py RUN --bundle DIR
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc
import typer

from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import progress_bar
from trailergenre.base.storage import Store
from trailergenre.cli.entry import BundleOption, FeaturesOption, RunArgument, entry
from trailergenre.models.bundle import check_fits, read_bundle
from trailergenre.models.training_set import check_all_read
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import choose_fingerprint, list_settings
from trailergenre.runs.lease import hold_lease
from trailergenre.runs.plan import read_ready_links
from trailergenre.runs.sessions import record_summary
from trailergenre.spark.feature_files import FeatureFiles
from trailergenre.spark.predict import rank_genres, write_scores
from trailergenre.spark.session import spark_session

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@entry
def predict_genres(
    run: RunArgument,
    bundle: BundleOption,
    features: FeaturesOption = None,
) -> None:
    """Score every link of RUN's list that has features, for every genre of the bundle.

    \b
    Example:
      spark-submit --properties-file conf/spark-local.conf \\
        jobs/predict_genres.py runs/mine --bundle bundles/mine
    """
    started = time.monotonic()
    store = Store(run)
    model = read_bundle(Store(bundle))
    fingerprint = choose_fingerprint(store, features)
    notes = [*model.warnings, *check_fits(model, list_settings(store)[fingerprint])]
    for note in notes:
        typer.echo(f"note: {note}", err=True)
    with hold_lease(store, "predict_genres"):
        ready = [link.link_id for link in read_ready_links(store)]
        # Outcomes are kept of links that left the list.
        outcomes = tables.filter_links(tables.read_outcomes(store, fingerprint), ready)
        by_outcome = _count_links(ready, outcomes)
        ok = outcomes.filter(pc.equal(outcomes["outcome"], Outcome.OK.value))
        with spark_session("predict_genres", store) as spark:
            files = FeatureFiles(spark, store, outcomes, ok["link_id"].to_pylist())
            scores = files.scores(model.scorer.predict_proba)
            with progress_bar(f"scoring {len(ok)} links"):
                write_scores(rank_genres(scores, model.manifest.genres), store)
    scored = pc.count_distinct(tables.read_table(store, "scores")["link_id"]).as_py()
    check_all_read(store, wanted=len(ok), read=scored)
    record_summary(
        store,
        "predict_genres",
        {
            "bundle": str(Store(bundle)),
            "sha256": model.sha256,
            "features": fingerprint,
            "links": sum(by_outcome.values()),
            "scored": scored,
            "not_scored": {name: n for name, n in by_outcome.items() if name != Outcome.OK},
            "genres": len(model.manifest.genres),
            "notes": notes,
            "seconds": round(time.monotonic() - started, 1),
        },
    )


def _count_links(ready: Collection[str], outcomes: pa.Table) -> dict[str, int]:
    """Count the list's ready links by outcome; those never tried are `deferred`.

    Args:
        ready: the distinct ready links.
        outcomes: theirs, one row a link.
    """
    counts = Counter(outcomes["outcome"].to_pylist())
    counts[Outcome.DEFERRED.value] += len(ready) - len(outcomes)
    return dict(+counts)


if __name__ == "__main__":
    app()

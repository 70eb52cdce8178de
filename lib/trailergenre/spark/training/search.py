"""Runs the trials of a hyper-parameter search side by side on the cluster: one trial, one task."""

from __future__ import annotations

from pyspark.sql import SparkSession

from trailergenre.base.config import TemporalConfig
from trailergenre.base.progress import OnStep
from trailergenre.metrics.format import format_spread
from trailergenre.models.search import (
    Parameters,
    SearchResult,
    SearchRows,
    choose_trial,
    describe_trial,
    draw_trials,
    score_trial,
)
from trailergenre.spark.session import spark_context
from trailergenre.spark.training.broadcasts import broadcast
from trailergenre.spark.training.fit_per_genre import run_parallel


def search_parameters(
    spark: SparkSession,
    rows: SearchRows,
    start: Parameters | TemporalConfig,
    *,
    trials: int,
    seed: int,
    on_step: OnStep,
) -> SearchResult:
    """Find the best of some random hyper-parameters and of `start`, the configuration's."""
    tried = draw_trials(start, trials=trials, seed=seed)
    context = spark_context(spark)
    shared = broadcast(context, rows)

    def run(number: int) -> list[float]:
        # A slot is one core: more threads would only compete.
        one_core = {"parallelism": 1} if hasattr(tried[number], "parallelism") else {}
        parameters = tried[number].model_copy(update=one_core)
        task = context.parallelize([parameters], 1)
        scores: list[float] = task.map(lambda trial: score_trial(shared.value, trial)).first()
        return scores

    scores: dict[int, list[float]] = {}
    try:
        # Spark runs as many at a time as there are slots.
        for number, of_trial in run_parallel(run, len(tried), len(tried)):
            scores[number] = of_trial
            trial = describe_trial(tried[number], of_trial)
            values = ", ".join(f"{name} {value:g}" for name, value in trial.parameters.items())
            label = f"{values}: mAP {format_spread(trial.mean_ap, trial.spread)}"
            on_step(len(scores), len(tried), label)
    finally:
        shared.destroy()
    return choose_trial(tried, [scores[number] for number in range(len(tried))], seed=seed)

"""Trials of a hyper-parameter search side by side on the cluster: one trial, one task.

The rows go to each worker once. What is tried and how it is scored stands in
`trailergenre.models.search`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed

from pyspark.sql import SparkSession

from trailergenre.base.config import TemporalConfig
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
from trailergenre.spark.session import slots

Report = Callable[[int, int, str], None]
"""Told the trials that are ready, all of them, and what the last one was."""


def search_parameters(
    spark: SparkSession,
    rows: SearchRows,
    start: Parameters | TemporalConfig,
    *,
    trials: int,
    seed: int,
    report: Report,
) -> SearchResult:
    """Find the best of some random hyper-parameters.

    Args:
        spark: the session.
        rows: the training part.
        start: the configuration's values, which are tried too.
        trials: how many are tried.
        seed: of what is drawn.
        report: progress; called from this thread.

    Raises:
        ConfigError: this kind of model has no range.
        ClusterError: a trial failed; by way of `session.worker_failures`.
    """
    tried = draw_trials(start, trials=trials, seed=seed)
    shared = spark.sparkContext.broadcast(rows)

    def run(place: int) -> list[float]:
        # A slot is one core: more threads would only wait for each other.
        one_core = {"parallelism": 1} if hasattr(tried[place], "parallelism") else {}
        parameters = tried[place].model_copy(update=one_core)
        task = spark.sparkContext.parallelize([parameters], 1)
        scores: list[float] = task.map(lambda trial: score_trial(shared.value, trial)).first()
        return scores

    scores: dict[int, list[float]] = {}
    executor = ThreadPoolExecutor(max_workers=slots(spark))
    try:
        place_of = {executor.submit(run, place): place for place in range(len(tried))}
        for future in as_completed(place_of):
            place = place_of[future]
            scores[place] = future.result()
            trial = describe_trial(tried[place], scores[place])
            values = ", ".join(f"{name} {value:g}" for name, value in trial.parameters.items())
            figure = format_spread(trial.mean_ap, trial.spread)
            report(len(scores), len(tried), f"{values}: mAP {figure}")
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        shared.destroy()
    return choose_trial(tried, [scores[place] for place in range(len(tried))], seed=seed)

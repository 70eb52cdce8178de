from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from searches import make_rows
from trailergenre.base.config import ForestConfig
from trailergenre.base.errors import ClusterError
from trailergenre.models.search import RANGES, Range, choose_trial, draw_trials, score_trial
from trailergenre.spark.session import worker_failures
from trailergenre.spark.training.search import search_parameters

pytestmark = pytest.mark.slow


def test_trials_on_the_cluster_are_those_on_one_machine(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: Range(2, 9, is_whole=True) for name in ("trees", "min_rows_per_leaf")}
    monkeypatch.setitem(RANGES, ForestConfig, few)
    rows, told = make_rows(), []
    start = ForestConfig(trees=2, min_rows_per_leaf=60)
    found = search_parameters(
        spark, rows, start, trials=3, seed=5, on_step=lambda *step: told.append(step)
    )
    tried = draw_trials(start, trials=3, seed=5)
    scores = [score_trial(rows, trial) for trial in tried]
    assert found == choose_trial(tried, scores, seed=5)
    assert found.parameters != start
    assert [(done, total) for done, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert all(": mAP ." in line and " ± " in line for *_, line in told)


def test_a_trial_that_fails_ends_the_search_with_its_reason(spark: SparkSession) -> None:
    rows = make_rows()
    rows.X[0, 0] = float("nan")
    start = ForestConfig(trees=2)
    with pytest.raises(ClusterError, match="not finite"), worker_failures():
        search_parameters(spark, rows, start, trials=1, seed=5, on_step=lambda *step: None)

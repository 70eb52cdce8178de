"""Jobs over Spark Connect, on a server of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from runs import GENRES, make_movies, make_run
from submits import environment
from trailergenre.base.storage import Store
from trailergenre.runs import tables

pytestmark = pytest.mark.slow

RUN_JOBS = """
import json, sys
from pyspark.sql import SparkSession
from typer.testing import CliRunner
from trailergenre.cli.commands import app
from trailergenre.cli.stages import train
from trailergenre.base.storage import Store
from trailergenre.spark.session import slots, spark_session
from trailergenre.spark.worker_checks import SCORING, check_packages, check_storage_is_shared

run, bundles, backbone = sys.argv[1:]
small = ['rows.statistics=["mean"]', "dataset.min_movies_per_genre=5", "forest.trees=2",
         "forest.max_depth=3"]
small = [word for setting in small for word in ("--set", setting)]
codes = {}

def invoke(name, command, *words):
    ended = CliRunner().invoke(app, [command, run, *words])
    codes[name] = (ended.exit_code, ended.output if ended.exit_code else "")

with spark_session("test", None) as spark:  # by SPARK_REMOTE; the jobs use it and leave it open
    train.names_cluster = lambda: True  # scikit-learn's trees are then grown in tasks
    for name, words in {
        "mllib": ("--trainer", "mllib"), "sklearn": ("--trainer", "sklearn"),
        "logistic": ("--model", "logistic"),
    }.items():
        invoke(f"train {name}", "train", "--bundle", f"{bundles}/{name}", *words, *small)
    invoke("evaluate", "evaluate", "--bundle", f"{bundles}/mllib")
    invoke("predict", "predict", "--bundle", f"{bundles}/sklearn")
    invoke("search", "train", "--bundle", f"{bundles}/none", "--search", "1", *small)
    invoke("featurize", "featurize", "--recompute", "--set", f"backbone.path={backbone}")
    # As on a cluster.
    codes["slots"] = slots(spark)
    check_packages(spark, SCORING, 2)
    check_storage_is_shared(spark, Store(run), 2)
print(json.dumps(codes))
"""


def test_what_needs_dataframes_alone_runs_and_the_rest_is_refused(
    tiny_backbone: Path, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "run"))
    make_run(store, make_movies(40, frames=2))
    options = "--master local[2] --conf spark.ui.enabled=false pyspark-shell"
    done = subprocess.run(
        [sys.executable, "-c", RUN_JOBS, tmp_path / "run", tmp_path / "bundles", tiny_backbone],
        # Any free port, as Spark's own tests.
        env=environment()
        | {"SPARK_REMOTE": "local[2]", "SPARK_TESTING": "1", "PYSPARK_SUBMIT_ARGS": options},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ended = json.loads(done.stdout.splitlines()[-1])
    for name in ("train mllib", "train sklearn", "train logistic", "evaluate", "predict"):
        assert ended[name] == [0, ""], ended[name][1]
    assert len(tables.read_table(store, "scores")) == 40 * len(GENRES)
    for name in ("search", "featurize"):
        code, message = ended[name]
        assert (code, "Spark Connect does not give" in message) == (2, True), message
    assert ended["slots"] == 2
    assert "Failed to set" not in done.stderr

"""Kills while pooled rows are written and while trees grow: what is run again ends as if whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundles import make_bundle
from jvms import EXECUTORS
from killed import MASTERS, Drivers, assert_was_hit, faults, submit_and_be_killed
from runs import SETTINGS, make_movies, make_run
from trailergenre.base.config import Config, DatasetConfig, ForestConfig
from trailergenre.base.fault_injection import Point, Victim
from trailergenre.base.storage import Store
from trailergenre.cli.stages.train import train
from trailergenre.runs import tables
from trailergenre.runs.verify.verify import verify_run

pytestmark = pytest.mark.slow

FP = SETTINGS.fingerprint
CLUSTER = MASTERS[Victim.EXECUTOR]
CONFIG = Config(
    dataset=DatasetConfig(min_movies_per_genre=5), forest=ForestConfig(trees=6, max_depth=4)
)
SMALL = (
    *("--set", "dataset.min_movies_per_genre=5", "--set", "forest.trees=6"),
    *("--set", "forest.max_depth=4"),
)


@pytest.fixture
def run(tmp_path: Path) -> Store:
    """Forty links in five features files."""
    store = Store(str(tmp_path / "run"))
    make_run(store, make_movies(40, frames=2))
    return store


def assert_whole(run: Store) -> None:
    """All invariants hold, and each features file has its pooled rows."""
    report = verify_run(run, FP)
    assert report.holds, report.lines()
    names = [
        sorted(file.path.rpartition("/")[2] for file in run.list_files(table))
        for table in ("pooled", "features")
    ]
    assert names[0] == names[1]


@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.DRIVER])
def test_a_kill_while_pooled_rows_are_written_loses_nothing(
    victim: Victim, run: Store, drivers: Drivers, temporary: Path, tmp_path: Path
) -> None:
    make_bundle(Store(str(tmp_path / "bundle")))
    words = [str(run), "--bundle", str(tmp_path / "bundle")]
    driver, fault = drivers.on(MASTERS[victim]), faults(victim, [Point.POOLED_WRITTEN])
    if victim is Victim.DRIVER:
        submit_and_be_killed("predict_genres", words, fault, temporary)
        assert run.list_files("pooled")
    assert driver.run("predict_genres", words, "" if victim is Victim.DRIVER else fault).code == 0
    assert_was_hit(victim, [Point.POOLED_WRITTEN], temporary)
    assert_whole(run)
    scores = tables.read_table(run, "scores")
    assert len(set(scores["link_id"].to_pylist())) == 40
    by_genre = scores.group_by("genre").aggregate([("probability", "min"), ("probability", "max")])
    # The bundle's forest gives all rows the same.
    assert by_genre["probability_min"] == by_genre["probability_max"]


@pytest.mark.parametrize(
    "victim", [Victim.WORKER, pytest.param(Victim.DRIVER, marks=pytest.mark.soak)]
)
def test_a_kill_while_trees_grow_gives_the_forest_of_one_machine(
    victim: Victim, run: Store, drivers: Drivers, temporary: Path, tmp_path: Path
) -> None:
    bundle = Store(str(tmp_path / "bundle"))
    words = [str(run), "--bundle", str(bundle), "--trainer", "sklearn", *SMALL]
    fault = faults(victim, [Point.TREE_GROWN])
    if victim is Victim.DRIVER:
        conf = [f"spark.master={CLUSTER}", EXECUTORS, "spark.authenticate.secret=tests"]
        submit_and_be_killed("train_model", words, fault, temporary, conf=conf)
        assert not bundle.exists("manifest.json")
    driver = drivers.on(CLUSTER)
    assert driver.run("train_model", words, "" if victim is Victim.DRIVER else fault).code == 0
    assert_was_hit(victim, [Point.TREE_GROWN], temporary)
    assert_whole(run)
    here = Store(str(tmp_path / "here"))
    train(run, here, CONFIG, trainer="sklearn")
    model = "forest.safetensors"
    assert bundle.read_bytes(model) == here.read_bytes(model)

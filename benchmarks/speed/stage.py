"""The stage as `jobs/featurize.py` runs it, in a session that stays: start-up is in no figure."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from speed.children import BENCHMARKS
from speed.inputs import Inputs, write_run
from speed.machine import CORES
from trailergenre import tables
from trailergenre.backbone import read_manifest
from trailergenre.config import BackboneConfig, Config, LinksConfig
from trailergenre.errors import ConfigError
from trailergenre.fingerprint import FeatureSettings
from trailergenre.outcomes import Outcome
from trailergenre.records import Link
from trailergenre.spark.featurize import TaskSettings, featurize_links
from trailergenre.storage import Store
from trailergenre.stream import feature_settings
from trailergenre.videos import VideoShelf

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))
from submits import load_job


@contextmanager
def local_session(slots: int = CORES) -> Iterator[SparkSession]:
    """A session on this machine with workers of its own; `__main__` sets the rest as jobs do."""
    builder = SparkSession.builder.master(f"local[{slots}]")
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    spark = builder.config("spark.eventLog.enabled", "false").getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


class Stage:
    """Nothing kept: lists of clips to features."""

    def __init__(self, spark: SparkSession, inputs: Inputs, backbone: Path) -> None:
        """Nothing runs yet."""
        self._spark = spark
        self._inputs = inputs
        self._backbone = backbone

    def warm(self) -> None:
        """Start every Python worker and load the network in each."""
        self.run(self._inputs.clips(2 * CORES, 1))

    def run(self, clips: Sequence[Path]) -> float:
        """Featurize clips where they lie; gives frames a second."""
        config = local_config(clips[0].parent, self._backbone)
        return self.run_urls([clip.as_uri() for clip in clips], config)

    def run_urls(self, urls: Sequence[str], config: Config, n_failed: int = 0) -> float:
        """Featurize links into a new run.

        Args:
            urls: canonical.
            config: of the run.
            n_failed: how many must fail.

        Returns:
            Frames a second.
        """
        store = Store(str(self._inputs.directory("run")))
        links = write_run(store, urls)
        features, settings = task_settings(config, store)
        started = time.monotonic()
        featurize_links(self._spark, links, settings)
        wall_s = time.monotonic() - started
        return count_frames(store, features.fingerprint, links, n_failed=n_failed) / wall_s


def local_config(root: Path, backbone: Path) -> Config:
    """Local files, one engine thread a task."""
    return Config(
        links=LinksConfig(allowed_roots=(str(root),)), backbone=BackboneConfig(path=str(backbone))
    )


def task_settings(config: Config, store: Store) -> tuple[FeatureSettings, TaskSettings]:
    """What the job sends to its tasks."""
    features = feature_settings(config, read_manifest(Path(config.backbone.path)))
    shelf = VideoShelf(store, features.videos_key, is_filled=False)
    settings: TaskSettings = load_job("featurize").task_settings(config, store, features, shelf)
    return features, settings


def count_frames(
    store: Store, fingerprint: str, links: Sequence[Link], *, n_failed: int = 0
) -> int:
    """Frames of a run; a benchmark of links that failed would be none."""
    outcomes = tables.read_outcomes(store, fingerprint).to_pylist()
    bad = [row["detail"] for row in outcomes if row["outcome"] != Outcome.OK]
    if len(outcomes) != len(links) or len(bad) != n_failed:
        raise ConfigError(
            f"{len(links)} links were to be brought to their ends, {n_failed} of them bad. "
            f"Received: {len(outcomes)}, bad: {bad}"
        )
    return sum(row["frames"] for row in outcomes)

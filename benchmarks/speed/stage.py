"""The stage as `jobs/featurize.py` runs it, in a session that stays: start-up is in no figure."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pyspark.sql import SparkSession

from speed.children import BENCHMARKS
from speed.inputs import Inputs, write_run
from speed.machine import CORES
from trailergenre.base.config import BackboneConfig, Config, LinksConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link
from trailergenre.base.storage import Store
from trailergenre.features.backbone import read_manifest
from trailergenre.features.settings import feature_settings, task_settings
from trailergenre.runs import outcomes_table
from trailergenre.runs.stage_time import StageTime
from trailergenre.spark.featurize import featurize_links

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))


@contextmanager
def open_session(master: str, **properties: str) -> Iterator[SparkSession]:
    """A session with Python workers of its own; what is not set here is as in conf/.

    Args:
        master: Spark's.
        properties: names take `_` for `.`.
    """
    builder = SparkSession.builder.master(master).config("spark.ui.showConsoleProgress", "false")
    builder = builder.config("spark.eventLog.enabled", "false")
    for name, value in properties.items():
        builder = builder.config(name.replace("_", "."), value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


def local_session(slots: int = CORES) -> AbstractContextManager[SparkSession]:
    """A session on this machine."""
    return open_session(f"local[{slots}]")


class Stage:
    """Lists of clips to features.

    Attributes:
        spent: where the time of the last run went, by stage and executor.
    """

    def __init__(
        self, spark: SparkSession, inputs: Inputs, backbone: Path, engine: str = "onnxruntime"
    ) -> None:
        """Nothing runs yet."""
        self._spark = spark
        self._inputs = inputs
        self._backbone = backbone
        self._engine = engine
        self.spent: list[dict[str, object]] = []

    def warm(self) -> None:
        """Start every Python worker and load the network in each.

        Spark ends workers that were idle for a minute: where others work between two runs, each
        run needs this before it.
        """
        self.run(self._inputs.clips(2 * CORES, 1))

    def run(self, clips: Sequence[Path]) -> float:
        """Featurize clips where they lie, nothing kept; gives frames a second."""
        config = local_config(clips[0].parent, self._backbone, self._engine)
        return self.run_urls([clip.as_uri() for clip in clips], config)

    def embed_kept(self, clips: Sequence[Path]) -> float:
        """Keep the frames of clips, then embed them; gives frames a second of the second stage."""
        config = local_config(clips[0].parent, self._backbone, self._engine)
        n_frames, times = self._run([clip.as_uri() for clip in clips], config, keep="frames")
        return n_frames / times[-1].wall_s

    def run_urls(self, urls: Sequence[str], config: Config, *, n_failed: int = 0) -> float:
        """Featurize links, nothing kept.

        Args:
            urls: canonical.
            config: of the run.
            n_failed: how many must fail.

        Returns:
            Frames a second.
        """
        n_frames, times = self._run(urls, config, n_failed=n_failed)
        return n_frames / sum(stage.wall_s for stage in times)

    def _run(
        self,
        urls: Sequence[str],
        config: Config,
        *,
        keep: Literal["frames"] | None = None,
        n_failed: int = 0,
    ) -> tuple[int, list[StageTime]]:
        """Bring links to their ends in a new run; gives frames, and where the time went."""
        store = Store(str(self._inputs.directory("run")))
        links = write_run(store, urls)
        features = feature_settings(config, read_manifest(Path(config.backbone.path)))
        settings = task_settings(config, store, features, keep)
        times = featurize_links(self._spark, links, settings)
        self.spent = [asdict(one) for stage in times for one in stage.by_executor()]
        return count_frames(store, features.fingerprint, links, n_failed=n_failed), times


def local_config(root: Path, backbone: Path, engine: str = "onnxruntime") -> Config:
    """Local files, one engine thread a task."""
    return Config(
        links=LinksConfig(allowed_roots=(str(root),)),
        backbone=BackboneConfig(path=str(backbone), engine=engine),
    )


def count_frames(
    store: Store, fingerprint: str, links: Sequence[Link], *, n_failed: int = 0
) -> int:
    """Frames of a run; a benchmark of links that failed would be none."""
    outcomes = outcomes_table.read_outcomes(store, fingerprint).to_pylist()
    bad = [row["detail"] for row in outcomes if row["outcome"] != Outcome.OK]
    if len(outcomes) != len(links) or len(bad) != n_failed:
        raise ConfigError(
            f"{len(links)} links were to be brought to their ends, {n_failed} of them bad. "
            f"Received: {len(outcomes)}, bad: {bad}"
        )
    return sum(row["frames"] for row in outcomes)

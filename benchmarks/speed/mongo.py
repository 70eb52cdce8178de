"""B10: documents a second into MongoDB by the publish job's own code, over a bare loop."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from pyspark.sql import SparkSession

from speed.children import BENCHMARKS
from speed.findings import Finding, Findings, medians, ratios, take_turns
from speed.inputs import Inputs
from speed.stage import local_session
from trailergenre.base.config import MongoConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.mongo.collections import prepare_collections
from trailergenre.mongo.connection import Destination, read_destination
from trailergenre.mongo.published_links import PublishPlan, plan_publishing
from trailergenre.spark.publish import publish_documents

sys.path.insert(0, str(BENCHMARKS.parent / "tests"))
from runs import Movie, labelled, make_run

FRAMES_A_LINK = 125
LINKS_A_FILE = 32


def measure_mongo(
    inputs: Inputs, wanted: Collection[str], *, turns: int = 3, links_a_file: int = LINKS_A_FILE
) -> Findings:
    """Publish one file by one task and two by two; the bare loop does the same in turns.

    Args:
        inputs: where runs and the server's files lie.
        wanted: B10.
        turns: of each.
        links_a_file: of 125 frames each; a task publishes one file.
    """
    runs = {n: _make_run(inputs, n_files=n, links_a_file=links_a_file) for n in (1, 2)}
    with _server(inputs.directory("mongo")) as uri, local_session(2) as spark:
        # Spark's workers read it, and are older than a variable would be.
        file = inputs.directory("uri") / "uri"
        file.write_text(uri)
        publishing = _Publishing(spark, file)
        publishing.by_job(_make_run(inputs, n_files=2, links_a_file=1))  # starts the workers
        contenders = {
            f"{who} {n}": (lambda run=run, work=work: work(run))
            for n, run in runs.items()
            for who, work in (("bare", publishing.by_loop), ("job", publishing.by_job))
        }
        values = take_turns(contenders, turns)
    rates = {"documents_per_s": medians(values)}
    what = "documents/s into MongoDB over a bare bulk_write loop"
    return {
        "B10": Finding(f"{what}, one task", ratios(values, "job 1", "bare 1"), 0.9, 0.75,
                       figures=rates),
        "B10 two": Finding(f"{what}, two tasks over two loops",
                           ratios(values, "job 2", "bare 2"), 0.9, 0.75, figures=rates),
        "B10 growth": Finding("documents/s, two tasks over one", ratios(values, "job 2", "job 1"),
                              1.0, 1.0, figures=rates),
    }  # fmt: skip


def _make_run(inputs: Inputs, *, n_files: int, links_a_file: int) -> PublishPlan:
    rng = np.random.default_rng(7)
    movies = [
        Movie(
            labelled(f"movie-{number}", ["Drama"]),
            rng.standard_normal((FRAMES_A_LINK, INCEPTION_V3_WIDTH), np.float32),
        )
        for number in range(n_files * links_a_file)
    ]
    store = Store(str(inputs.directory("published")))
    return plan_publishing(store, make_run(store, movies, links_per_file=links_a_file))


@contextmanager
def _server(directory: Path) -> Iterator[str]:
    """SecantusDB in a process of its own: beside the clients' work, not in between."""
    command = [sys.executable, "-m", "speed.mongo_server", str(directory)]
    with subprocess.Popen(
        command, cwd=BENCHMARKS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None and server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


class _Publishing:
    """Both ways, each time into a new database with its indexes; they give documents a second."""

    def __init__(self, spark: SparkSession, uri_file: Path) -> None:
        self._spark, self._uri_file, self._n_databases = spark, uri_file, 0

    def _destination(self, plan: PublishPlan) -> Destination:
        self._n_databases += 1
        database = f"bench_{self._n_databases}"
        destination = read_destination(MongoConfig(database=database, uri_file=str(self._uri_file)))
        prepare_collections(destination, plan.settings)
        return destination

    def by_job(self, plan: PublishPlan) -> float:
        destination = self._destination(plan)
        started = time.monotonic()
        done = publish_documents(self._spark, plan, destination, on_step=lambda done, total: None)
        seconds = time.monotonic() - started
        if done.frames.upserted != plan.n_frames:
            raise ConfigError(f"{plan.n_frames} documents were to be new. Received: {done}")
        return done.frames.documents / seconds

    def by_loop(self, plan: PublishPlan) -> float:
        config = self._destination(plan).config
        files = sorted(set(plan.links["features_file"].to_pylist()))
        fixed = (self._uri_file.read_text(), config.database, str(config.batch_size))
        loops = [
            subprocess.Popen(
                [sys.executable, "-m", "speed.mongo_loop", plan.store.address, plan.fingerprint,
                 file, *fixed],
                cwd=BENCHMARKS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=os.environ,
            )
            for file in files
        ]  # fmt: skip
        for loop in loops:
            assert loop.stdout is not None
            loop.stdout.readline()
        outputs = []
        for loop in loops:
            assert loop.stdin is not None
            loop.stdin.write("\n")
            loop.stdin.flush()
        for loop in loops:
            outputs.append(json.loads(loop.communicate()[0]))
        return sum(told["documents"] for told in outputs) / max(t["seconds"] for t in outputs)

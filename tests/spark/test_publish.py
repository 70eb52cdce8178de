"""Publishing on Spark: what travels to tasks, and the job as a user runs it."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from socket import gethostname

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner, Result

from killed import Driver
from mongos import (
    PASSWORD,
    content_hash,
    destination_at,
    in_file,
    publish,
    serve_guarded,
    stored,
    tls_alone,
)
from runs import (
    SETTINGS,
    Movie,
    labelled,
    link_id,
    links_table,
    make_features_table,
    make_movies,
    make_run,
    write_labels,
)
from submits import arguments, load_job, submit
from trailergenre.base.errors import ClusterError
from trailergenre.base.records import INCEPTION_V3_WIDTH
from trailergenre.base.storage import Store
from trailergenre.cli.stages import publish as stage
from trailergenre.mongo.bulk_writes import WriteCounts
from trailergenre.mongo.collections import prepare_collections
from trailergenre.mongo.connection import Destination
from trailergenre.mongo.published_links import plan_publishing
from trailergenre.mongo.publishing import PublishResult
from trailergenre.runs import tables
from trailergenre.spark.publish import publish_documents
from trailergenre.spark.session import worker_failures

MOVIES = [
    Movie(
        labelled("up", ["Drama", "War"]),
        np.arange(3 * INCEPTION_V3_WIDTH, dtype="f4").reshape(3, -1),
    ),
    Movie(labelled("heat", []), np.ones((2, INCEPTION_V3_WIDTH), "f4")),
]
FP = SETTINGS.fingerprint


def no_progress(done: int, total: int, label: str = "") -> None:
    """Shows nothing."""


def make_publishable(directory: Path) -> Store:
    """Two links, five frames; the first has genres, the other a title alone."""
    store = Store(str(directory))
    make_run(store, MOVIES, links_per_file=1)
    write_labels(store, [MOVIES[0].link])
    # No outcomes row names this one: it must not be published.
    stray = tables.to_parquet(make_features_table({link_id("stray"): MOVIES[1].features}))
    store.write_content_addressed(f"features/{FP}", stray, ".parquet")
    return store


def test_tasks_write_what_the_links_are_and_count_it(
    spark: SparkSession, mongo_uri: str, tmp_path: Path
) -> None:
    store = make_publishable(tmp_path)
    plan = plan_publishing(store, FP)
    destination = in_file(destination_at(mongo_uri, batch_size=2), tmp_path)
    prepare_collections(destination, plan.settings)
    counts = [publish_documents(spark, plan, destination, no_progress) for _ in range(2)]
    assert counts == [
        PublishResult(WriteCounts(5, upserted=5), WriteCounts(2, upserted=2)),
        PublishResult(WriteCounts(5, matched=5), WriteCounts(2, matched=2)),
    ]
    alone = destination_at(mongo_uri)
    publish(alone, store, FP)
    assert content_hash(destination) == content_hash(alone)
    settings = [*spark.sparkContext.getConf().getAll(), *spark.conf.getAll.items()]
    assert not [name for name, value in settings if "mongodb://" in value]


def test_no_connection_string_is_sent_to_the_workers(
    spark: SparkSession, mongo_uri: str, tmp_path: Path, sent: list[bytes]
) -> None:
    destination = in_file(destination_at(f"{mongo_uri}?appname=canary-9f2"), tmp_path)
    plan = plan_publishing(make_publishable(tmp_path), FP)
    prepare_collections(destination, plan.settings)
    publish_documents(spark, plan, destination, no_progress)
    assert any(destination.config.database.encode() in each for each in sent)
    assert not [each for each in sent if b"canary-9f2" in each]


def test_a_worker_without_a_connection_string_is_named_with_what_it_lacks(
    spark: SparkSession, mongo_uri: str, tmp_path: Path
) -> None:
    destination = destination_at(mongo_uri, uri_variable="SET_ON_THE_DRIVER_ALONE")
    lacking = rf"Worker {gethostname()}: .* SET_ON_THE_DRIVER_ALONE holds no MongoDB connection"
    with pytest.raises(ClusterError, match=lacking) as caught, worker_failures():
        publish_documents(
            spark, plan_publishing(make_publishable(tmp_path), FP), destination, no_progress
        )
    assert "docs/cluster.md" in str(caught.value)


def test_a_worker_whose_connection_string_leads_elsewhere_publishes_nothing(
    spark: SparkSession, mongo_uri: str, tmp_path: Path
) -> None:
    destination = in_file(destination_at(mongo_uri), tmp_path)
    elsewhere = in_file(destination_at("mongodb://u:canary-9f2@127.0.0.1:1"), tmp_path)
    workers = replace(destination, config=elsewhere.config)
    different = r"leads to 127\.0\.0\.1:1, the driver's to 127\.0\.0\.1:\d+\."
    with pytest.raises(ClusterError, match=different) as caught, worker_failures():
        publish_documents(
            spark, plan_publishing(make_publishable(tmp_path), FP), workers, no_progress
        )
    assert "canary-9f2" not in str(caught.value)
    assert stored(destination) == []


def with_huge_titles(store: Store) -> pa.Table:
    links = tables.read_table(store, "links")
    place = links.column_names.index("title")
    return links.set_column(place, "title", [["x" * 17_000_000] * len(links)])


def test_a_run_without_features_is_no_task(spark: SparkSession, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_run(store, [Movie(MOVIES[0].link, None)])
    destination = destination_at("mongodb://127.0.0.1:1")
    nothing = publish_documents(spark, plan_publishing(store, FP), destination, no_progress)
    assert nothing == PublishResult()


def test_a_server_lost_after_the_start_is_a_run_error_without_the_password(
    spark: SparkSession, tmp_path: Path
) -> None:
    refused = pytest.raises(ClusterError, match=r"127\.0\.0\.1:1 was not reached")
    destination = destination_at("mongodb://user:canary-9f2@127.0.0.1:1", timeout_s=0.2)
    destination = in_file(destination, tmp_path)
    with refused as caught, worker_failures():
        publish_documents(
            spark,
            plan_publishing(make_publishable(tmp_path), FP),
            destination,
            no_progress,
        )
    assert "canary-9f2" not in str(caught.value)


@pytest.mark.slow
def test_the_job_publishes_twice_and_keeps_the_password_to_itself(
    driver: Driver, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_publishable(tmp_path)
    theirs = tmp_path_factory.mktemp("server")
    with serve_guarded(theirs / "db", **tls_alone(theirs)) as server:
        tls = f"tls=true&tlsCAFile={theirs}/authority.pem"
        uri = f"{server.uri}&{tls}".replace("://", f"://writer:{PASSWORD}@")
        destination = destination_at(uri, "ours")
        words, env = arguments(tmp_path, "mongo.database=ours"), {"TRAILERGENRE_MONGO_URI": uri}
        file = in_file(destination, theirs).config.uri_file
        # The first time as a user does, with Spark's own log of events as plain text.
        log = ["spark.eventLog.compress=false", f"spark.eventLog.dir={tmp_path.as_uri()}"]
        summaries, hashes = [], []
        for run in (
            functools.partial(submit, "publish_features", *words, conf=log, env=env),
            functools.partial(
                driver.run, "publish_features", [*words, "--set", f"mongo.uri_file={file}"]
            ),
        ):
            ended = run()
            summaries.append(ended.summary)
            hashes.append(content_hash(destination))
            assert PASSWORD not in ended.output
        env = {"TRAILERGENRE_MONGO_URI": uri.replace(PASSWORD, "wrong-4c1")}
        refused = driver.run("publish_features", words, env=env)
    assert refused.code == 2
    assert "refuses the user or the password" in refused.output
    assert "wrong-4c1" not in refused.output
    names = ("rows", "documents", "matched", "modified", "upserted", "deleted", "refused")
    figures = [tuple(summary[name] for name in names) for summary in summaries]
    assert figures == [(5, 5, 0, 0, 5, 0, 0), (5, 5, 5, 0, 0, 0, 0)]
    assert [summary["trailers"]["documents"] for summary in summaries] == [2, 2]
    assert hashes[0] == hashes[1]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    # The event log is among them, and can be read.
    assert any(b"SparkListenerTaskEnd" in path.read_bytes() for path in kept)
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]


def run_here(
    monkeypatch: pytest.MonkeyPatch, spark: SparkSession, run: Path, destination: Destination
) -> Result:
    """Run the job in this process and session."""
    job = load_job("publish_features")
    monkeypatch.setattr(stage, "spark_session", lambda *_: nullcontext(spark))
    config = in_file(destination, run).config
    settings = (f"mongo.database={config.database}", f"mongo.uri_file={config.uri_file}")
    return CliRunner().invoke(job.app, arguments(run, *settings))


def test_the_job_ends_with_4_where_documents_were_refused(
    spark: SparkSession, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_publishable(tmp_path)
    tables.write_table(store, "links", with_huge_titles(store))
    ended = run_here(monkeypatch, spark, tmp_path, destination_at(mongo_uri))
    assert ended.exit_code == 4, ended.output
    assert json.loads(ended.stdout)["refused"] == 5
    assert f"refused: {MOVIES[0].link.link_id}:0: too large: 17" in ended.stderr
    assert "7 documents were refused; all others are there." in ended.stderr


def test_the_job_names_the_first_refused_documents_and_counts_the_others(
    capsys: pytest.CaptureFixture[str],
) -> None:
    done = PublishResult(WriteCounts(refused=5, reasons=("a: b",) * 3), WriteCounts(refused=2))
    assert stage._report_refused(done) == 4
    assert capsys.readouterr().err.splitlines() == [
        *["refused: a: b"] * 3,
        "and 4 more",
        "7 documents were refused; all others are there.",
    ]


def test_the_job_withdraws_what_a_run_has_no_features_of_any_more(
    spark: SparkSession, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = destination_at(mongo_uri)
    store = make_publishable(tmp_path)
    publish(destination, store, FP)
    # Another list: none of its links is taken yet.
    tables.write_table(store, "links", links_table([labelled("new", [])]))
    ended = run_here(monkeypatch, spark, tmp_path, destination)
    assert ended.exit_code == 0, ended.output
    summary = json.loads(ended.stdout)
    assert (summary["documents"], summary["deleted"]) == (0, 5)
    assert summary["trailers"]["deleted"] == 2
    assert stored(destination) == stored(destination, "frames_trailers") == []


def run_before_spark(
    monkeypatch: pytest.MonkeyPatch, run: Path, *options: str, uri: str
) -> tuple[int, str]:
    """Run the job in this process as far as to Spark, which it must not start."""
    job = load_job("publish_features")
    monkeypatch.delattr(stage, "spark_session")
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", uri)
    ended = CliRunner().invoke(job.app, [str(run), *options])
    return ended.exit_code, ended.output


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "TRAILERGENRE_MONGO_URI holds no MongoDB connection string"),
        ("mongodb://u:canary-9f2@127.0.0.1:1", "127.0.0.1:1 was not reached within 0.2 s"),
        ("mongodb://u:canary-9f2@db.example.org", "tls=true"),
    ],
)
def test_the_job_refuses_to_start_without_a_usable_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, message: str
) -> None:
    make_publishable(tmp_path)
    options = ("--set", "mongo.timeout_s=0.2")
    code, said = run_before_spark(monkeypatch, tmp_path, *options, uri=uri)
    assert code == 2
    assert message in said
    assert "canary-9f2" not in said


def test_the_job_refuses_to_mix_features_and_names_a_new_collection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mongo_uri: str
) -> None:
    destination = destination_at(mongo_uri)
    dense = Store(str(tmp_path / "dense"))
    fingerprint = make_run(dense, MOVIES, settings=replace(SETTINGS, frames_per_s=2.0))
    publish(destination, dense, fingerprint)
    before = content_hash(destination)
    make_publishable(tmp_path / "sparse")
    database = ("--set", f"mongo.database={destination.config.database}")
    run = tmp_path / "sparse"
    code, said = run_before_spark(monkeypatch, run, *database, uri=mongo_uri)
    assert code == 2
    assert f"--set mongo.collection=frames_{FP[:8]}" in said
    assert content_hash(destination) == before


@pytest.mark.parametrize("failed", [[], [Movie(labelled("failed", []), None)]])
def test_the_job_refuses_a_run_without_features_and_claims_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mongo_uri: str, failed: list[Movie]
) -> None:
    destination = destination_at(mongo_uri)
    store = Store(str(tmp_path))
    make_run(store, failed)
    tables.write_table(store, "links", links_table([labelled("new", [])]))
    database = ("--set", f"mongo.database={destination.config.database}")
    code, said = run_before_spark(monkeypatch, tmp_path, *database, uri=mongo_uri)
    assert code == 2
    assert f"has features {FP} yet. Run `trailergenre featurize` first" in said
    assert stored(destination, "frames_meta") == []


READ_BACK = """
import sys
from pyspark.sql import SparkSession
from trailergenre.spark.mongo_vectors import unpack_features
uri, database, jars, events, out = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[1]").config("spark.jars", jars)
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false").config("spark.redaction.regex", "(?i)uri")
    .config("spark.eventLog.enabled", "true").config("spark.eventLog.compress", "false")
    .config("spark.eventLog.dir", events).getOrCreate()
)
documents = (
    spark.read.format("mongodb").option("connection.uri", uri)
    .option("database", database).option("collection", "frames").load()
)
columns = ["link_id", "frame_index", "frame_time_s", "features", "commit"]
unpack_features(documents).select(columns).write.parquet(out)
spark.stop()
"""


@pytest.mark.slow
def test_the_official_connector_reads_back_a_dataframe_equal_to_the_parquet_table(
    spark: SparkSession, repository: Path, mongo_uri: str, tmp_path: Path
) -> None:
    from pyspark.testing import assertDataFrameEqual

    jars = sorted((repository / ".cache" / "jars").glob("*.jar"))
    if not jars:
        pytest.skip("no MongoDB connector in .cache/jars; run make setup")
    store = Store(str(tmp_path / "run"))
    make_run(store, make_movies(5, frames=3), links_per_file=3)
    destination = destination_at(f"{mongo_uri}?appname=canary-9f2")
    publish(destination, store, FP)
    out, events = tmp_path / "out", tmp_path / "events"
    events.mkdir()
    words = [
        destination.address.uri,
        destination.config.database,
        ",".join(str(jar) for jar in jars),
    ]
    ended = subprocess.run(
        [sys.executable, "-c", READ_BACK, *words, events.as_uri(), str(out)],
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    # Every features file of this run is named, so Spark may read them all.
    expected = spark.read.parquet(store.local_path(f"features/{FP}").as_uri())
    received = spark.read.parquet(out.as_uri())
    assert received.count() == 15
    assertDataFrameEqual(received, expected, rtol=0, atol=0)
    logged = [path for path in events.rglob("*") if path.is_file()]
    assert logged
    assert not [path for path in logged if b"canary-9f2" in path.read_bytes()]

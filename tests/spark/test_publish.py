from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from pymongo import MongoClient
from pyspark.sql import SparkSession

from runs import SETTINGS, Movie, features_table, labelled, link_id, make_run, write_labels
from submits import Ended, submit
from trailergenre import tables
from trailergenre.config import MongoConfig
from trailergenre.documents import Document, PublishCounts, parse_address
from trailergenre.errors import ClusterError, ConfigError
from trailergenre.records import N_FEATURES
from trailergenre.spark.publish import read_publishable, write_frames
from trailergenre.spark.session import worker_failures
from trailergenre.storage import Store

MOVIES = [
    Movie(labelled("up", ["Drama", "War"]), np.arange(3 * N_FEATURES, dtype="f4").reshape(3, -1)),
    Movie(labelled("heat", []), np.ones((2, N_FEATURES), "f4")),
]
FP = SETTINGS.fingerprint


def make_publishable(directory: Path) -> Store:
    """Two links, five frames; the first has genres, the other a title alone."""
    store = Store(str(directory))
    make_run(store, MOVIES, links_per_file=1)
    write_labels(store, [MOVIES[0].link])
    # No outcomes row names this one: it must not be published.
    stray = tables.to_parquet(features_table({link_id("stray"): MOVIES[1].features}))
    store.write_content_addressed(f"features/{FP}", stray, ".parquet")
    return store


def stored_documents(uri: str, database: str) -> list[Document]:
    with MongoClient[Document](uri) as client:
        return list(client[database]["frames"].find().sort("_id"))


def content_hash(documents: Sequence[Document]) -> str:
    digest = hashlib.sha256()
    for document in documents:
        digest.update(repr(sorted(document.items())).encode())
    return digest.hexdigest()


def test_publishing_twice_gives_the_same_documents(
    spark: SparkSession, mongo_uri: str, tmp_path: Path
) -> None:
    store = make_publishable(tmp_path)
    counts, hashes, reported = [], [], []
    for _ in range(2):
        counts.append(
            write_frames(
                spark,
                read_publishable(store, FP),
                parse_address(mongo_uri),
                MongoConfig(database="spark_twice", batch_size=2),
                report=reported.append,
            )
        )
        hashes.append(content_hash(stored_documents(mongo_uri, "spark_twice")))
    assert counts == [PublishCounts(5, 0, 5), PublishCounts(5, 5, 0)]
    assert hashes[0] == hashes[1]
    assert read_publishable(store, FP).n_frames == 5


def test_documents_carry_the_links_title_and_genres_and_the_tables_features(
    spark: SparkSession, mongo_uri: str, tmp_path: Path
) -> None:
    store = make_publishable(tmp_path)
    write_frames(
        spark,
        read_publishable(store, FP),
        parse_address(mongo_uri),
        MongoConfig(database="spark_content"),
        report=lambda done: None,
    )
    documents = stored_documents(mongo_uri, "spark_content")
    expected = {
        f"{movie.link.link_id}:{number}": (title, genres, features.tobytes())
        for movie, title, genres in zip(
            MOVIES, ["Title of tt-up", "Title of tt-heat"], [["Drama", "War"], []], strict=True
        )
        for number, features in enumerate(movie.features)
    }
    received = {
        d["_id"]: (d["title"], d["genres"], bytes(d["features"])[2:])  # type: ignore[call-overload]
        for d in documents
    }
    assert received == expected
    assert {d["fingerprint"] for d in documents} == {FP}


def test_a_run_without_any_feature_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    make_run(store, [Movie(MOVIES[0].link, None)])
    with pytest.raises(ConfigError, match=r"No link of .* has features .* jobs/featurize.py first"):
        read_publishable(store, FP)


def test_a_server_lost_after_the_start_is_a_run_error_without_the_password(
    spark: SparkSession, tmp_path: Path
) -> None:
    refused = pytest.raises(ClusterError, match=r"127\.0\.0\.1:1 was not reached")
    with refused as caught, worker_failures():
        write_frames(
            spark,
            read_publishable(make_publishable(tmp_path), FP),
            parse_address("mongodb://user:canary-9f2@127.0.0.1:1"),
            MongoConfig(timeout_s=0.2),
            report=lambda done: None,
        )
    assert "canary-9f2" not in str(caught.value)


def submit_publish(run: Path, *options: str, uri: str) -> Ended:
    """Run the job as a user does, with Spark's own log of events."""
    spark = [f"spark.eventLog.dir={run.as_uri()}", "spark.eventLog.enabled=true"]
    return submit(
        "publish_features",
        *(str(run), *options),
        conf=spark,
        env={"TRAILERGENRE_MONGO_URI": uri},
    )


@pytest.mark.slow
def test_the_job_publishes_twice_and_keeps_the_password_to_itself(
    mongo_uri: str, tmp_path: Path
) -> None:
    make_publishable(tmp_path)
    # Credentials in the string that this server does not ask for would be refused by it, so the
    # canary stands in an option that the driver passes on without using it.
    uri = f"{mongo_uri}?appname=canary-9f2"
    summaries = []
    for _ in range(2):
        ended = submit_publish(tmp_path, "--set", "mongo.database=job", uri=uri)
        summaries.append(ended.summary)
        assert "canary-9f2" not in ended.output
        assert "published 5 of 5 rows" in ended.output
    figures = [(s["rows"], s["documents"], s["matched"], s["upserted"]) for s in summaries]
    assert figures == [(5, 5, 0, 5), (5, 5, 5, 0)]
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any("app" in path.name or "events" in path.name for path in kept)
    assert not [path for path in kept if b"canary-9f2" in path.read_bytes()]
    assert len(stored_documents(mongo_uri, "job")) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("", "TRAILERGENRE_MONGO_URI holds no MongoDB connection string"),
        ("mongodb://u:canary-9f2@127.0.0.1:1", "127.0.0.1:1 was not reached within 0.2 s"),
        ("mongodb://u:canary-9f2@db.example.org", "tls=true"),
    ],
)
def test_the_job_refuses_to_start_without_a_usable_server(
    tmp_path: Path, uri: str, message: str
) -> None:
    make_publishable(tmp_path)
    ended = submit_publish(tmp_path, "--set", "mongo.timeout_s=0.2", uri=uri)
    assert ended.code == 2
    assert message in ended.output
    assert "canary-9f2" not in ended.output


READ_BACK = """
import json, sys
from pyspark.sql import SparkSession
uri, jars = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[1]").config("spark.jars", jars)
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false").getOrCreate()
)
rows = (
    spark.read.format("mongodb").option("connection.uri", uri)
    .option("database", "connector").option("collection", "frames").load()
)
print(json.dumps({r["_id"]: [r["title"], r["genres"], r["features"][2:].hex()]
                  for r in rows.collect()}))
spark.stop()
"""


@pytest.mark.slow
def test_the_official_connector_reads_back_what_was_published(
    spark: SparkSession, repository: Path, mongo_uri: str, tmp_path: Path
) -> None:
    jars = sorted((repository / ".cache" / "jars").glob("*.jar"))
    if not jars:
        pytest.skip("no MongoDB connector in .cache/jars; run make setup")
    store = make_publishable(tmp_path)
    write_frames(
        spark,
        read_publishable(store, FP),
        parse_address(mongo_uri),
        MongoConfig(database="connector"),
        report=lambda done: None,
    )
    ended = subprocess.run(
        [sys.executable, "-c", READ_BACK, mongo_uri, ",".join(str(jar) for jar in jars)],
        env={**os.environ, "PYSPARK_PYTHON": sys.executable},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    received = json.loads(ended.stdout.splitlines()[-1])
    expected = {}
    for document in stored_documents(mongo_uri, "connector"):
        features = bytes(document["features"])[2:].hex()  # type: ignore[call-overload]
        expected[document["_id"]] = [document["title"], document["genres"], features]
    assert len(received) == 5
    assert received == expected

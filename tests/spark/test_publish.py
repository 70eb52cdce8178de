from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pymongo import MongoClient
from pyspark.sql import SparkSession

from trailergenre import schemas, tables
from trailergenre.config import MongoConfig
from trailergenre.documents import Document, PublishCounts, parse_address
from trailergenre.errors import StorageError
from trailergenre.fingerprint import FeatureSettings, write_settings
from trailergenre.records import N_FEATURES
from trailergenre.spark.publish import count_frames, read_publishable, write_frames
from trailergenre.storage import Store

SETTINGS = FeatureSettings("small", 1.0, 299, 7, "0" * 64, "fp32")
FP = SETTINGS.fingerprint
LABELLED, UNLABELLED = "aa" * 32, "bb" * 32
FRAMES = {LABELLED: 3, UNLABELLED: 2}


def make_run(directory: Path) -> Store:
    """Two links, five frames; one link has a title and genres, the other a title alone."""
    store = Store(str(directory))
    write_settings(store, SETTINGS)
    for link_id, n_frames in FRAMES.items():
        rows = feature_rows(link_id, n_frames)
        name = store.write_content_addressed(f"features/{FP}", tables.to_parquet(rows), ".parquet")
        outcome = outcome_row(link_id, n_frames=n_frames, features_file=name)
        store.write_content_addressed(f"outcomes/{FP}", tables.to_parquet(outcome), ".parquet")
    # No outcomes row names this one: it must not be published.
    stray = tables.to_parquet(feature_rows("cc" * 32, 4))
    store.write_content_addressed(f"features/{FP}", stray, ".parquet")
    links = [link_row(LABELLED, "Up", ["Drama", "War"]), link_row(UNLABELLED, "Heat", [])]
    tables.write_table(store, "links", pa.Table.from_pylist(links, schemas.LINKS))
    label = {
        "link_id": LABELLED, "movie_id": "tt1", "title": "Up", "genres": ["Drama", "War"]
    }  # fmt: skip
    tables.write_table(store, "labels", pa.Table.from_pylist([label], schemas.LABELS))
    return store


def feature_rows(link_id: str, n_frames: int) -> pa.Table:
    values = np.random.default_rng(int(link_id[:2], 16)).random(
        (n_frames, N_FEATURES), dtype=np.float32
    )
    return pa.Table.from_pydict(
        {
            "link_id": [link_id] * n_frames,
            "frame_index": range(n_frames),
            "frame_time_s": [float(i) for i in range(n_frames)],
            "features": list(values),
            "commit": ["commit"] * n_frames,
        },
        schemas.FEATURES,
    )


def outcome_row(link_id: str, *, n_frames: int, features_file: str) -> pa.Table:
    row = {
        "link_id": link_id, "outcome": "ok", "detail": "", "attempts": 1, "download_s": 0.1,
        "decode_s": 0.1, "embed_s": 0.1, "frames": n_frames, "engine": "onnxruntime",
        "device": "cpu", "versions": "{}", "commit": "commit", "features_file": features_file,
        "finished_at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return pa.Table.from_pylist([row], schemas.OUTCOMES)


def link_row(link_id: str, title: str, genres: Sequence[str]) -> dict[str, object]:
    return {
        "row_id": link_id, "link_id": link_id, "url": "https://example.org/v", "title": title,
        "genres": genres, "row_outcome": "ready", "detail": "",
    }  # fmt: skip


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
    store = make_run(tmp_path)
    counts, hashes, reported = [], [], []
    for _ in range(2):
        counts.append(
            write_frames(
                read_publishable(spark, store, FP),
                parse_address(mongo_uri),
                MongoConfig(database="spark_twice", batch_size=2),
                fingerprint=FP,
                report=reported.append,
            )
        )
        hashes.append(content_hash(stored_documents(mongo_uri, "spark_twice")))
    assert counts == [PublishCounts(5, 0, 5), PublishCounts(5, 5, 0)]
    assert hashes[0] == hashes[1]
    assert count_frames(store, FP) == 5


def test_documents_carry_the_links_title_and_genres_and_the_tables_features(
    spark: SparkSession, mongo_uri: str, tmp_path: Path
) -> None:
    store = make_run(tmp_path)
    write_frames(
        read_publishable(spark, store, FP),
        parse_address(mongo_uri),
        MongoConfig(database="spark_content"),
        fingerprint=FP,
        report=lambda done: None,
    )
    documents = stored_documents(mongo_uri, "spark_content")
    assert [d["_id"] for d in documents] == [
        f"{link_id}:{i}" for link_id in FRAMES for i in range(FRAMES[link_id])
    ]
    about = {d["link_id"]: (d["title"], d["genres"], d["fingerprint"]) for d in documents}
    assert about == {LABELLED: ("Up", ["Drama", "War"], FP), UNLABELLED: ("Heat", [], FP)}
    expected = np.concatenate(
        [np.stack(feature_rows(x, n)["features"].to_numpy()) for x, n in FRAMES.items()]
    )
    received = [np.frombuffer(bytes(d["features"])[2:], "<f4") for d in documents]  # type: ignore[call-overload]
    np.testing.assert_array_equal(np.stack(received), expected)


def test_a_server_lost_after_the_start_is_a_run_error_without_the_password(
    spark: SparkSession, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=r"127\.0\.0\.1:1 was not reached") as caught:
        write_frames(
            read_publishable(spark, make_run(tmp_path), FP),
            parse_address("mongodb://user:canary-9f2@127.0.0.1:1"),
            MongoConfig(timeout_s=0.2),
            fingerprint=FP,
            report=lambda done: None,
        )
    assert "canary-9f2" not in str(caught.value)


def submit_publish(
    repository: Path, run: Path, *options: str, uri: str | None
) -> subprocess.CompletedProcess[str]:
    """Run the job as a user does; spark-submit passes on its stderr as stdout."""
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    environment.pop("TRAILERGENRE_MONGO_URI", None)
    if uri is not None:
        environment["TRAILERGENRE_MONGO_URI"] = uri
    command = [
        str(Path(sys.executable).parent / "spark-submit"),
        "--properties-file", "conf/spark-local.conf",
        "--conf", f"spark.eventLog.dir={run.as_uri()}", "--conf", "spark.eventLog.enabled=true",
        "jobs/publish_features.py", str(run), *options,
    ]  # fmt: skip
    return subprocess.run(
        command, cwd=repository, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_the_job_publishes_twice_and_keeps_the_password_to_itself(
    repository: Path, mongo_uri: str, tmp_path: Path
) -> None:
    make_run(tmp_path)
    # Credentials in the string that this server does not ask for would be refused by it, so the
    # canary stands in an option that the driver passes on without using it.
    uri = f"{mongo_uri}?appname=canary-9f2"
    summaries = []
    for _ in range(2):
        ended = submit_publish(repository, tmp_path, "--set", "mongo.database=job", uri=uri)
        assert ended.returncode == 0, ended.stdout
        summaries.append(json.loads(ended.stdout.splitlines()[-1]))
        assert "canary-9f2" not in ended.stdout + ended.stderr
        assert "published 5 of 5 rows" in ended.stdout
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
        (None, "TRAILERGENRE_MONGO_URI holds no MongoDB connection string"),
        ("mongodb://u:canary-9f2@127.0.0.1:1", "127.0.0.1:1 was not reached within 0.2 s"),
        ("mongodb://u:canary-9f2@db.example.org", "tls=true"),
    ],
)
def test_the_job_refuses_to_start_without_a_usable_server(
    repository: Path, tmp_path: Path, uri: str | None, message: str
) -> None:
    make_run(tmp_path)
    ended = submit_publish(repository, tmp_path, "--set", "mongo.timeout_s=0.2", uri=uri)
    assert ended.returncode == 2
    assert message in ended.stdout
    assert "canary-9f2" not in ended.stdout + ended.stderr


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
    store = make_run(tmp_path)
    write_frames(
        read_publishable(spark, store, FP),
        parse_address(mongo_uri),
        MongoConfig(database="connector"),
        fingerprint=FP,
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
    for row in read_publishable(spark, store, FP).collect():
        features = np.array(row["features"], "<f4").tobytes().hex()
        key = f"{row['link_id']}:{row['frame_index']}"
        expected[key] = [row["title"], row["genres"], features]
    assert len(received) == 5
    assert received == expected

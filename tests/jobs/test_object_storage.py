"""A run on S3 with nothing shared: list, network, features, bundle and scores have addresses."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buckets import Bucket, serve_bucket
from clips import make_clip
from killed import Driver
from runs import GENRES, make_movies, make_run
from servers.files import serve
from submits import environment
from trailergenre.base.storage import Store
from trailergenre.models.bundle import read_bundle
from trailergenre.runs import tables
from trailergenre.runs.verify.verify import verify_run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with serve_bucket() as served:
        yield served


@pytest.fixture(scope="module")
def driver(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """In the environment of the bucket, with a home and a working directory of its own."""
    started = Driver("local[2,4]", tmp_path_factory.mktemp("driver"))
    yield started
    started.close()


def upload(directory: Path, store: Store) -> None:
    for path in directory.iterdir():
        store.upload(path, path.name)


def run_job(driver: Driver, job: str, *words: str) -> dict[str, Any]:
    return driver.run(job, words).summary


def test_a_list_becomes_features_and_a_model_becomes_scores(
    bucket: Bucket,
    driver: Driver,
    tiny_backbone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    make_clip(clips / "0.mp4", "gradients=s=128x128:r=4:d=2", "-preset", "ultrafast")
    upload(tiny_backbone, bucket.store("backbone"))
    run, trained = "s3://bucket/run", "s3://bucket/trained"
    with serve(clips) as server:
        listed = f"url,genres\nhttp://{server.address}/0.mp4,Drama\n"
        bucket.store("in").write_bytes("links.csv", listed.encode())
        allow = ("--set", f'network.allow=["{server.address}"]')
        prepared = run_job(
            driver, "prepare_dataset", run, "--links", "s3://bucket/in/links.csv", *allow
        )
        assert prepared["by_row_outcome"]["ready"] == 1
        backbone = ("--set", "backbone.path=s3://bucket/backbone", *allow)
        ended = driver.run(
            "featurize", (run, *backbone), env={"XDG_CACHE_HOME": str(tmp_path / "cache")}
        )
        assert ended.summary["by_outcome"] == {"ok": 1}
    assert verify_run(Store(run), ended.summary["features"]).holds
    # No address came to the JVM, in which no class for s3 is.
    fingerprint = make_run(Store(trained), make_movies(40, frames=2))
    small = (
        *("dataset.min_movies_per_genre=5", "forest.trees=3", "forest.max_depth=3"),
        'rows.statistics=["mean"]',
    )
    settings = [word for setting in small for word in ("--set", setting)]
    model = ("--bundle", "s3://bucket/bundle")
    facts = run_job(driver, "train_model", trained, *model, "--trainer", "mllib", *settings)
    assert facts["trainer"] == "mllib"
    assert read_bundle(bucket.store("bundle")).manifest.genres
    assert run_job(driver, "predict_genres", trained, *model)["scored"] == 40
    assert len(tables.read_table(Store(trained), "scores")) == 40 * len(GENRES)
    assert verify_run(Store(trained), fingerprint).holds
    # Small files are one request; only the network is larger than a part.
    begun = {request.partition("?")[0] for request in bucket.requests if "?uploads" in request}
    assert begun <= {
        "POST /bucket/backbone/network.onnx",
        "POST /bucket/backbone/weights.safetensors",
    }


@pytest.mark.soak
def test_one_command_takes_a_list_in_a_bucket_to_a_model_there(
    bucket: Bucket, tiny_backbone: Path, tmp_path: Path
) -> None:
    clips, genres = tmp_path / "clips", ("Comedy", "Drama")
    clips.mkdir()
    for number in range(12):
        source = f"gradients=s=128x128:r=4:seed={number}:d=1"
        make_clip(clips / f"{number}.mp4", source, "-preset", "ultrafast")
    upload(tiny_backbone, bucket.store("tiny"))
    with serve(clips) as server:
        urls = [f"http://{server.address}/{number}.mp4" for number in range(12)]
        rows = [f"{url},{genres[number % 2]}" for number, url in enumerate(urls)]
        bucket.store("in").write_bytes("all.csv", "\n".join(["url,genres", *rows]).encode())
        settings = [
            *("--set", "backbone.path=s3://bucket/tiny"),
            *("--set", f'network.allow=["{server.address}"]', "--set", "dataset.folds=2"),
        ]
        words = ("run", "s3://bucket/in/all.csv", "--out", "s3://bucket/all", *settings)
        environ = {**environment(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        for command in (
            words,
            ("predict", "s3://bucket/all", "--bundle", "s3://bucket/all/bundle"),
            ("verify", "s3://bucket/all", "--master", "local[2]"),
            ("score", urls[0], "--bundle", "s3://bucket/all/bundle", *settings[:4]),
        ):
            ended = subprocess.run(
                [sys.executable, "-m", "trailergenre", *command],
                cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert ended.returncode == 0, ended.stderr
    assert len(tables.read_table(bucket.store("all"), "scores")) == 12 * 2
    assert bucket.store("all").exists("reports/evaluation.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "clips"]

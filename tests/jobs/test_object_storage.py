"""A run on S3 with nothing shared: list, network, features, bundle and scores have addresses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buckets import Bucket, serve_bucket
from clips import make_clip
from killed import Driver
from runs import GENRES, make_movies, make_run
from servers.files import serve
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
    small = ("dataset.min_movies_per_genre=5", "forest.trees=3", 'rows.statistics=["mean"]')
    settings = [word for setting in small for word in ("--set", setting)]
    model = ("--bundle", "s3://bucket/bundle")
    facts = run_job(driver, "train_model", trained, *model, "--trainer", "mllib", *settings)
    assert facts["trainer"] == "mllib"
    assert read_bundle(bucket.store("bundle")).manifest.genres
    assert run_job(driver, "predict_genres", trained, *model)["scored"] == 40
    assert len(tables.read_table(Store(trained), "scores")) == 40 * len(GENRES)
    run_job(driver, "evaluate_model", trained, *model)
    assert bucket.store("trained").exists("reports/evaluation.html")
    assert verify_run(Store(trained), fingerprint).holds
    # Small files are one request; only the network is larger than a part.
    begun = {request.partition("?")[0] for request in bucket.requests if "?uploads" in request}
    assert begun <= {
        "POST /bucket/backbone/network.onnx",
        "POST /bucket/backbone/weights.safetensors",
    }

"""What every version of Spark must do; `make test-spark SPARK=3.5.9` asks another one."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from typer.testing import CliRunner

from clips import make_clip
from runs import make_movies, make_run
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.cli.stages import train
from trailergenre.runs import tables
from trailergenre.spark import versions
from trailergenre.spark.mongo_vectors import unpack_features

pytestmark = pytest.mark.slow

SOURCES = {"Comedy": "testsrc2=s=64x64:r=8:d=2", "Horror": "color=black:s=64x64:r=8:d=2"}
N_CLIPS = 7


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of seven videos of each genre."""
    lines = ["url,genres"]
    for genre, source in SOURCES.items():
        content = make_clip(tmp_path / f"{genre}.mp4", source).read_bytes()
        for number in range(N_CLIPS):
            # The same pictures under other names are other links.
            clip = tmp_path / f"{genre}-{number}.mp4"
            clip.write_bytes(content)
            lines.append(f"{clip},{genre}")
    (tmp_path / "links.csv").write_text("\n".join(lines))
    return tmp_path / "links.csv"


def invoke(*words: str | Path | Store) -> dict[str, Any]:
    """Run a command in the tests' session, which it must leave open; return its summary."""
    ended = CliRunner().invoke(app, [str(word) for word in words])
    assert ended.exit_code == 0, ended.output
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def test_every_stage_runs(
    spark: SparkSession,
    listed: Path,
    tiny_backbone: Path,
    mongo_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # scikit-learn's trees are then grown in tasks.
    monkeypatch.setattr(train, "names_cluster", lambda: True)
    run, database = tmp_path / "run", f"spark_{versions.SPARK[0]}"
    uri = tmp_path / "uri"
    uri.write_text(mongo_uri)
    uri.chmod(0o600)
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f'[links]\nallowed_roots = ["{tmp_path}"]\n[backbone]\npath = "{tiny_backbone}"\n'
        "[dataset]\nmin_movies_per_genre = 5\n[forest]\ntrees = 5\n"
        f'[mongo]\nuri_file = "{uri}"\ndatabase = "{database}"\n'
    )
    config = ("--config", settings)
    invoke("prepare", run, "--links", listed, *config)
    assert invoke("featurize", run, *config)["by_outcome"] == {"ok": 2 * N_CLIPS}
    for trainer in ("mllib", "sklearn"):
        bundle = tmp_path / trainer
        trained = invoke("train", run, "--bundle", bundle, "--trainer", trainer, *config)
        assert trained["trainer"] == trainer
        assert "mean_ap" in json.dumps(invoke("evaluate", run, "--bundle", bundle))
        assert invoke("predict", run, "--bundle", bundle)["scored"] == 2 * N_CLIPS
        scores = tables.read_table(Store(str(run)), "scores").to_pylist()
        first = {row["url"]: row["genre"] for row in scores if row["rank"] == 1}
        assert all(f"/{genre}-" in url for url, genre in first.items())
    published = invoke("publish", run, *config)
    assert (published["rows"], published["trailers"]["documents"]) == (4 * N_CLIPS, 2 * N_CLIPS)
    assert spark.range(3).count() == 3


FORESTS = {
    "mllib": "67f83877df6d2bd0063d679ce8f53fa0f9a699e70d5da8e92e057a8cd92c8024",
    "sklearn": "7e4ce4f12aaefd23f6074ebd061403a411d55194a40968420ffb97bb9936a5dd",
}
"""SHA-256 of the forests that these rows and this seed give on every version of Spark."""


@pytest.mark.parametrize("trainer", FORESTS)
def test_every_version_grows_the_same_forest(
    trainer: str, spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "names_cluster", lambda: True)
    run, bundle = Store(str(tmp_path / "run")), tmp_path / "bundle"
    # Whole numbers: their pooled rows are the same on every processor.
    movies = [
        replace(movie, features=np.round(8 * movie.features)) for movie in make_movies(60, frames=2)
    ]
    make_run(run, movies)
    settings = ('rows.statistics=["max"]', "dataset.min_movies_per_genre=5", "forest.trees=5")
    words = [word for setting in settings for word in ("--set", setting)]
    invoke("train", run, "--bundle", bundle, "--trainer", trainer, *words)
    assert sha256((bundle / "forest.safetensors").read_bytes()).hexdigest() == FORESTS[trainer]


def test_tables_come_back_as_they_were_sent(spark: SparkSession) -> None:
    now = datetime.datetime(2026, 11, 30, 12, 0, 1, 234567, tzinfo=datetime.UTC)
    columns = {
        "link_id": pa.array(["a", None, "c"] * 1000),
        "finished_at": pa.array([now, None, now] * 1000, pa.timestamp("us", "UTC")),
        "row": pa.array([[1.5, -0.0], [], None] * 1000, pa.list_(pa.float32())),
        "frames": pa.array([1, 2, None] * 1000, pa.int32()),
    }
    table = pa.table(columns)
    received = versions.to_arrow(versions.from_arrow(spark, table))
    assert received.to_pydict() == table.to_pydict()
    empty = versions.to_arrow(versions.from_arrow(spark, table[:0]).where(F.col("frames") > 9))
    assert (len(empty), empty.column_names) == (0, table.column_names)


def test_functions_of_arrow_columns_run(spark: SparkSession) -> None:
    packed = [(b"\x27\x00" + np.array(row, "<f4").tobytes(),) for row in ([1.5, -2], [])]
    documents = spark.createDataFrame([*packed, (None,)], "features binary")
    unpacked = [row["features"] for row in unpack_features(documents).collect()]
    assert unpacked == [[1.5, -2.0], [], None]

"""`trailergenre run` and `export`, whole, in one session of Spark."""

from __future__ import annotations

import csv
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from pymongo import MongoClient
from pyspark.sql import SparkSession
from typer.testing import CliRunner

import trailergenre as tg
from clips import make_clip
from trailergenre.base.errors import BundleError
from trailergenre.base.records import FrameForm
from trailergenre.base.storage import Store
from trailergenre.cli import run as commands
from trailergenre.cli.commands import app
from trailergenre.cli.stages import evaluate, featurize, predict, publish
from trailergenre.models.bundle import read_bundle
from trailergenre.runs.fingerprint import list_settings
from trailergenre.spark.image_udf import embed_images

pytestmark = pytest.mark.slow

SOURCES = {"comedy": "testsrc2=s=64x64:r=8:d=2", "horror": "color=black:s=64x64:r=8:d=2"}


@pytest.fixture(scope="module")
def trailers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven videos of each genre, in folders, and a damaged one."""
    root = tmp_path_factory.mktemp("trailers")
    for genre, source in SOURCES.items():
        (root / genre).mkdir()
        content = make_clip(root / genre / "0.mp4", source).read_bytes()
        for number in range(1, 7):
            # The same pictures under other names are other links.
            (root / genre / f"{number}.mp4").write_bytes(content)
    (root / "comedy" / "noise.mp4").write_bytes(b"noise")
    return root


@pytest.fixture(autouse=True)
def one_session(
    spark: SparkSession, tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All stages in the tests' own session, where a user's settings are found."""
    for stage in (featurize, evaluate, predict, publish):
        monkeypatch.setattr(stage, "spark_session", lambda *_: nullcontext(spark))
    monkeypatch.setattr(commands, "use_spark", lambda master, properties: None)
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[backbone]\npath = "{tiny_backbone}"\n[forest]\ntrees = 5\n')
    monkeypatch.setenv("TRAILERGENRE_CONFIG", str(settings))
    monkeypatch.chdir(tmp_path)


def invoke(*words: str | Path) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


def test_a_folder_becomes_a_model_and_pages_and_nothing_is_done_twice(trailers: Path) -> None:
    first = invoke("run", trailers, "--out", "runs/mine")
    assert "to do: 15 of 15 links, 0 of them downloads" in first.stderr
    assert "genres are modelled from 5 movies on" in first.stderr
    assert first.stderr.splitlines()[-1] == (
        "next: trailergenre score LINK --bundle runs/mine/bundle"
    )
    for page in ("run.html", "evaluation.html"):
        assert Path("runs/mine/reports", page).stat().st_size > 1000
    bundle = read_bundle(Store("runs/mine/bundle"))
    assert (bundle.manifest.genres, bundle.manifest.trainer) == (("Comedy", "Horror"), "sklearn")
    again = invoke("run", trailers, "--out", "runs/mine")
    assert "to do: 0 of 15 links" in again.stderr
    assert "the model in" in again.stderr
    assert read_bundle(Store("runs/mine/bundle")).sha256 == bundle.sha256

    more = invoke("run", trailers, "--out", "runs/mine", "--set", "forest.trees=6")
    assert "to do: 0 of 15 links" in more.stderr
    assert read_bundle(Store("runs/mine/bundle")).sha256 != bundle.sha256

    # Links without genres are scored by a model that is named.
    listed = Path("new.csv")
    rows = [trailers / "horror" / "1.mp4", trailers / "comedy" / "noise.mp4", "nonsense"]
    listed.write_text("url,year\n" + "".join(f"{row},19{k}9\n" for k, row in enumerate(rows)))
    scored = invoke(
        *("run", listed, "--bundle", "runs/mine/bundle"),
        *("--set", f'links.allowed_roots=["{trailers}"]'),
    )
    assert "export runs/new scores" in scored.stderr.splitlines()[-1]
    invoke("export", "runs/new", "scores", "--out", "scores.csv")
    with Path("scores.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["outcome"] for row in table] == ["ok", "not_media", "link_invalid"]
    assert [row["year"] for row in table] == ["1909", "1919", "1929"]
    assert "Horror" in table[0]["predicted"].split("|")  # six trees, split by the paths of a run
    assert float(table[0]["Horror"]) > float(table[0]["Comedy"])

    run = tg.open_run("runs/mine")
    invoke("export", "runs/mine", "features", "--out", "frames.parquet")
    invoke("export", "runs/mine", "features", "--out", "pooled.npz")
    invoke("export", "runs/mine", "features", "--out", "frames")
    assert pq.read_metadata("frames.parquet").num_rows == run.outcomes()["frames"].sum() == 28
    with np.load("pooled.npz") as pooled:
        link_ids, rows_of = run.pooled()
        assert pooled["link_id"].tolist() == link_ids
        np.testing.assert_array_equal(pooled["features"], rows_of)
    with Path("frames/index.csv").open(newline="") as stream:
        (one, *others) = csv.DictReader(stream)
    assert len(others) == 13
    np.testing.assert_array_equal(np.load(Path("frames", one["file"])), run.features(one["url"]))
    for what, n_rows in (("links", 15), ("outcomes", 15)):
        invoke("export", "runs/mine", what, "--out", f"{what}.jsonl")
        assert len(Path(f"{what}.jsonl").read_text().splitlines()) == n_rows
    refused = CliRunner().invoke(app, ["export", "runs/mine", "links", "--out", "links.jsonl"])
    assert (refused.exit_code, "exists" in refused.stderr) == (2, True)


def test_a_list_without_genres_only_gets_features(trailers: Path) -> None:
    Path("plain.txt").write_text(f"{trailers / 'horror' / '1.mp4'}\n")
    result = invoke("run", "plain.txt", "--set", f'links.allowed_roots=["{trailers}"]')
    assert "has no genres" in result.stderr
    assert tg.open_run("runs/plain").outcomes()["outcome"].tolist() == ["ok"]
    assert not Path("runs/plain/bundle").exists()


def test_a_network_of_another_size_goes_the_whole_way_and_is_not_mixed_with_others(
    trailers: Path,
    tiny_backbone: Path,
    spark: SparkSession,
    mongo_uri: str,
) -> None:
    """Frames of 96 x 80, cropped; 64 features."""
    store, one = Store("runs/mine"), trailers / "comedy" / "1.mp4"
    invoke("backbone", "export", "--network", "tiny_96", "--weights", "random", "--out", "other")
    invoke("run", trailers, "--out", store, "--keep", "frames", "--set", "backbone.path=other")
    ((fingerprint, settings),) = list_settings(store).items()
    assert (settings.form, settings.width) == (FrameForm(80, 96, "center-crop"), 64)
    invoke("verify", store)

    net, run = tg.load_backbone(Path("other").absolute()), tg.open_run(store.address)
    frames, features = tg.decode(one, net), tg.embed(one, net)
    assert (frames.shape, features.shape) == ((2, 80, 96, 3), (2, 64))
    np.testing.assert_array_equal(run.features(features.url), features)
    embed = embed_images(net.config.backbone)
    images = spark.createDataFrame([(frame.tobytes(),) for frame in frames], "image binary")
    rows = [row[0] for row in images.coalesce(1).select(embed("image")).collect()]
    np.testing.assert_array_equal(np.array(rows, np.float32), features)

    bundle = read_bundle(Store("runs/mine/bundle"))
    assert bundle.manifest.backbone.width == 64
    scored = invoke("score", one, "--bundle", "runs/mine/bundle", "--report", "score.html")
    assert "Comedy" in scored.stdout
    assert "the middle of each picture" in Path("score.html").read_text()

    # The workers of this session have their own environment.
    Path("uri").write_text(mongo_uri)
    Path("uri").chmod(0o600)
    where = f"mongo.uri_file={Path('uri').absolute()}"
    invoke("publish", store, "--set", "mongo.database=other_network", "--set", where)
    with MongoClient(mongo_uri) as client:
        documents = list(client["other_network"]["frames"].find())
    assert {len(each["features"].as_vector().data) for each in documents} == {64}
    assert {each["fingerprint"] for each in documents} == {fingerprint}

    # The same links by another network: its features are others, and fit no model of these.
    invoke("featurize", store, "--set", f"backbone.path={tiny_backbone}")
    (new,) = set(list_settings(store)) - {fingerprint}
    mixed = ["predict", str(store), "--bundle", "runs/mine/bundle", "--features", new]
    refused = CliRunner().invoke(app, mixed)
    assert refused.exit_code == 2
    assert "features per frame: 64 -> 2048" in refused.stderr
    with pytest.raises(BundleError, match="frame side: 96 -> 299"):
        tg.score([one], bundle, tg.load_backbone(tiny_backbone))

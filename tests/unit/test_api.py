"""The public names: what they do on a run and a clip, and that they do not change unnoticed."""

from __future__ import annotations

import doctest
import inspect
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trailergenre as tg
from bundles import make_bundle, manifest_for
from clips import make_clip
from runs import make_movies, make_run
from trailergenre import api
from trailergenre.base.errors import BundleError, ConfigError
from trailergenre.base.storage import Store

SIGNATURES = {
    "decode": "(link: 'str | Path', net: 'Backbone') -> 'NDArray[np.uint8]'",
    "embed": "(link: 'str | Path', net: 'Backbone') -> 'FrameFeatures'",
    "load_backbone": "(path: 'str | Path | None' = None, *, settings: 'Sequence[str]' = ())"
    " -> 'Backbone'",
    "load_bundle": "(address: 'str | Path') -> 'Bundle'",
    "open_run": "(address: 'str | Path', features: 'str | None' = None) -> 'Run'",
    "score": "(links: 'str | Path | Sequence[str | Path]', model: 'Bundle',"
    " net: 'Backbone | None' = None) -> 'pd.DataFrame'",
    "timeline": "(link: 'str | Path', model: 'Bundle', net: 'Backbone | None' = None)"
    " -> 'pd.DataFrame'",
    "Run.links": "(self) -> 'pd.DataFrame'",
    "Run.labels": "(self) -> 'pd.DataFrame'",
    "Run.outcomes": "(self) -> 'pd.DataFrame'",
    "Run.scores": "(self) -> 'pd.DataFrame'",
    "Run.features": "(self, link: 'str') -> 'FrameFeatures'",
    "Run.iter_features": "(self, link_ids: 'Sequence[str] | None' = None)"
    " -> 'Iterator[tuple[str, FrameFeatures]]'",
    "Run.pooled": "(self, statistics: \"Sequence[Literal['mean', 'max', 'std']]\" ="
    " ('mean', 'max', 'std')) -> 'tuple[list[str], NDArray[np.float32]]'",
    "Run.spark": "(self, session: 'SparkSession') -> 'dict[str, DataFrame]'",
}


@pytest.fixture(scope="module")
def place(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a clip, a network, a bundle and a run, under the names of the examples."""
    place = tmp_path_factory.mktemp("place")
    make_clip(place / "trailer.mp4", "testsrc2=s=320x320:r=8:d=3")
    (place / "text.mp4").write_text("not a film\n")
    shutil.copytree(tiny_backbone, place / "artefacts" / "backbone")
    make_bundle(Store(str(place / "bundles" / "mine")), manifest=manifest_for(tiny_backbone))
    make_run(Store(str(place / "runs" / "mine")), make_movies(3))
    return place


@pytest.fixture
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def signature(name: str) -> str:
    value: object = tg
    for part in name.split("."):
        value = getattr(value, part)
    assert callable(value)
    return str(inspect.signature(value))


def test_names_and_signatures_do_not_change_unnoticed() -> None:
    assert set(tg.__all__) == {"Backbone", "FrameFeatures", "ItemError", "Run"} | {
        name for name in SIGNATURES if "." not in name
    }
    assert {name: signature(name) for name in SIGNATURES} == SIGNATURES
    public = {name for name in vars(tg.Run) if not name.startswith("_")}
    assert public == {name[4:] for name in SIGNATURES if name.startswith("Run.")}


def test_the_examples_of_the_docstrings_run(here: Path) -> None:
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    names: dict[str, object] = {}
    in_order = ("load_backbone", "decode", "embed", "load_bundle", "score", "timeline", "open_run")
    assert set(in_order) == {name for name in SIGNATURES if "." not in name}
    for name in in_order:
        (test,) = doctest.DocTestFinder(recurse=False).find(getattr(api, name), name, globs=names)
        test.globs = names  # as in one notebook
        runner.run(test, clear_globs=False)
        assert test.examples
    assert runner.summarize(verbose=False).failed == 0


def test_importing_it_loads_nothing_heavy() -> None:
    names = "{'numpy', 'pyarrow', 'pydantic'}"
    code = f"import sys, trailergenre; print(sorted({names} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_run_gives_its_tables_and_the_same_features_in_every_way(here: Path) -> None:
    run = tg.open_run("runs/mine")
    ready = run.links().query("row_outcome == 'ready'")
    assert len(ready) == len(run.outcomes()) == len(run.labels()) == 3
    by_id = dict(run.iter_features())
    assert set(by_id) == set(ready["link_id"])
    row = ready.iloc[0]
    x = run.features(row["link_id"])
    np.testing.assert_array_equal(x, run.features(row["url"]))
    np.testing.assert_array_equal(x, by_id[row["link_id"]])
    assert (x.ndim, x.dtype, x.times.shape, x.url) == (2, np.float32, (len(x),), row["url"])
    link_ids, pooled = run.pooled()
    width = x.shape[1]
    assert pooled.shape == (3, 3 * width)
    np.testing.assert_allclose(
        pooled[link_ids.index(row["link_id"])][:width], np.asarray(x).mean(axis=0), atol=1e-6
    )
    (only, _), *others = run.iter_features([row["link_id"]])
    assert (only, others) == (row["link_id"], [])


def test_what_is_not_there_is_said(here: Path) -> None:
    run = tg.open_run("runs/mine")
    with pytest.raises(ConfigError, match="neither a link_id nor a url"):
        run.features("http://films.test/nowhere")
    with pytest.raises(ConfigError, match="There is no run at"):
        tg.open_run("runs/typo")
    net = tg.load_backbone()
    with pytest.raises(tg.ItemError, match="there is no such file") as raised:
        tg.embed("no-such.mp4", net)
    assert raised.value.outcome == "link_invalid"


def test_scores_are_a_row_a_link_and_the_network_is_found(here: Path) -> None:
    model = tg.load_bundle(here / "bundles" / "mine")
    frame = tg.score(["no-such.mp4", here / "trailer.mp4"], model)
    assert frame["outcome"].tolist() == ["link_invalid", "ok"]
    assert frame["row"].tolist() == [1, 2]
    assert frame.loc[1, "Horror"] == pytest.approx(0.4)
    assert frame.loc[1, "Horror_predicted"] == "no"
    assert np.isnan(frame.loc[0, "Horror"])
    alone = tg.score("trailer.mp4", model, tg.load_backbone())
    assert alone.loc[0, "Horror"] == frame.loc[1, "Horror"]


def test_decoded_frames_are_those_that_the_network_gets(here: Path) -> None:
    net = tg.load_backbone(settings=["frames.per_second=2"])
    frames = tg.decode("trailer.mp4", net)
    assert (frames.shape, frames.dtype) == ((6, 299, 299, 3), np.uint8)
    x = tg.embed("trailer.mp4", net)
    np.testing.assert_array_equal(net.embedder.embed(frames), x)
    for function in (tg.decode, tg.embed):
        with pytest.raises(tg.ItemError) as raised:
            function(here / "text.mp4", net)
        assert raised.value.outcome == "not_media"


def test_a_timeline_is_refused_to_another_network(here: Path) -> None:
    model = tg.load_bundle(here / "bundles" / "mine")
    found = tg.timeline("trailer.mp4", model)
    assert found.index.tolist() == [0, 1]
    assert list(found) == list(model.manifest.genres)
    with pytest.raises(BundleError, match="frames per second"):
        tg.timeline("trailer.mp4", model, tg.load_backbone(settings=["frames.per_second=2"]))


def test_a_calculation_with_features_is_a_plain_array(here: Path) -> None:
    x = tg.embed("trailer.mp4", tg.load_backbone())
    assert x.times.tolist() == [0, 1, 2]
    assert not hasattr(x.mean(axis=0), "times")
    assert not hasattr(x[:2], "times")

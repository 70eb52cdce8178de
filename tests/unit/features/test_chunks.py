from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from clips import make_clip
from lists import as_links
from runs import SETTINGS
from servers import answer, status
from trailergenre.base.config import (
    BackboneConfig,
    ChunksConfig,
    Config,
    LinksConfig,
    NetworkConfig,
)
from trailergenre.base.records import Link, LinkId
from trailergenre.base.storage import Store
from trailergenre.features.backbone import Embedder, load_embedder
from trailergenre.features.chunks import featurize_task, sample_task, split_links
from trailergenre.features.settings import TaskSettings, task_settings
from trailergenre.runs import features_table, outcomes_table
from trailergenre.runs.kept_frames import KeptFrames


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> list[Link]:
    """Two good clips and one that is noise."""
    directory = tmp_path_factory.mktemp("clips")
    a = make_clip(directory / "a.mp4", "testsrc2=s=320x320:r=8:d=3")
    b = make_clip(directory / "b.mp4", "mandelbrot=s=320x320:r=8", "-t", "2")
    noise = directory / "noise.mp4"
    noise.write_bytes(b"noise")
    return as_links([a.as_uri(), noise.as_uri(), b.as_uri()])


@pytest.fixture(scope="module")
def embedder(tiny_backbone: Path) -> Embedder:
    return load_embedder(BackboneConfig(path=str(tiny_backbone)))


def settings_for(
    run: Path, links: list[Link], network: tuple[str, ...] = (), **chunks: object
) -> TaskSettings:
    root = str(Path(links[0].url.removeprefix("file://")).parent)
    config = Config(
        links=LinksConfig(allowed_roots=(root,)),
        network=NetworkConfig(allow=network),
        chunks=ChunksConfig(**chunks),  # type: ignore[arg-type]
    )
    return task_settings(config, Store(str(run)), SETTINGS)


def test_outcomes_name_their_features_file(
    links: list[Link], embedder: Embedder, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, links)
    (commit,) = featurize_task(links, settings, embedder)
    rows = {row["link_id"]: row for row in commit.outcomes.to_pylist()}
    assert [rows[link.link_id]["outcome"] for link in links] == ["ok", "not_media", "ok"]
    assert rows[links[1].link_id]["features_file"] is None
    named = rows[links[0].link_id]
    content = (tmp_path / named["features_file"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == named["features_sha256"]
    assert (len(content), named["features_rows"]) == (named["features_bytes"], 5)


def test_committed_features_are_read_back_by_link(
    links: list[Link], embedder: Embedder, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, links)
    list(featurize_task(links, settings, embedder))
    outcomes = outcomes_table.read_outcomes(settings.store, settings.features.fingerprint)
    (features,) = features_table.iter_features(settings.store, outcomes, [links[2].link_id])
    assert features["frame_index"].to_pylist() == [0, 1]
    assert features["frame_time_s"].to_pylist() == [0.0, 1.0]
    assert set(features["link_id"].to_pylist()) == {links[2].link_id}


def test_same_work_twice_is_the_same_features_file(
    links: list[Link], embedder: Embedder, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, links)
    for _ in range(2):
        list(featurize_task(links, settings, embedder))
    assert len(settings.store.list_files(f"features/{settings.features.fingerprint}")) == 1
    assert len(outcomes_table.read_outcomes(settings.store, settings.features.fingerprint)) == 3


def test_strays_are_not_reached(links: list[Link], embedder: Embedder, tmp_path: Path) -> None:
    settings = settings_for(tmp_path, links)
    list(featurize_task(links[:1], settings, embedder))
    outcomes = outcomes_table.read_outcomes(settings.store, settings.features.fingerprint)
    # A twin that died before its outcomes: its features are there, and nobody names them.
    other = replace(settings, store=Store(str(tmp_path / "other")))
    list(featurize_task(links[2:], other, embedder))
    for stray in other.store.list_files(f"features/{settings.features.fingerprint}"):
        settings.store.write_bytes(stray.path, other.store.read_bytes(stray.path))
    read = list(features_table.iter_features(settings.store, outcomes))
    assert [set(part["link_id"].to_pylist()) for part in read] == [{links[0].link_id}]


def test_cut_of_the_chunks_does_not_change_the_features(
    links: list[Link], embedder: Embedder, tmp_path: Path
) -> None:
    contents = []
    for name, more in (("whole", {}), ("large", {"max_bytes": 1}), ("many", {"max_links": 1})):
        settings = settings_for(tmp_path / name, links, **more)
        commits = list(featurize_task(links, settings, embedder))
        outcomes = outcomes_table.read_outcomes(settings.store, settings.features.fingerprint)
        rows = [
            r
            for part in features_table.iter_features(settings.store, outcomes)
            for r in part.to_pylist()
        ]
        kept = [(r["link_id"], r["frame_index"], r["frame_time_s"], r["features"]) for r in rows]
        contents.append((len(commits), sorted(kept)))
    assert [n for n, _ in contents] == [1, 2, 3]
    assert contents[0][1] == contents[1][1] == contents[2][1]


@pytest.mark.parametrize("what", ["features", "frames"])
def test_finished_links_are_committed_while_all_others_hang_or_wait(
    links: list[Link], embedder: Embedder, tmp_path: Path, what: str
) -> None:
    store, committed = Store(str(tmp_path)), threading.Event()

    def hang(request: BaseHTTPRequestHandler, seen: int) -> None:
        deadline = time.monotonic() + 30
        while not store.list_files("outcomes") and time.monotonic() < deadline:
            time.sleep(0.05)
        if store.list_files("outcomes"):
            committed.set()
        status(404)(request, seen)

    with answer({"/hangs.mp4": hang}) as server:
        settings = settings_for(tmp_path, links, network=(server.address,), max_seconds=3)
        hanging = as_links([f"http://{server.address}/hangs.mp4"])
        if what == "features":
            commits = list(featurize_task([*links, *hanging], settings, embedder))
        else:
            frames = KeptFrames(store, "key", keeps_new=True)
            commits = list(sample_task([*links, *hanging], replace(settings, frames=frames)))
    assert committed.is_set()
    assert [commit.spent.links for commit in commits] == [3, 1]


@pytest.mark.parametrize("max_links", [1, 2, 3, 5, 8])
def test_a_kill_costs_no_more_links_than_a_chunk_may_hold(
    links: list[Link], embedder: Embedder, tmp_path: Path, max_links: int
) -> None:
    settings = settings_for(tmp_path, links, max_links=max_links)
    begun = 0
    committed = 0
    most = 0

    def source() -> Iterator[Link]:
        nonlocal begun, most
        for number in range(20):
            begun += 1
            most = max(most, begun - committed)
            yield replace(links[1], link_id=LinkId(f"{number:064}"))

    for commit in featurize_task(source(), settings, embedder):
        committed += len(commit.outcomes)
    assert (begun, committed) == (20, 20)
    # More than half of it is in use, so that steps overlap.
    assert max_links // 2 < most <= max_links


def test_a_throttled_link_is_left_to_a_later_run_with_the_sites_own_words(
    links: list[Link], embedder: Embedder, tmp_path: Path
) -> None:
    with answer({"/busy.mp4": status(429, Retry_After="0")}) as server:
        settings = settings_for(tmp_path, links, network=(server.address,))
        (link,) = as_links([f"http://{server.address}/busy.mp4"])
        (commit,) = featurize_task([replace(link, round=4)], settings, embedder)
    (row,) = commit.outcomes.to_pylist()
    assert (row["outcome"], row["attempts"], row["round"]) == ("deferred", 3, 4)
    assert row["detail"].startswith("throttled: ")
    assert "429" in row["detail"]


@pytest.mark.parametrize(
    ("n_links", "n_slots", "sizes"),
    [
        (0, 2, []),
        (1, 2, [1]),
        (8, 2, [1] * 8),
        (9, 2, [2] + [1] * 7),
        (36, 2, [5, 5, 5, 5, 4, 4, 4, 4]),
        (4000, 8, [125] * 32),
    ],
)
def test_parts_differ_by_one_link_at_most_the_longer_first(
    n_links: int, n_slots: int, sizes: list[int]
) -> None:
    links = [Link(LinkId(f"{number}"), f"file:///{number}.mp4") for number in range(n_links)]
    parts = split_links(links, n_slots)
    assert [len(part) for part in parts] == sizes
    assert [link for part in parts for link in part] == links

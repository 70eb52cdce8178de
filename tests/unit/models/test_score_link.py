from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from bundles import make_bundle, manifest_for
from clips import make_clip
from lists import as_links
from servers import answer, content, redirect
from trailergenre.base.config import (
    BackboneConfig,
    Config,
    FramesConfig,
    HostConfig,
    LinksConfig,
    NetworkConfig,
)
from trailergenre.base.errors import BundleError, ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import LinkFrames
from trailergenre.base.storage import Store
from trailergenre.features.backbone import Embedder, load_embedder, read_manifest
from trailergenre.features.chunks import featurize_task
from trailergenre.features.settings import feature_settings, task_settings
from trailergenre.models import score_link as score_link_module
from trailergenre.models.bundle import Bundle
from trailergenre.models.score_link import embed_link, parse_cell, score_link, score_links
from trailergenre.models.scorer import Scorer
from trailergenre.runs import features_table, outcomes_table


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of five seconds."""
    return make_clip(
        tmp_path_factory.mktemp("clip") / "a clip.mp4", "mandelbrot=s=320x320:r=8", "-t", "5"
    )


@pytest.fixture(scope="module")
def bundle(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    store = Store(str(tmp_path_factory.mktemp("bundle")))
    return make_bundle(store, manifest=manifest_for(tiny_backbone))


@pytest.fixture
def config(tiny_backbone: Path) -> Config:
    return Config(backbone=BackboneConfig(path=str(tiny_backbone)))


def test_features_are_the_bytes_that_a_chunk_commits(
    clip: Path, config: Config, tmp_path: Path
) -> None:
    links = as_links([clip.as_uri()])
    allowed = config.model_copy(update={"links": LinksConfig(allowed_roots=(str(clip.parent),))})
    embedder = load_embedder(config.backbone)
    features = feature_settings(allowed, embedder.manifest)
    settings = task_settings(allowed, Store(str(tmp_path)), features)
    list(featurize_task(links, settings, embedder))
    outcomes = outcomes_table.read_outcomes(settings.store, features.fingerprint)
    (committed,) = features_table.iter_features(settings.store, outcomes)

    embedded = embed_link(parse_cell(str(clip), config), config)
    assert embedded.link == links[0]
    np.testing.assert_array_equal(embedded.features, np.stack(committed["features"].to_pylist()))


def test_the_model_is_given_the_links_own_frames_and_their_times(
    clip: Path, config: Config, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = []

    def predict(self: Scorer, links: Sequence[LinkFrames]) -> np.ndarray:
        received.extend(links)
        return np.array([[0.9, 0.1, 0.2, 0.3]])

    monkeypatch.setattr(Scorer, "predict_proba", predict)
    scored = score_link(str(clip), bundle, config)
    (frames,) = received
    np.testing.assert_array_equal(
        frames.features, embed_link(parse_cell(str(clip), config), config).features
    )
    assert frames.frame_time_s.tolist() == [0, 1, 2, 3, 4]
    assert [genre.genre for genre in scored.genres] == ["Action", "Horror", "Drama", "Comedy"]
    assert (scored.frames, set(scored.seconds)) == (5, {"download", "decode", "embed", "score"})


def test_frames_on_their_way_to_the_network_may_be_watched(clip: Path, config: Config) -> None:
    watched: list[np.ndarray] = []
    embedded = embed_link(parse_cell(str(clip), config), config, on_frames=watched.append)
    frames = np.concatenate(watched)
    expected = load_embedder(config.backbone).embed(frames)
    np.testing.assert_array_equal(embedded.features, expected)


def test_a_score_that_nobody_wants_a_report_of_has_no_timeline(
    clip: Path, config: Config, bundle: Bundle
) -> None:
    scored = score_link(str(clip), bundle, config)
    assert scored.timeline is None
    assert "timeline" not in scored.to_json()


def test_naming_a_file_allows_that_file_and_no_other_place(
    clip: Path, config: Config, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clip.parent)
    assert score_link(clip.name, bundle, config).url == clip.as_uri()
    assert config.links.allowed_roots == ()


def test_bad_file_is_an_item_error_with_its_class(
    config: Config, bundle: Bundle, tmp_path: Path
) -> None:
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(b"noise" * 100)
    scored = score_link(str(noise), bundle, config)
    assert (scored.outcome, scored.genres) == (Outcome.NOT_MEDIA, [])


@pytest.mark.parametrize("name", ["typo.mp4", "./no/such.MTS", "/nowhere/x.webm", "~/no such.mkv"])
def test_a_video_that_is_not_there_is_told_so(name: str, config: Config) -> None:
    with pytest.raises(ItemError, match="there is no such file") as raised:
        parse_cell(name, config)
    assert raised.value.outcome is Outcome.LINK_INVALID


def test_text_that_is_no_link_is_an_item_error(config: Config, bundle: Bundle) -> None:
    scored = score_link("   ", bundle, config)
    assert (scored.outcome, scored.detail) == (Outcome.LINK_INVALID, "the cell is empty")


def test_another_sampling_is_refused(clip: Path, config: Config, bundle: Bundle) -> None:
    faster = config.model_copy(update={"frames": FramesConfig(per_second=2)})
    with pytest.raises(BundleError, match=r"frames per second: 1\.0 -> 2\.0"):
        score_link(str(clip), bundle, faster)


def test_another_precision_is_allowed_and_told(
    clip: Path, config: Config, tiny_backbone: Path, tmp_path: Path
) -> None:
    manifest = manifest_for(tiny_backbone)
    facts = manifest.backbone.model_copy(update={"precision": "int8"})
    other = make_bundle(
        Store(str(tmp_path)), manifest=manifest.model_copy(update={"backbone": facts})
    )
    notes = score_link(str(clip), other, config).notes
    assert read_manifest(tiny_backbone).precision == "fp32"
    assert any("int8" in note for note in notes)


def test_several_links_keep_to_the_pace_of_their_host_and_load_the_network_once(
    clip: Path, config: Config, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    loaded: list[int] = []

    def note(request: BaseHTTPRequestHandler, seen: int) -> None:
        asked.append(time.monotonic())
        content(clip.read_bytes())(request, seen)

    def load(config: Config) -> Embedder:
        loaded.append(1)
        return load_embedder(config.backbone)

    monkeypatch.setattr(score_link_module, "load_all_threads", load)
    with answer({f"/{name}.mp4": note for name in "abc"}) as server:
        paced = config.model_copy(
            update={
                "network": NetworkConfig(allow=(server.address,)),
                "hosts": {"127.0.0.1": HostConfig(lanes=1, seconds_between=1)},
            }
        )
        links = [f"http://{server.address}/{name}.mp4" for name in "abc"]
        scores = dict(score_links(links, bundle, paced))
    assert [scores[place].outcome for place in range(3)] == [Outcome.OK] * 3
    starts = [asked[0], *(b for a, b in itertools.pairwise(asked) if b - a > 0.5)]
    assert len(starts) == 3  # a download may make several requests at once
    assert loaded == [1]


@pytest.mark.parametrize("n_links", [1, 2])
def test_a_link_that_leads_to_a_paced_host_is_scored_in_its_turn(
    n_links: int, clip: Path, config: Config, bundle: Bundle
) -> None:
    with answer({"/film.mp4": content(clip.read_bytes())}) as films:
        port = films.address.rpartition(":")[2]
        target = f"http://localhost:{port}/film.mp4"
        answers = {f"/{name}": redirect(target) for name in "ab"}
        with answer(answers) as server:
            paced = config.model_copy(
                update={
                    "network": NetworkConfig(
                        allow=(server.address, films.address, f"localhost:{port}")
                    ),
                    "hosts": {"localhost": HostConfig(lanes=1, seconds_between=0.1)},
                }
            )
            links = [f"http://{server.address}/{name}" for name in "ab"[:n_links]]
            scores = dict(score_links(links, bundle, paced))
    assert [scores[place].outcome for place in range(n_links)] == [Outcome.OK] * n_links
    assert [scores[place].url for place in range(n_links)] == links

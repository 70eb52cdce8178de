from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from backbones import frames_of
from bundles import make_bundle, manifest_for
from clips import make_clip
from parsed import assert_stands_alone
from score_pages import (
    LINK,
    make_embedded_link,
    make_failed_link,
    make_frames,
    make_link_bundle,
    score_page,
    write_score_page,
)
from trailergenre.base.config import Config
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME, FrameArray
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.models.bundle import Bundle
from trailergenre.models.score_link import LinkScore
from trailergenre.reports import link_report
from trailergenre.reports.link_report import make_jpegs, report_link
from trailergenre.reports.pages import ReportFile


def pictures_of(content: str) -> list[tuple[str, str]]:
    """Address and alternative text of each picture."""
    return re.findall(r'<img src="([^"]*)" alt="([^"]*)"', content)


def steps_of(content: str) -> dict[str, str]:
    """Step -> outcome."""
    table = content.split('<table class="steps">')[1].split("</table>")[0]
    return dict(re.findall(r'<th scope="row">(\w+)</th><td class="[^"]*">([^<]*)</td>', table))


@dataclass(frozen=True)
class ScoredModel:
    """A link that went well, and its page."""

    score: LinkScore
    bundle: Bundle
    frames: FrameArray
    content: str


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> ScoredModel:
    directory = tmp_path_factory.mktemp("scored")
    page, bundle, frames = directory / "a.html", make_link_bundle(directory), make_frames(150)
    record = make_embedded_link()
    score = write_score_page(page, record=record, bundle=bundle, frames=frames)
    return ScoredModel(score, bundle, frames, page.read_text(encoding="utf-8"))


def test_the_page_has_the_genres_and_every_step(scored: ScoredModel) -> None:
    assert len(scored.score.genres) == 4
    for rank, genre in enumerate(scored.score.genres[:3], start=1):
        shown = f"{genre.probability:.3f}".lstrip("0")
        assert f"<strong>{rank}. {genre.genre} {shown}</strong>" in scored.content
    steps = steps_of(scored.content)
    assert set(steps.values()) == {"ok"}
    assert list(steps)[:5] == ["link", "download", "decode", "embed", "score"]
    for text in (LINK, "12.3 MB", "2 min 30 s", "1280 × 720 px", "150, 1 per second", "14.2 s"):
        assert text in scored.content
    for text in ("weights imagenet", "mAP .450, compared with .250", scored.bundle.sha256):
        assert text in scored.content


def test_all_genres_that_reach_their_threshold_are_given_also_those_that_are_not_shown(
    tmp_path: Path,
) -> None:
    made = make_link_bundle(tmp_path)
    thresholds = {"thresholds": (0.05,) * 4}
    bundle = replace(made, manifest=made.manifest.model_copy(update=thresholds))
    page, record = tmp_path / "a.html", make_embedded_link(20)
    score = write_score_page(page, record=record, bundle=bundle, frames=make_frames(20))
    content = page.read_text(encoding="utf-8")
    assert content.count('<section class="panel"') == 3
    (given,) = re.findall(r"Predicted genres: ([^.]*)\.", content)
    assert set(given.split(", ")) == set(bundle.manifest.genres)
    assert given.split(", ") == [genre.genre for genre in score.genres]


def test_the_pictures_are_the_most_influential_frames(scored: ScoredModel) -> None:
    assert scored.score.timeline is not None
    frames = [frame for line in scored.score.timeline.lines for frame in line.frames]
    pictures = pictures_of(scored.content)
    assert len(pictures) == len(frames) == 9
    for (address, alternative), frame in zip(pictures, frames, strict=True):
        content = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
        assert content == make_jpegs(scored.frames[[frame.frame_index]])[0]
        seconds = int(frame.frame_time_s)
        assert f"at {seconds // 60}:{seconds % 60:02}," in alternative


def test_the_page_stands_alone(scored: ScoredModel) -> None:
    found = assert_stands_alone(scored.content)
    assert all(address.startswith("data:") for address in found.addresses)
    assert len(scored.content) < 400_000


@pytest.mark.parametrize(("weights", "times"), [("imagenet", 0), ("random(seed=7)", 1)])
def test_random_weights_are_said_loudly(weights: str, times: int, tmp_path: Path) -> None:
    content = score_page(tmp_path, n_frames=8, weights=weights)
    assert content.count('<p class="note loud">The network') == times


@pytest.mark.parametrize(
    ("outcome", "size_bytes", "step"),
    [(Outcome.UNAVAILABLE, None, "download"), (Outcome.PARTIAL, 1_000_000, "decode")],
)
def test_a_link_that_fails_has_a_page_that_says_where_and_why(
    outcome: Outcome,
    size_bytes: int | None,
    step: str,
    tmp_path: Path,
) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    record = make_failed_link(outcome, "it <script> ended", size_bytes=size_bytes)
    score = write_score_page(page, record=record, bundle=bundle, frames=make_frames(20))
    assert (score.outcome, score.genres) == (outcome, [])
    content = page.read_text(encoding="utf-8")
    assert f'<p class="verdict bad">{outcome}: ' in content
    assert "it &lt;script&gt; ended" in content
    steps = steps_of(content)
    names = list(steps)
    assert steps[step] == outcome
    assert {steps[name] for name in names[: names.index(step)]} == {"ok"}
    assert {steps[name] for name in names[names.index(step) + 1 :]} == {"not reached"}
    # Frames that came before a failure are dropped with it.
    assert pictures_of(content) == []


def test_text_that_is_no_link_has_a_page_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    monkeypatch.setattr(link_report, "find_notes", lambda bundle, config: [])
    monkeypatch.setattr(link_report, "frame_form", lambda config: INCEPTION_V3_FRAME)
    score = report_link("javascript:alert('<b>')", bundle, Config(), page=ReportFile.named(page))
    assert score.outcome is Outcome.SCHEME
    content = page.read_text(encoding="utf-8")
    assert "javascript:alert(&#39;&lt;b&gt;&#39;)" in content
    assert assert_stands_alone(content).addresses == ["data:,"]
    steps = steps_of(content)
    assert (steps["link"], steps["download"]) == ("scheme", "not reached")


def test_a_page_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    arguments = ["score", "a.mp4", "--bundle", str(tmp_path / "none"), "--report", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert f"The report cannot be written to {tmp_path}: " in result.stderr


def test_a_page_is_passed_on_without_the_password_of_its_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    monkeypatch.setattr(link_report, "find_notes", lambda bundle, config: [])
    monkeypatch.setattr(link_report, "frame_form", lambda config: INCEPTION_V3_FRAME)
    score = report_link(
        "https://me:hunter2@films.test/a", bundle, Config(), page=ReportFile.named(page)
    )
    assert "user name" in score.detail
    assert "hunter2" not in str(score)
    content = page.read_text(encoding="utf-8")
    assert "hunter2" not in content
    assert "https://***@films.test/a" in content


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of ten seconds, and noise."""
    directory = tmp_path_factory.mktemp("clips")
    make_clip(directory / "a.mp4", "mandelbrot=s=320x180:r=8", "-t", "10")
    (directory / "noise.mp4").write_bytes(b"noise" * 100)
    return directory


@pytest.fixture(scope="module")
def arguments(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A bundle and a backbone that fit each other."""
    bundle = tmp_path_factory.mktemp("bundle")
    make_bundle(Store(str(bundle)), manifest=manifest_for(tiny_backbone))
    return ["--bundle", str(bundle), "--set", f"backbone.path={tiny_backbone}"]


def test_a_report_changes_no_score_and_adds_the_timeline_to_the_json(
    clips: Path, arguments: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "out.html"
    command = ["score", str(clips / "a.mp4"), *arguments, "--json"]
    plain = CliRunner().invoke(app, command)
    result = CliRunner().invoke(app, [*command, "--report", str(page)])
    assert (plain.exit_code, result.exit_code) == (0, 0), result.output
    assert result.stderr == f"report: {page}\n"
    without, record = json.loads(plain.stdout), json.loads(result.stdout)
    assert "timeline" not in without
    assert record["genres"] == without["genres"]
    genres = [genre["genre"] for genre in without["genres"]][:3]
    assert [line["genre"] for line in record["timeline"]["lines"]] == genres
    assert record["timeline"]["length_s"] == 10
    assert len(pictures_of(page.read_text(encoding="utf-8"))) == 9


def test_a_bad_file_has_a_page_and_the_exit_code_that_it_had(
    clips: Path, arguments: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "out.html"
    command = ["score", str(clips / "noise.mp4"), *arguments, "--report", str(page)]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stdout) == (2, "")
    report, error = result.stderr.splitlines()
    assert "not_media" in error
    assert report == f"report: {page}"
    assert steps_of(page.read_text(encoding="utf-8"))["decode"] == "not_media"


def test_a_frame_becomes_a_small_jpeg_of_the_same_colours() -> None:
    frames = np.zeros((2, 299, 299, 3), np.uint8)
    frames[0, :, :, 0] = 200  # red
    frames[1, :150, :, 2] = 200  # blue above black
    found = make_jpegs(frames)
    for jpeg, frame in zip(found, frames, strict=True):
        with Image.open(io.BytesIO(jpeg)) as picture:
            assert (picture.format, picture.mode) == ("JPEG", "RGB")
            seen = np.asarray(picture)
        assert np.abs(seen.astype(int) - frame).mean() < 2
        assert len(jpeg) < 10_000


def test_the_same_frame_gives_the_same_bytes_and_no_frame_none() -> None:
    frames = frames_of(2)
    assert make_jpegs(frames) == make_jpegs(frames.copy())
    assert make_jpegs(frames[:0]) == []

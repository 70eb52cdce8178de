from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bundles import make_bundle, manifest_for
from clips import make_clip
from score_pages import (
    LINK,
    make_failed_record,
    make_frames,
    make_link_bundle,
    make_link_record,
    write_score_page,
)
from trailergenre import link_report
from trailergenre.cli import app
from trailergenre.config import Config
from trailergenre.errors import ConfigError, ItemError
from trailergenre.link_report import check_page, report_link
from trailergenre.outcomes import Outcome
from trailergenre.storage import Store
from trailergenre.thumbnails import make_jpegs

FRAMES = make_frames(150)


class Page(HTMLParser):
    """What a test asks of a page."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[tuple[str, str]] = []
        self.addresses: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = {name: value or "" for name, value in attrs}
        self.addresses += [found[name] for name in ("src", "href") if name in found]
        if tag == "img":
            self.pictures.append((found["src"], found["alt"]))


def steps_of(content: str) -> dict[str, str]:
    """Step -> outcome."""
    table = content.split('<table class="steps">')[1].split("</table>")[0]
    return dict(re.findall(r'<th scope="row">(\w+)</th><td class="[^"]*">([^<]*)</td>', table))


def test_the_page_has_the_genres_their_frames_and_every_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    score = write_score_page(
        page, monkeypatch, record=make_link_record(), bundle=bundle, frames=FRAMES
    )
    content = page.read_text(encoding="utf-8")
    assert len(score.genres) == 3
    for rank, genre in enumerate(score.genres, start=1):
        shown = f"{genre.probability:.3f}".lstrip("0")
        assert f"<strong>{rank}. {genre.genre} {shown}</strong>" in content
    assert set(steps_of(content).values()) == {"ok"}
    assert list(steps_of(content))[:5] == ["link", "download", "decode", "embed", "score"]
    for text in (LINK, "12.3 MB", "2 min 30 s", "1280 × 720 px", "150, 1 a second", "14.2 s"):
        assert text in content
    for text in ("weights imagenet", "mAP .450, against .250", bundle.sha256):
        assert text in content


def test_the_pictures_are_the_frames_that_spoke_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    score = write_score_page(
        page, monkeypatch, record=make_link_record(), bundle=bundle, frames=FRAMES
    )
    assert score.timeline is not None
    moments = [moment for line in score.timeline.lines for moment in line.moments]
    pictures = Page(page.read_text(encoding="utf-8")).pictures
    assert len(pictures) == len(moments) == 9
    for (address, alternative), moment in zip(pictures, moments, strict=True):
        content = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
        assert content == make_jpegs(FRAMES[moment.frame_index : moment.frame_index + 1])[0]
        seconds = int(moment.frame_time_s)
        assert f"at {seconds // 60}:{seconds % 60:02}," in alternative


def test_the_page_stands_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    write_score_page(page, monkeypatch, record=make_link_record(), bundle=bundle, frames=FRAMES)
    content = page.read_text(encoding="utf-8")
    found = Page(content)
    assert "script" not in found.tags
    assert all(address.startswith("data:") for address in found.addresses)
    assert not re.search(r"url\(|@import", content)
    assert len(content) < 400_000


def test_random_weights_are_said_loudly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "out.html"
    for weights, times in (("imagenet", 0), ("random(seed=7)", 1)):
        bundle = make_link_bundle(tmp_path / "bundle", weights=weights)
        write_score_page(page, monkeypatch, record=make_link_record(), bundle=bundle, frames=FRAMES)
        content = page.read_text(encoding="utf-8")
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
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    record = make_failed_record(outcome, "it <script> ended", size_bytes=size_bytes)
    with pytest.raises(ItemError) as raised:
        write_score_page(page, monkeypatch, record=record, bundle=bundle, frames=FRAMES[:32])
    assert raised.value.outcome is outcome
    content = page.read_text(encoding="utf-8")
    assert f'<p class="verdict bad">{outcome}: ' in content
    assert "it &lt;script&gt; ended" in content
    steps = steps_of(content)
    names = list(steps)
    assert steps[step] == outcome
    assert {steps[name] for name in names[: names.index(step)]} == {"ok"}
    assert {steps[name] for name in names[names.index(step) + 1 :]} == {"not reached"}
    # Frames that came before a failure are dropped with it.
    assert Page(content).pictures == []


def test_text_that_is_no_link_has_a_page_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, bundle = tmp_path / "out.html", make_link_bundle(tmp_path / "bundle")
    monkeypatch.setattr(link_report, "find_notes", lambda bundle, config: [])
    with pytest.raises(ItemError, match="scheme_refused"):
        report_link("javascript:alert('<b>')", bundle, Config(), page=page)
    content = page.read_text(encoding="utf-8")
    assert "javascript:alert(&#39;&lt;b&gt;&#39;)" in content
    assert Page(content).addresses == ["data:,"]
    steps = steps_of(content)
    assert (steps["link"], steps["download"]) == ("link_invalid", "not reached")


def test_a_page_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for page in (tmp_path, tmp_path / "absent" / "out.html", tmp_path / "file" / "out.html"):
        with pytest.raises(ConfigError, match="cannot be written") as raised:
            check_page(page)
        assert str(page) in str(raised.value)
        arguments = ["score", "a.mp4", "--bundle", str(tmp_path / "none"), "--report", str(page)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert "The report cannot be written" in result.stderr
    check_page(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


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
    genres = [genre["genre"] for genre in without["genres"]]
    assert [line["genre"] for line in record["timeline"]["lines"]] == genres
    assert record["timeline"]["length_s"] == 10
    assert len(Page(page.read_text(encoding="utf-8")).pictures) == 9


def test_a_bad_file_has_a_page_and_the_exit_code_that_it_had(
    clips: Path, arguments: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "out.html"
    command = ["score", str(clips / "noise.mp4"), *arguments, "--report", str(page)]
    result = CliRunner().invoke(app, command)
    assert (result.exit_code, result.stdout) == (2, "")
    error, report = result.stderr.splitlines()
    assert "not_media" in error
    assert report == f"report: {page}"
    assert steps_of(page.read_text(encoding="utf-8"))["decode"] == "not_media"

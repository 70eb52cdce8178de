"""What an attacker would try with a download, and what must not have happened afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import product
from pathlib import Path
from unittest.mock import patch

import numpy as np
import psutil
import pytest
from typer.testing import CliRunner

from bundles import make_bundle, manifest_for
from clips import make_clip
from lists import as_links
from servers import Answer, answer, content, fails_first, page, redirect, status
from servers.manifests import gzip_bomb, hls, videos
from trailergenre.base.config import (
    BackboneConfig,
    Config,
    LimitsConfig,
    LinksConfig,
    NetworkConfig,
)
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.storage import Store
from trailergenre.cli.commands import app
from trailergenre.features.backbone import load_embedder
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.features.pipeline import embed_links
from trailergenre.features.settings import stream_settings
from trailergenre.videos.downloader import Downloader

MARK = b"CANARY-7f3a"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return make_clip(path, "testsrc2=s=320x320:r=8:d=2", "-movflags", "+faststart").read_bytes()


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where downloads are written; nothing is left there."""
    directory = tmp_path / "scratch"
    directory.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    assert list(directory.iterdir()) == []


def embed(address: str, paths: list[str], backbone: Path, **limits: float) -> list[FetchedLink]:
    """Bring links of a server to their ends."""
    bounds = LimitsConfig.model_validate({"deadline_s": 60, **limits})
    network = NetworkConfig(allow=(address,))
    settings = stream_settings(Config(network=network, limits=bounds), FORM)
    embedder = load_embedder(BackboneConfig(path=str(backbone), batch_size=4))
    links = as_links([f"http://{address}{path}" for path in paths])
    with patch("trailergenre.videos.downloader.BACKOFF_MAX_S", 0.01):
        return list(embed_links(links, settings, embedder))


def tree(root: Path) -> dict[str, str]:
    """Every file below a directory, with the SHA-256 of its content."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_no_name_leads_out_of_scratch(
    clip: bytes, scratch: Path, tmp_path: Path, tiny_backbone: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "escape.mp4").write_bytes(MARK)
    before = tree(tmp_path)
    way_out = "../" * 12 + str(outside).lstrip("/") + "/escape.mp4"
    escaped = way_out.replace("../", "%2e%2e%2f")
    titled = page(f"<title>{way_out}</title><video src=/x.mp4></video>")
    disposed = content(clip, Content_Disposition=f'attachment; filename="{way_out}"')
    paths = [f"/{escaped}", "/a/..%5c..%5cescape.mp4", "/disposed.mp4", "/titled"]
    answers = {"/*": content(clip), "/disposed.mp4": disposed, "/titled": titled}
    with answer(answers) as server:
        records = embed(server.address, paths, tiny_backbone)
    assert [record.row.outcome for record in records] == [Outcome.OK] * 4
    assert tree(tmp_path) == before


def test_two_links_of_one_name_are_two_films(
    clip: bytes, scratch: Path, tmp_path: Path, tiny_backbone: Path
) -> None:
    other = make_clip(tmp_path / "other.mp4", "mandelbrot=s=320x320:r=8", "-t", "3").read_bytes()
    with answer({"/a/trailer.mp4": content(clip), "/b/trailer.mp4": content(other)}) as server:
        first, second = embed(server.address, ["/a/trailer.mp4", "/b/trailer.mp4"], tiny_backbone)
    assert first.link.link_id != second.link.link_id
    assert (len(first.features), len(second.features)) == (2, 3)
    assert not np.array_equal(first.features, second.features[:2])


@pytest.fixture
def shim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `ffmpeg` on the PATH that writes down who starts it."""
    log, program = tmp_path / "started", tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    subprocess.run(["ffmpeg", "control"], check=True)
    assert log.read_text() == "control\n"
    log.unlink()
    return log


@pytest.mark.parametrize(
    "playlist",
    [
        hls(["x.ts"], key='METHOD=SAMPLE-AES,URI="key"'),
        hls(["x.ts"], is_live=True),
        hls(["x.ts"], key='METHOD=SAMPLE-AES-CTR,KEYFORMAT="com.apple.x",URI="key"'),
    ],
    ids=["SAMPLE-AES", "live", "DRM"],
)
def test_no_playlist_starts_ffmpeg(playlist: Answer, shim: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "files"
    scratch.mkdir()
    answers = {"/clip.m3u8": playlist, "/x.ts": content(b"\0" * 1600), "/key": content(b"k" * 16)}
    with answer(answers) as server, pytest.raises(ItemError) as raised:
        downloader = Downloader(
            LinksConfig(), NetworkConfig(allow=(server.address,)), LimitsConfig()
        )
        (link,) = as_links([f"http://{server.address}/clip.m3u8"])
        downloader.fetch(link, scratch, Deadline(60))
    assert raised.value.outcome in {Outcome.FORMAT_NOT_ALLOWED, Outcome.LIVE}
    assert not shim.exists()
    assert list(scratch.iterdir()) == []


@pytest.mark.slow
def test_no_local_file_is_read(scratch: Path, tmp_path: Path, tiny_backbone: Path) -> None:
    canary = tmp_path / "canary.ts"
    canary.write_bytes(MARK * 200)
    local = canary.as_uri()
    answers = {
        "/segment.m3u8": hls([local]),
        "/key.m3u8": hls(["x.ts"], key=f'METHOD=AES-128,URI="{local}"'),
        "/embed": videos([local]),
        "/redirect": redirect(local),
        "/relative.m3u8": hls([f"file:{canary.name}", str(canary)]),
        "/x.ts": content(b"\0" * 1600),
    }
    with answer(answers) as server:
        records = embed(server.address, [p for p in answers if p != "/x.ts"], tiny_backbone)
    assert {record.row.outcome for record in records} <= {
        Outcome.SCHEME,
        Outcome.REDIRECT,
        Outcome.FORMAT_NOT_ALLOWED,
        Outcome.UNAVAILABLE,
    }
    for record in records:
        assert MARK.decode() not in record.row.detail
        assert len(record.features) == 0


@pytest.mark.slow
def test_bomb_does_not_fill_the_parent(scratch: Path, tiny_backbone: Path) -> None:
    process = psutil.Process()
    with answer({"/bomb": gzip_bomb(2000)}) as server:
        before = process.memory_info().rss
        (record,) = embed(server.address, ["/bomb"], tiny_backbone, max_memory_bytes=300_000_000)
    assert record.row.outcome is Outcome.RESOURCE
    assert process.memory_info().rss - before < 200_000_000


@pytest.mark.slow
def test_server_is_given_the_time_it_asks_for(
    clip: bytes, scratch: Path, tiny_backbone: Path
) -> None:
    throttled = status(429, Retry_After="3")
    with answer({"/x.mp4": fails_first(1, throttled, content(clip))}) as server:
        (record,) = embed(server.address, ["/x.mp4"], tiny_backbone)
        first, second, *_ = (request.at_s for request in server.requests)
    assert record.row.outcome is Outcome.OK
    assert second - first >= 3


LATER = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


BUSY = {
    "429 until a date": status(429, Retry_After=LATER),
    "429 for 400 digits": status(429, Retry_After="9" * 400),
    "503 until 9999": status(503, Retry_After="Fri, 31 Dec 9999 23:59:59 GMT"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("busy", "first"),
    # What yt-dlp says of a file's 503 does not tell until when.
    [*product(BUSY, ("direct", "redirected")), ("429 until a date", "embedded")],
)
def test_server_that_asks_for_more_time_than_is_left_is_left_alone(
    busy: str, first: str, scratch: Path, tiny_backbone: Path
) -> None:
    asks = BUSY[busy]
    answers = {"direct": asks, "redirected": redirect("/busy"), "embedded": videos(["/busy"])}
    with answer({"/x.mp4": answers[first], "/busy": asks}) as server:
        (record,) = embed(server.address, ["/x.mp4"], tiny_backbone)
        assert (record.row.outcome, record.row.attempts) == (Outcome.THROTTLED, 1)
        assert set(server.requested.values()) == {1}


@pytest.mark.slow
def test_server_that_fails_is_asked_three_times(scratch: Path, tiny_backbone: Path) -> None:
    with answer({"/x.mp4": status(503)}) as server:
        (record,) = embed(server.address, ["/x.mp4"], tiny_backbone)
        assert (record.row.outcome, record.row.attempts) == (Outcome.HTTP_5XX, 3)
        assert server.requested == {"/x.mp4": 3}


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("not a url", "not a url: link_invalid: it is neither"),
        ("file:///etc/passwd", "file:///etc/passwd: scheme: "),
        ("http://2130706433/", "http://2130706433/: host_denied: "),
        ("https://www.youtube.com/@x", "https://www.youtube.com/@x: not_a_single_video: "),
        ("https://me:secret@films.test/", "https://***@films.test/: link_invalid: it has a user"),
    ],
)
def test_bad_link_has_a_reason_in_place_of_a_score(
    cell: str, reason: str, tiny_backbone: Path, tmp_path: Path
) -> None:
    make_bundle(Store(str(tmp_path)), manifest=manifest_for(tiny_backbone))
    arguments = ["score", cell, "--json", "--bundle", str(tmp_path)]
    ended = CliRunner().invoke(app, [*arguments, "--set", f"backbone.path={tiny_backbone}"])
    assert ended.exit_code == 2
    record = json.loads(ended.stdout)
    assert record["genres"] == []
    assert reason.startswith(f"{record['url']}: {record['outcome']}: ")
    assert "secret" not in ended.output
    assert f"error: no score for {reason}" in ended.stderr
    assert re.search("traceback", ended.stderr, re.IGNORECASE) is None

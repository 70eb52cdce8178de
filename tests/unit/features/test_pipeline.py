from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from clips import make_clip
from lists import as_links
from servers import answer, content, drips, hangs
from servers.files import serve
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
from trailergenre.base.records import Link, Video
from trailergenre.base.sandbox.children import Deadline
from trailergenre.base.storage import Store
from trailergenre.features.backbone import Embedder, load_embedder
from trailergenre.features.fetch_frames import FetchedLink
from trailergenre.features.pipeline import embed_links, keep_frames
from trailergenre.features.settings import StreamSettings, stream_settings
from trailergenre.frames.decoder import Decoder
from trailergenre.runs.kept_frames import KeptFrames
from trailergenre.runs.kept_videos import KeptVideos
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.pacing import Pacer


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of 3 and 5 seconds, noise, and a clip that ends early."""
    directory = tmp_path_factory.mktemp("clips")
    make_clip(directory / "a.mp4", "testsrc2=s=320x320:r=8:d=3")
    make_clip(directory / "b.mp4", "mandelbrot=s=320x320:r=8", "-t", "5")
    long = make_clip(
        directory / "cut.mp4", "testsrc2=s=320x320:r=8:d=20", "-movflags", "+faststart"
    )
    long.write_bytes(long.read_bytes()[: long.stat().st_size // 2])
    (directory / "noise.mp4").write_bytes(b"noise" * 100)
    return directory


@pytest.fixture(scope="module")
def embedder(tiny_backbone: Path) -> Embedder:
    return load_embedder(BackboneConfig(path=str(tiny_backbone), batch_size=2))


def settings_for(
    root: Path,
    *,
    allow: tuple[str, ...] = (),
    videos: KeptVideos | None = None,
    frames: KeptFrames | None = None,
    deadline_s: float = 600,
    proxy_variable: str | None = None,
) -> StreamSettings:
    config = Config(
        links=LinksConfig(allowed_roots=(str(root),)),
        network=NetworkConfig(allow=allow, proxy_variable=proxy_variable),
        backbone=BackboneConfig(batch_size=2),
        limits=LimitsConfig(deadline_s=deadline_s),
    )
    return replace(stream_settings(config, FORM), videos=videos, frames=frames)


def facts(link: FetchedLink) -> tuple[object, ...]:
    """What the decoder and the download saw of a link's video."""
    row = link.row
    return row.duration_s, row.width_px, row.height_px, row.decode_errors, row.size_bytes


def file_links(root: Path, *names: str) -> list[str]:
    return [(root / name).as_uri() for name in names]


def test_every_link_comes_out_in_order_with_its_class(clips: Path, embedder: Embedder) -> None:
    links = as_links(file_links(clips, "noise.mp4", "a.mp4", "cut.mp4", "gone.mp4", "b.mp4"))
    records = list(embed_links(links, settings_for(clips), embedder))
    assert [record.link for record in records] == links
    assert [(record.row.outcome, len(record.features)) for record in records] == [
        (Outcome.NOT_MEDIA, 0),
        (Outcome.OK, 3),
        (Outcome.PARTIAL, 0),
        (Outcome.PATH, 0),
        (Outcome.OK, 5),
    ]


def test_features_are_those_of_the_links_own_frames(clips: Path, embedder: Embedder) -> None:
    links = as_links(file_links(clips, "a.mp4", "cut.mp4", "b.mp4"))
    records = list(embed_links(links, settings_for(clips), embedder))
    for record, name in zip(records[::2], ["a.mp4", "b.mp4"], strict=True):
        video = Decoder(FORM, 1, LimitsConfig()).decode(clips / name, deadline=Deadline(30))
        expected = embedder.embed(np.concatenate(list(video.batches(16))))
        np.testing.assert_array_equal(record.features, expected)


def test_kept_video_is_not_requested_again(clips: Path, embedder: Embedder, tmp_path: Path) -> None:
    with serve(clips) as server:
        links = as_links([f"http://{server.address}/a.mp4"])
        kept_videos = KeptVideos(Store(str(tmp_path)), "key", keeps_new=True)
        settings = settings_for(clips, allow=(server.address,), videos=kept_videos)
        first = list(embed_links(links, settings, embedder))
        asked = len(server.requested)
        second = list(embed_links(links, settings, embedder))
        assert asked > 0
        assert len(server.requested) == asked
    np.testing.assert_array_equal(first[0].features, second[0].features)
    assert (first[0].row.attempts, second[0].row.attempts) == (1, 0)
    assert kept_videos.list_link_ids() == {links[0].link_id}


def test_kept_video_that_was_at_fault_is_requested_again_and_replaced(
    clips: Path, embedder: Embedder, tmp_path: Path
) -> None:
    with serve(clips) as server:
        (link,) = as_links([f"http://{server.address}/a.mp4"])
        store = Store(str(tmp_path))
        kept_videos = KeptVideos(store, "key", keeps_new=True)
        settings = settings_for(clips, allow=(server.address,), videos=kept_videos)
        store.write_bytes(f"videos/key/{link.link_id}", b"damaged")
        outcomes = [
            record.row.outcome
            for again in (link, replace(link, is_refetched=True), link)
            for record in embed_links([again], settings, embedder)
        ]
    assert outcomes == [Outcome.NOT_MEDIA, Outcome.OK, Outcome.OK]


def test_the_pacer_is_told_when_an_attempt_reached_its_server(
    clips: Path, embedder: Embedder
) -> None:
    passed_at_s: list[float] = []
    ends: list[Video | ItemError] = []

    class Log(Pacer):
        def wait(self, link: Link, deadline: Deadline) -> None:
            passed_at_s.append(time.monotonic())

        def record(self, link: Link, result: Video | ItemError) -> None:
            ends.append(result)

    with answer({"/a.mp4": content((clips / "a.mp4").read_bytes())}) as server:
        links = as_links([f"http://{server.address}/{name}.mp4" for name in ("a", "gone")])
        list(embed_links(links, settings_for(clips, allow=(server.address,)), embedder, Log()))
    reached = [
        next(r.at_s for r in server.requests if r.path == f"/{n}.mp4") for n in ("a", "gone")
    ]
    for passed, end, at_s in zip(passed_at_s, ends, reached, strict=True):
        assert end.asked_at_s is not None
        assert passed < end.asked_at_s < at_s


def test_kept_frames_give_the_same_features_and_are_neither_asked_for_nor_decoded_again(
    clips: Path, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_frames = KeptFrames(Store(str(tmp_path)), "key", keeps_new=True)
    with serve(clips) as server:
        links = as_links([f"http://{server.address}/{n}.mp4" for n in ("a", "noise", "b")])
        settings = settings_for(clips, allow=(server.address,), frames=kept_frames)
        alone = list(embed_links(links, replace(settings, frames=None), embedder))
        kept = list(keep_frames(links, settings))
        assert [record.row.outcome for record in kept] == ["ok", "not_media", "ok"]
        assert [record.row.frames for record in kept] == [3, 0, 5]
        assert kept_frames.list_link_ids() == {links[0].link_id, links[2].link_id}
        server.requested.clear()
        monkeypatch.setattr(Decoder, "decode", None)
        again = list(embed_links([links[0], links[2]], settings, embedder))
        assert server.requested == []
    for first, stored, record in zip(alone[::2], kept[::2], again, strict=True):
        np.testing.assert_array_equal(first.features, record.features)
        assert facts(first) == facts(record)
        assert (record.row.attempts, record.row.connections) == (1, (server.address,))
        assert stored.row.download_s == record.row.download_s


def test_a_link_that_hangs_costs_the_others_nothing(
    clips: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trailergenre.features.fetch_frames.SLOW_S", 0.1)
    release = threading.Event()
    video = content((clips / "a.mp4").read_bytes())
    with answer({"/hangs.mp4": drips(release), "/*": video}) as server:
        names = ["hangs", *"abcdefgh"]
        links = as_links([f"http://{server.address}/{name}.mp4" for name in names])
        stream = embed_links(links, settings_for(clips, allow=(server.address,)), embedder)
        # Its deadline is ten minutes; all others come out before it.
        before = [next(stream) for _ in links[1:]]
        # Side by side, their order is the machine's.
        assert {record.link.url for record in before} == {link.url for link in links[1:]}
        assert {record.row.outcome for record in before} == {Outcome.OK}
        release.set()
        (last,) = stream
    assert last.link == links[0]


def test_fault_of_ours_costs_one_link_and_names_itself(
    clips: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = as_links(file_links(clips, "a.mp4", "b.mp4"))
    original = Downloader.fetch

    def broken(self: Downloader, link: object, *more: object) -> object:
        if link == links[0]:
            raise KeyError("surprise")
        return original(self, link, *more)  # type: ignore[arg-type]

    monkeypatch.setattr(Downloader, "fetch", broken)
    records = list(embed_links(links, settings_for(clips), embedder))
    assert [record.row.outcome for record in records] == [Outcome.INTERNAL, Outcome.OK]
    assert "KeyError" in records[0].row.detail


def test_what_a_fault_of_ours_says_holds_no_secret(
    clips: Path,
    embedder: Embedder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(self: Downloader, *_: object) -> object:
        try:
            raise ValueError(f"cannot parse {unquote(self.proxy or '')}")
        except ValueError as error:
            raise KeyError(str(error)) from error

    monkeypatch.setattr(Downloader, "fetch", broken)
    monkeypatch.setenv("MY_PROXY", "http://me:zq%5C%27wx@proxy.test:1")
    settings = settings_for(clips, proxy_variable="MY_PROXY")
    (record,) = embed_links(as_links(file_links(clips, "a.mp4")), settings, embedder)
    for text in (record.row.detail, caplog.text):
        assert "cannot parse http://***@proxy.test:1" in text
        assert not re.search("zq|wx", text)
    assert "in broken" in caplog.text


def test_full_disk_fails_the_task_and_not_the_link(
    clips: Path, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Downloader, "fetch", full)
    links = as_links(file_links(clips, "a.mp4"))
    with pytest.raises(OSError, match="No space left"):
        list(embed_links(links, settings_for(clips), embedder))


def test_nothing_is_left_in_scratch(
    clips: Path, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    links = as_links(file_links(clips, "a.mp4", "noise.mp4", "b.mp4"))
    stream = embed_links(links, settings_for(clips), embedder)
    next(stream)
    assert list(tmp_path.iterdir())
    stream.close()  # type: ignore[attr-defined]
    assert list(tmp_path.iterdir()) == []


def test_leaving_early_does_not_wait_for_a_download(
    clips: Path, embedder: Embedder, tmp_path: Path
) -> None:
    release = threading.Event()
    answers = {"/hangs.mp4": hangs(release), "/a.mp4": content((clips / "a.mp4").read_bytes())}
    with answer(answers) as server:
        links = as_links([f"http://{server.address}/{name}.mp4" for name in ("a", "hangs")])
        stream = embed_links(links, settings_for(clips, allow=(server.address,)), embedder)
        assert next(stream).row.outcome is Outcome.OK
        while not server.requested.get("/hangs.mp4"):
            time.sleep(0.05)
        # The server would say nothing for minutes, and the link's deadline is ten of them.
        closing = threading.Thread(target=stream.close)  # type: ignore[attr-defined]
        closing.start()
        closing.join(60)
        is_closed = not closing.is_alive()
        release.set()
        closing.join()
        assert is_closed

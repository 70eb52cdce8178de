"""The smallest adequate format, by the rule and of a list that a server offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lists import as_links
from served import FORMATS, MASTER, SMALLEST, serve_formats, video_of
from servers import answer
from trailergenre.base.config import LimitsConfig, LinksConfig, NetworkConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import FrameForm
from trailergenre.base.sandbox.children import Deadline
from trailergenre.videos.downloader import Downloader
from trailergenre.videos.formats import choose_format, format_rule, least_side_px, select_format


def offer(
    name: str, width: int | None, height: int | None, *, sound: bool = False, **more: object
) -> dict[str, object]:
    return {
        "format_id": name,
        "width": width,
        "height": height,
        "vcodec": "avc1",
        "acodec": "mp4a" if sound else "none",
        "protocol": "https",
        "ext": "mp4",
        **more,
    }


LADDER = [
    offer("144p", 256, 144),
    offer("240p", 426, 240),
    offer("360p", 640, 360),
    offer("480p", 854, 480),
    offer("1080p", 1920, 1080),
]


def chosen(formats: list[dict[str, object]]) -> object:
    choice = choose_format(formats)
    return None if choice is None else choice["format_id"]


def test_smallest_with_both_sides_large_enough() -> None:
    assert chosen(LADDER) == "360p"


def test_portrait_video_counts_its_short_side() -> None:
    assert chosen([offer("small", 240, 426), offer("fits", 360, 640)]) == "fits"


def test_video_only_wins_over_a_smaller_one_with_sound() -> None:
    assert chosen([offer("both", 640, 360, sound=True), offer("mute", 854, 480)]) == "mute"


def test_sound_is_taken_where_nothing_else_is_large_enough() -> None:
    assert chosen([offer("mute", 256, 144), offer("both", 640, 360, sound=True)]) == "both"


@pytest.mark.parametrize(
    ("form", "name"),
    [
        (FrameForm(224, 224), "360p"),  # the videos of Inception-V3 serve smaller networks, too
        (FrameForm(299, 299), "360p"),
        (FrameForm(384, 384), "480p"),
        (FrameForm(224, 384), "480p"),
    ],
)
def test_a_video_is_at_least_as_large_as_a_frame(form: FrameForm, name: str) -> None:
    choice = choose_format(LADDER, least_side_px(form))
    assert choice is not None
    assert choice["format_id"] == name


def test_networks_share_videos_unless_their_frames_are_larger() -> None:
    rules = [format_rule(FrameForm(side, side)) for side in (96, 224, 299, 384)]
    assert rules[:3] == ["smallest-video-only-299-v1"] * 3
    assert rules[3] == "smallest-video-only-384-v1"


def test_lower_rate_wins_at_one_size() -> None:
    assert chosen([offer("a", 640, 360, tbr=800.0), offer("b", 640, 360, tbr=300.0)]) == "b"


def test_largest_wins_where_all_are_small() -> None:
    assert chosen([offer("144p", 256, 144), offer("240p", 426, 240)]) == "240p"


def test_file_of_unknown_size_is_taken() -> None:
    assert chosen([offer("0", None, None, sound=True)]) == "0"


@pytest.mark.parametrize(
    ("readable", "other"),
    [
        # A page with two files, of which nothing but the names is known.
        ({"vcodec": None}, {"vcodec": None, "ext": "ogv"}),
        ({"vcodec": None, "ext": "webm"}, {"vcodec": None, "ext": "wmv"}),
        ({"vcodec": "av01.0.05M.08"}, {"vcodec": "theora"}),
        ({"vcodec": "vp09.00.40.08", "ext": "webm"}, {"vcodec": "prores", "ext": "mov"}),
        ({"vcodec": "hev1.2.4.L120"}, {"vcodec": None, "ext": "unknown_video"}),
        ({"vcodec": "vp8", "ext": "webm"}, {"vcodec": "vp8", "ext": "ogg"}),
        ({"vcodec": None, "ext": "unknown_video"}, {"vcodec": None, "ext": "asf"}),
    ],
)
def test_what_the_decoder_reads_is_taken_whatever_the_size(
    readable: dict[str, object], other: dict[str, object]
) -> None:
    good = offer("readable", 256, 144, **readable)
    bad = offer("other", 640, 360, **other)
    assert chosen([good, bad]) == chosen([bad, good]) == "readable"
    assert chosen([bad]) == "other"


def test_sound_without_video_is_not_taken() -> None:
    assert chosen([offer("audio", None, None, sound=True, vcodec="none")]) is None


def test_protocols_that_would_start_ffmpeg_are_not_taken() -> None:
    assert (
        chosen([offer("live", 640, 360, protocol="m3u8"), offer("rtmp", 640, 360, protocol="rtmp")])
        is None
    )


@pytest.mark.parametrize(
    ("formats", "outcome"),
    [
        ([offer("audio", None, None, sound=True, vcodec="none")], Outcome.NO_VIDEO),
        ([offer("live", 640, 360, protocol="m3u8")], Outcome.FORMAT_NOT_ALLOWED),
    ],
)
def test_nothing_to_choose_is_a_named_outcome(
    formats: list[dict[str, object]], outcome: Outcome
) -> None:
    with pytest.raises(ItemError) as raised:
        list(select_format({"formats": formats}))
    assert raised.value.outcome is outcome


def test_the_smallest_format_of_a_served_list_is_fetched_and_nothing_else(tmp_path: Path) -> None:
    formats, scratch = tmp_path / "formats", tmp_path / "scratch"
    formats.mkdir()
    scratch.mkdir()
    with answer(serve_formats(formats)) as server:
        network = NetworkConfig(allow=(server.address,))
        (link,) = as_links([f"http://{server.address}{MASTER}"])
        downloader = Downloader(LinksConfig(), network, LimitsConfig())
        video, attempts = downloader.fetch(link, scratch, Deadline(60))
        # yt-dlp also reads the first playlist, for the total duration.
        parts = [path for path in server.requested if path.endswith(".ts")]
        n_offered = sum(path.endswith("list.m3u8") for path in server.answers)
    assert (n_offered, attempts) == (len(FORMATS), 1)
    smallest = video_of(formats, SMALLEST)
    assert video.path.read_bytes() == smallest
    assert len(smallest) < len(video_of(formats, SMALLEST.replace("alone", "sound")))
    assert sorted(parts) == [f"{SMALLEST}/list0.ts", f"{SMALLEST}/list1.ts"]

"""Of several video streams the default one is decoded, else the largest; never a cover."""

from __future__ import annotations

from pathlib import Path

import pytest

from clips import run_ffmpeg
from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.records import VideoFacts
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import Decoder

SMALL, LARGE = "testsrc=s=64x64:r=8:d=3", "testsrc2=s=160x120:r=8:d=3"


def facts_of(clip: Path) -> VideoFacts:
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(60))
    assert sum(map(len, video.batches(16))) == 3
    assert video.facts is not None
    return video.facts


def make(path: Path, sources: list[str], *options: str) -> Path:
    inputs = [word for source in sources for word in ("-f", "lavfi", "-i", source)]
    maps = [word for k in range(len(sources)) for word in ("-map", str(k))]
    run_ffmpeg(*inputs, *maps, "-c:v", "libx264", "-pix_fmt", "yuv420p", *options, str(path))
    return path


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize(
    ("sources", "default", "width_px"),
    [
        ([SMALL, LARGE], 1, 160),
        ([SMALL, LARGE], 0, 64),
        ([LARGE, SMALL], 0, 160),
    ],
)
def test_the_default_track_is_decoded(
    tmp_path: Path, container: str, sources: list[str], default: int, width_px: int
) -> None:
    flags = ["-disposition:v", "0", f"-disposition:v:{default}", "default"]
    clip = make(tmp_path / f"clip.{container}", sources, *flags)
    assert facts_of(clip).width_px == width_px


def test_the_largest_of_several_defaults_is_decoded(tmp_path: Path) -> None:
    clip = make(tmp_path / "clip.mkv", [SMALL, LARGE], "-disposition:v", "default")
    assert facts_of(clip).width_px == 160


@pytest.mark.parametrize("codec", ["png", "mjpeg"])
def test_a_cover_before_the_film_is_not_decoded(tmp_path: Path, codec: str) -> None:
    cover = "color=red:s=800x800:r=1:d=1"
    options = ["-c:v:0", codec, "-pix_fmt:v:0", "rgb24" if codec == "png" else "yuvj420p"]
    clip = make(tmp_path / "clip.mp4", [cover, SMALL], *options, "-disposition:v:0", "attached_pic")
    assert facts_of(clip).width_px == 64


def test_a_cover_alone_is_no_video(tmp_path: Path) -> None:
    clip = tmp_path / "clip.m4a"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "sine=d=2", "-f", "lavfi", "-i", "color=red:s=64x64:r=1:d=1"),
        *("-map", "0", "-map", "1", "-c:v", "png", "-disposition:v", "attached_pic"),
        *("-f", "mp4", str(clip)),
    )
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(60))
    with pytest.raises(ItemError) as raised:
        list(video.batches(16))
    assert raised.value.outcome is Outcome.NO_VIDEO

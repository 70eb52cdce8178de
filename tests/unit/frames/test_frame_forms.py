"""Frames of another size than Inception-V3's, squeezed or cropped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clips import make_clip
from trailergenre.base.config import LimitsConfig
from trailergenre.base.records import FrameForm
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import Decoder

CROP = FrameForm(40, 40, "center-crop")


def decode(path: Path, form: FrameForm) -> np.ndarray:
    video = Decoder(form, 1, LimitsConfig()).decode(path, deadline=Deadline(60))
    return np.concatenate(list(video.batches(2)))


def banded(path: Path, size: str, box: str, *filters: str) -> Path:
    """A green picture with a red box."""
    boxed = f"color=c=green:s={size}:r=4:d=2,drawbox={box}:color=red:t=fill"
    return make_clip(path, ",".join([boxed, *filters]), "-crf", "1", "-pix_fmt", "yuv444p")


def red_share(frames: np.ndarray) -> float:
    return float((frames[..., 0] > frames[..., 1]).mean())


@pytest.mark.parametrize("resize", ["squeeze", "center-crop"])
def test_a_frame_has_the_networks_height_and_width(tmp_path: Path, resize: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x240:r=8:d=3")
    assert decode(clip, FrameForm(80, 96, resize)).shape == (3, 80, 96, 3)
    assert decode(clip, FrameForm(384, 384, resize)).shape == (3, 384, 384, 3)


@pytest.mark.parametrize(
    ("size", "box", "filters"),
    [
        ("160x80", "x=40:w=80:h=80", ()),  # landscape
        ("80x160", "y=40:w=80:h=80", ()),  # portrait
        ("80x80", "x=20:w=40:h=80", ("setsar=2",)),  # shown as 160 x 80
    ],
    ids=["landscape", "portrait", "wide pixels"],
)
def test_a_crop_is_the_middle_of_the_picture_as_displayed(
    tmp_path: Path, size: str, box: str, filters: tuple[str, ...]
) -> None:
    clip = banded(tmp_path / "clip.mp4", size, box, *filters)
    assert red_share(decode(clip, CROP)) == pytest.approx(1, abs=0.03)
    assert red_share(decode(clip, FrameForm(40, 40))) == pytest.approx(0.5, abs=0.03)


def test_a_crop_is_where_pillow_and_clip_have_it(tmp_path: Path) -> None:
    """The shortest side to the frame's, bicubic, then the centre, as CLIP's image processor.

    The scaled picture has 171 columns, so the middle is between two places.
    """
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=570x320:r=1:d=1", "-crf", "1")
    picture = decode(clip, FrameForm(320, 570))[0]
    side = 96
    scaled = Image.fromarray(picture).resize(
        (int(570 * side / 320), side), Image.Resampling.BICUBIC
    )
    left = (scaled.width - side) // 2
    expected = np.asarray(scaled.crop((left, 0, left + side, side)), np.float32)
    received = decode(clip, FrameForm(side, side, "center-crop"))[0].astype(np.float32)
    off_by = [
        np.abs(np.roll(received, shift, 1) - expected)[:, 4:-4].mean() for shift in (-1, 0, 1)
    ]
    assert int(np.argmin(off_by)) == 1
    assert off_by[1] < off_by[0] / 3


def test_a_crop_of_a_video_that_changes_its_size_stays_a_frame(tmp_path: Path) -> None:
    for name, size in (("a", "320x180"), ("b", "180x320")):
        make_clip(tmp_path / f"{name}.ts", f"testsrc2=s={size}:r=8:d=2")
    both = tmp_path / "both.ts"
    both.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    assert decode(both, CROP).shape[1:] == (40, 40, 3)

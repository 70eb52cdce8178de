from __future__ import annotations

import io

import numpy as np
from PIL import Image

from backbones import frames_of
from trailergenre.reports.thumbnails import make_jpegs


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

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from clips import make_numbered_clip, read_numbers
from trailergenre.base.config import Config, FramesConfig
from trailergenre.base.errors import ConfigError
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.features import representative_frames
from trailergenre.features.representative_frames import read_representative_frames

EVERY_FRAME = Config(frames=FramesConfig(per_second=24))


def test_frames_of_one_video_are_evenly_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_numbered_clip(tmp_path / "a.mp4", n_frames=50)
    (whole,) = read_representative_frames(clip, EVERY_FRAME, FORM)
    assert read_numbers(whole) == list(range(50))
    monkeypatch.setattr(representative_frames, "MAX_FRAMES", 20)
    (thinned,) = read_representative_frames(clip, EVERY_FRAME, FORM)
    assert read_numbers(thinned) == list(range(0, 50, 4))


def test_videos_of_a_directory_share_the_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbered_clip(tmp_path / "b.mp4", n_frames=5)
    make_numbered_clip(tmp_path / "a.mp4", n_frames=30)
    monkeypatch.setattr(representative_frames, "MAX_FRAMES", 20)
    videos = read_representative_frames(tmp_path, EVERY_FRAME, FORM)
    assert [read_numbers(video) for video in videos] == [list(range(0, 30, 4)), [0, 1, 2, 3, 4]]


def test_of_many_videos_some_are_taken_evenly_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        make_numbered_clip(tmp_path / f"{number}.mp4", n_frames=number + 1)
    monkeypatch.setattr(representative_frames, "_MAX_VIDEOS", 3)
    assert [len(video) for video in read_representative_frames(tmp_path, EVERY_FRAME, FORM)] == [
        1,
        3,
        5,
    ]


def test_a_video_that_cannot_be_decoded_is_skipped_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_numbered_clip(tmp_path / "good.mp4", n_frames=3)
    (tmp_path / "bad.mp4").write_bytes(b"noise" * 100)
    with caplog.at_level(logging.WARNING):
        (video,) = read_representative_frames(tmp_path, EVERY_FRAME, FORM)
    assert (video.shape, video.dtype) == ((3, 299, 299, 3), np.uint8)
    assert "skipping bad.mp4: not_media" in caplog.text


@pytest.mark.parametrize("kind", ["empty directory", "missing", "no video"])
def test_where_nothing_can_be_decoded_the_path_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration"
    if kind == "empty directory":
        path.mkdir()
    if kind == "no video":
        path.write_text("text")
    with pytest.raises(ConfigError, match=str(path)):
        read_representative_frames(path, EVERY_FRAME, FORM)

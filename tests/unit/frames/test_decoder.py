from __future__ import annotations

import math
import os
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from clips import make_clip, make_numbered_clip, read_numbers, run_ffmpeg
from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ItemError, ToolMissingError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.records import VideoFacts
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import Decoder
from trailergenre.frames.ffmpeg import find_ffmpeg


def decode(
    path: Path, *, frames_per_s: float = 1, limits: LimitsConfig | None = None, batch: int = 16
) -> np.ndarray:
    """All frames of a clip, shape (n, 299, 299, 3)."""
    video = Decoder(FORM, frames_per_s, limits or LimitsConfig()).decode(
        path, deadline=Deadline(60)
    )
    return np.concatenate(list(video.batches(batch)))


def outcome_of(path: Path, *, limits: LimitsConfig | None = None, seconds: float = 60) -> Outcome:
    video = Decoder(FORM, 1, limits or LimitsConfig()).decode(path, deadline=Deadline(seconds))
    with pytest.raises(ItemError) as raised:
        list(video.batches(16))
    return raised.value.outcome


@pytest.mark.parametrize("rate", ["24000/1001", "30000/1001", "30", "25"])
@pytest.mark.parametrize("frames_per_s", [1, 2])
def test_frame_i_is_what_is_on_screen_at_its_time(
    tmp_path: Path, rate: str, frames_per_s: int
) -> None:
    clip = make_numbered_clip(tmp_path / "clip.mp4", n_frames=200, rate=rate)
    length_s = 200 / Fraction(rate)
    expected = [
        math.floor(Fraction(i, frames_per_s) * Fraction(rate))
        for i in range(math.ceil(length_s * frames_per_s))
    ]
    assert read_numbers(decode(clip, frames_per_s=frames_per_s)) == expected


def test_variable_rate_repeats_the_frame_that_stays_on_screen(tmp_path: Path) -> None:
    # Frames 0..23 in the first second, then 24..47 after a gap of three seconds.
    shift = "setpts='(N/24+if(gte(N,24),3,0))/TB'"
    clip = make_numbered_clip(
        tmp_path / "clip.mkv", n_frames=48, options=["-vf", shift, "-fps_mode", "vfr"]
    )
    assert read_numbers(decode(clip)) == [0, 23, 23, 23, 24]


def test_timestamps_that_start_late_count_from_the_first_frame(tmp_path: Path) -> None:
    clip = make_numbered_clip(
        tmp_path / "clip.ts", n_frames=72, options=["-output_ts_offset", "100"]
    )
    assert read_numbers(decode(clip)) == [0, 24, 48]


def test_rotation_is_applied(tmp_path: Path) -> None:
    upright = make_numbered_clip(tmp_path / "upright.mp4", n_frames=48)
    rotated = tmp_path / "rotated.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", str(upright), "-c", "copy", str(rotated))
    frames = decode(rotated)
    # After the decoder's rotation, the bars read as before.
    assert read_numbers(np.rot90(frames, k=-1, axes=(1, 2))) == [0, 24]
    assert read_numbers(frames) != [0, 24]


def test_one_frame_gives_one_row(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "one.mp4", "testsrc2=s=320x320:r=10", "-frames:v", "1")
    assert decode(clip).shape == (1, 299, 299, 3)


def test_less_than_half_a_second_gives_one_row(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "short.mp4", "testsrc2=s=320x320:r=10:d=0.4")
    assert len(decode(clip)) == 1


@pytest.mark.parametrize("name", [b"caf\xe9.mp4", b"\xff\n.mp4", "映画 'x' %d.mp4".encode()])
def test_any_file_name_is_opened(tmp_path: Path, name: bytes) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=64x64:r=4:d=2")
    assert len(decode(clip.rename(tmp_path / os.fsdecode(name)))) == 2


def test_frames_are_rgb(tmp_path: Path) -> None:
    red, green, blue = decode(make_clip(tmp_path / "red.mp4", "color=red:s=320x320:d=1:r=4")).mean(
        axis=(0, 1, 2)
    )
    assert (red > 240, green < 15, blue < 15) == (True, True, True)


def test_batches_do_not_change_the_frames(tmp_path: Path) -> None:
    clip = make_numbered_clip(tmp_path / "clip.mp4", n_frames=24 * 7)
    np.testing.assert_array_equal(decode(clip, batch=3), decode(clip, batch=16))


def test_facts_are_those_of_the_source(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=400x300:r=8:d=3")
    video = Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=Deadline(60))
    assert sum(len(batch) for batch in video.batches(16)) == 3
    assert video.facts == VideoFacts(duration_s=3.0, pictures_s=3.0, width_px=400, height_px=300)


@pytest.mark.parametrize(
    ("degrees", "size_px"), [("90", (300, 400)), ("-90", (300, 400)), ("180", (400, 300))]
)
def test_facts_of_a_turned_video_are_of_what_is_seen(
    tmp_path: Path, degrees: str, size_px: tuple[int, int]
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=400x300:r=8:d=1")
    turned = tmp_path / "turned.mp4"
    run_ffmpeg("-display_rotation", degrees, "-i", str(clip), "-c", "copy", str(turned))
    video = Decoder(FORM, 1, LimitsConfig()).decode(turned, deadline=Deadline(60))
    assert sum(len(batch) for batch in video.batches(16)) == 1
    assert video.facts is not None
    assert (video.facts.width_px, video.facts.height_px) == size_px


@pytest.mark.parametrize(
    ("content", "outcome"),
    [
        (b"", Outcome.NOT_MEDIA),
        (b"<html></html>", Outcome.NOT_MEDIA),
        (bytes(range(256)) * 16, Outcome.NOT_MEDIA),
    ],
    ids=["empty", "page", "noise"],
)
def test_what_is_no_video_is_not_media(tmp_path: Path, content: bytes, outcome: Outcome) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    assert outcome_of(path) is outcome


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    assert outcome_of(make_clip(tmp_path / "a.m4a", "sine=d=2")) is Outcome.NO_VIDEO


def test_picture_is_a_format_that_is_not_allowed(tmp_path: Path) -> None:
    picture = make_clip(tmp_path / "x.png", "color=red:s=320x320", "-frames:v", "1")
    assert outcome_of(picture.rename(tmp_path / "x.mp4")) is Outcome.FORMAT_NOT_ALLOWED


@pytest.mark.parametrize("options", [["-movflags", "+faststart"], ["-f", "matroska"]])
def test_cut_file_is_partial(tmp_path: Path, options: list[str]) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=20", *options)
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) * 6 // 10])
    assert outcome_of(clip) is Outcome.PARTIAL


def test_longer_sound_is_no_missing_picture(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    run_ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x320:r=8:d=3", "-f", "lavfi", "-i", "sine=d=9"),
        str(clip),
    )
    assert len(decode(clip)) == 3


def test_engine_that_takes_its_time_costs_the_link_nothing(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=6")
    started, deadline = time.monotonic(), Deadline(600)
    for _ in Decoder(FORM, 1, LimitsConfig()).decode(clip, deadline=deadline).batches(4):
        time.sleep(0.5)
    # On any machine, the waits after a full and a last batch do not count against the deadline.
    used_s = 600 - deadline.left_s
    assert time.monotonic() - started - used_s >= 0.9


def test_large_pictures_are_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=640x480:r=8:d=1")
    assert outcome_of(clip, limits=LimitsConfig(max_pixels=300_000)) is Outcome.DIMENSIONS


def test_more_frames_than_allowed_are_refused(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=320x320:r=8:d=6")
    assert outcome_of(clip, limits=LimitsConfig(max_frames=5)) is Outcome.TOO_LONG


def test_deadline_ends_the_decoder(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=1280x720:r=30:d=20", "-preset", "ultrafast")
    assert outcome_of(clip, seconds=0.05) is Outcome.TIMEOUT


def test_missing_ffmpeg_is_named_with_its_install_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    with pytest.raises(ToolMissingError, match="apt-get install ffmpeg"):
        find_ffmpeg.__wrapped__()

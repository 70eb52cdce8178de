"""Time is the video's, whatever its stream does: frame i is what is shown at second i."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from clips import make_clip, make_numbered_clip, read_numbers, run_ffmpeg
from independent import assert_same_pictures
from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ItemError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import DecodedVideo, Decoder

SEGMENT = 60  # frames, 2.5 s


def open_video(path: Path) -> DecodedVideo:
    return Decoder(FORM, 1, LimitsConfig()).decode(path, deadline=Deadline(60))


def numbers(path: Path) -> list[int]:
    return read_numbers(np.concatenate(list(open_video(path).batches(16))))


def failure(path: Path) -> ItemError:
    with pytest.raises(ItemError) as raised:
        list(open_video(path).batches(16))
    return raised.value


@cache
def make_segment(directory: Path, k: int, start_s: float, *options: str) -> bytes:
    """A segment of 2.5 s in MPEG-TS with the k-th 60 numbers."""
    return make_numbered_clip(
        directory / "segment.ts",
        n_frames=SEGMENT,
        first=k * SEGMENT,
        options=[
            *("-bf", "0", "-preset", "ultrafast", "-muxdelay", "0", "-muxpreload", "0"),
            *("-output_ts_offset", str(start_s), *options),
        ],
    ).read_bytes()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where segments are made, each once."""
    return tmp_path_factory.mktemp("segments")


def join(directory: Path, path: Path, changed: Sequence[str] = (), *, shift_s: float = 2.5) -> Path:
    """Join three segments that are numbered throughout; the second one is `changed`."""
    options = ((), changed, ())
    segments = [make_segment(directory, k, k * shift_s, *options[k]) for k in range(3)]
    path.write_bytes(b"".join(segments))
    return path


CHANGES = {
    "size": ["-vf", "scale=640:320"],
    "smaller": ["-vf", "scale=160:160"],
    "portrait": ["-vf", "scale=320:640"],
    "pixels": ["-pix_fmt", "yuv444p"],
    "depth": ["-pix_fmt", "yuv420p10le"],
    "matrix": ["-bsf:v", "h264_metadata=matrix_coefficients=1"],
    "range": ["-bsf:v", "h264_metadata=video_full_range_flag=1"],
    "transfer": ["-bsf:v", "h264_metadata=transfer_characteristics=9"],
    "aspect": ["-bsf:v", "h264_metadata=sample_aspect_ratio=4/3"],
    "programme": ["-mpegts_service_id", "7"],
    "rate": ["-vf", "select=not(mod(n\\,2))", "-fps_mode", "passthrough"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_in_mid_stream_does_not_restart_the_clock(
    tmp_path: Path, directory: Path, change: str
) -> None:
    clip = join(directory, tmp_path / "clip.ts", CHANGES[change])
    frames = np.concatenate(list(open_video(clip).batches(16)))
    found = read_numbers(frames)
    # At half the rate, each picture stands for two.
    expected = [24 * i for i in range(8)]
    if change != "transfer":  # which PyAV's scaler refuses
        assert_same_pictures(frames, clip)
    slack = 1 if change == "rate" else 0
    assert len(found) == 8
    assert np.abs(np.subtract(found, expected)).max() <= slack


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_change_of_size_is_one_film_in_any_container(
    tmp_path: Path, directory: Path, container: str
) -> None:
    joined = join(directory, tmp_path / "joined.ts", CHANGES["size"])
    clip = tmp_path / f"clip.{container}"
    run_ffmpeg("-i", str(joined), "-c", "copy", str(clip))
    assert numbers(clip) == [24 * i for i in range(8)]


@pytest.mark.parametrize(
    ("shift_s", "expected"),
    [
        # Timestamps that start again with each segment, or jump by an hour: the film goes on.
        (0, [24 * i for i in range(8)]),
        (3600, [24 * i for i in range(8)]),
        # A gap of 2.5 s: the last picture stays.
        (5, [0, 24, 48, 59, 59, 60, 84, 108, 119, 119, 120, 144, 168]),
    ],
)
def test_timestamps_that_jump(
    tmp_path: Path, directory: Path, shift_s: float, expected: list[int]
) -> None:
    clip = join(directory, tmp_path / "clip.ts", shift_s=shift_s)
    assert numbers(clip) == expected


def test_timestamps_that_wrap(tmp_path: Path) -> None:
    # 33 bits of 90 kHz end at 95,443.7 s.
    options = ["-output_ts_offset", "95440"]
    clip = make_numbered_clip(tmp_path / "clip.ts", n_frames=240, options=options)
    assert numbers(clip) == [24 * i for i in range(10)]


@pytest.mark.parametrize("pids", [(256, 512, 256), (256, 272, 288)])
def test_a_film_that_goes_on_in_another_track_is_partial(
    tmp_path: Path, directory: Path, pids: tuple[int, ...]
) -> None:
    parts = [
        make_segment(directory, k, 2.5 * k, "-streamid", f"0:{pid}") for k, pid in enumerate(pids)
    ]
    clip = tmp_path / "clip.ts"
    clip.write_bytes(b"".join(parts))
    error = failure(clip)
    assert error.outcome is Outcome.PARTIAL
    assert "go on in another track" in error.detail


def test_tracks_beside_each_other_are_whole(tmp_path: Path) -> None:
    clip = tmp_path / "clip.ts"
    sources = [f"testsrc2=s={size}:r=24:d=6" for size in ("64x64", "128x128")]
    run_ffmpeg(
        *("-f", "lavfi", "-i", sources[0], "-f", "lavfi", "-i", sources[1]),
        *("-map", "0", "-map", "1", str(clip)),
    )
    video = open_video(clip)
    assert sum(map(len, video.batches(16))) == 6
    assert video.facts is not None
    assert video.facts.width_px == 128


def test_rotated_pictures_that_change_are_refused(tmp_path: Path, directory: Path) -> None:
    joined = join(directory, tmp_path / "joined.ts", CHANGES["portrait"])
    clip = tmp_path / "clip.mp4"
    run_ffmpeg("-display_rotation", "90", "-i", str(joined), "-c", "copy", str(clip))
    assert failure(clip).outcome is Outcome.FORMAT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("source", "options", "n_frames"),
    [
        # The last picture begins at 0.967 s, and ends by its rounded timestamps after 1 s.
        ("testsrc2=s=64x64:r=30:d=1", ["-c:v", "flv", "-f", "flv"], 1),
        ("testsrc2=s=64x64:r=30:d=1", ["-f", "matroska"], 1),
        # A last picture that claims to be shown for 20 s.
        (
            "testsrc2=s=64x64:r=10:d=3",
            ["-bsf:v", "setts=duration=if(eq(N\\,29)\\,20/TB\\,DURATION)"],
            3,
        ),
        ("testsrc2=s=64x64:r=30000/1001:d=5.005", [], 6),
        # Slides of 5 s, and a single one.
        ("testsrc2=s=64x64:r=1/5:d=15", [], 15),
        ("testsrc2=s=64x64:r=1/5:d=5", [], 5),
    ],
    ids=["flv", "matroska", "false", "ntsc", "slides", "slide"],
)
def test_no_frame_is_taken_after_the_last_picture(
    tmp_path: Path, source: str, options: list[str], n_frames: int
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", source, "-bf", "0", *options)
    video = open_video(clip)
    assert sum(map(len, video.batches(16))) == n_frames
    assert video.facts is not None
    assert video.facts.pictures_s is not None
    assert abs(n_frames - video.facts.pictures_s) <= 1


@pytest.mark.parametrize("container", ["mkv", "webm"])
def test_timestamps_that_go_back_are_damage(tmp_path: Path, container: str) -> None:
    # What `cat` makes of two files: the second film would hide behind the first.
    codec = "libvpx" if container == "webm" else "libx264"
    once = make_clip(tmp_path / f"a.{container}", "testsrc2=s=64x64:r=24:d=4", "-c:v", codec)
    clip = tmp_path / f"clip.{container}"
    clip.write_bytes(once.read_bytes() * 2)
    error = failure(clip)
    assert error.outcome is Outcome.DECODE
    assert "timestamps go back: 96 of 192" in error.detail

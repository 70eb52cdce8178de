"""What people's files are like: colours, tracks and containers that our own clips don't have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clips import make_clip, run_ffmpeg
from independent import assert_same_pictures
from trailergenre.base.config import LimitsConfig
from trailergenre.base.records import INCEPTION_V3_FRAME as FORM
from trailergenre.base.sandbox.children import Deadline
from trailergenre.frames.decoder import DecodedVideo, Decoder

SOURCE = "testsrc2=s=160x120:r=8:d=3"


def decode(path: Path) -> tuple[np.ndarray, DecodedVideo]:
    video = Decoder(FORM, 1, LimitsConfig()).decode(path, deadline=Deadline(60))
    return np.concatenate(list(video.batches(16))), video


def tagged(clip: Path, tags: str) -> Path:
    path = clip.with_name("tagged.mp4")
    run_ffmpeg("-i", str(clip), "-c", "copy", "-bsf:v", f"h264_metadata={tags}", str(path))
    return path


@pytest.mark.parametrize(
    ("matrix", "name"), [(8, "ycgco"), (10, "bt2020c"), (12, "chroma-derived-nc"), (14, "ictcp")]
)
@pytest.mark.parametrize(
    ("size", "instead", "its_number"),
    [("160x120", "smpte170m", 6), ("1280x720", "bt709", 1), ("720x1280", "bt709", 1)],
)
def test_an_unknown_matrix_is_read_by_the_size_and_noted(
    tmp_path: Path, matrix: int, name: str, size: str, instead: str, its_number: int
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", f"testsrc2=s={size}:r=2:d=2", "-pix_fmt", "yuv420p")
    frames, video = decode(tagged(clip, f"matrix_coefficients={matrix}"))
    assert video.facts is not None
    assert video.facts.note == f"colours are read as {instead}: the decoder does not know {name}"
    expected, _ = decode(tagged(clip, f"matrix_coefficients={its_number}"))
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize("tags", ["transfer_characteristics=9", "transfer_characteristics=10"])
def test_an_unknown_transfer_changes_nothing(tmp_path: Path, tags: str) -> None:
    clip = make_clip(tmp_path / "clip.mp4", SOURCE, "-pix_fmt", "yuv420p")
    np.testing.assert_array_equal(decode(tagged(clip, tags))[0], decode(clip)[0])


def test_portrait_of_the_largest_size_is_read(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", "testsrc2=s=2160x3840:r=1:d=1", "-preset", "ultrafast")
    _, video = decode(clip)
    assert video.facts is not None
    assert (video.facts.width_px, video.facts.height_px) == (2160, 3840)


@pytest.mark.parametrize(("codec", "container"), [("mpeg2video", "ts"), ("mpeg4", "ts")])
def test_the_size_is_the_streams(tmp_path: Path, codec: str, container: str) -> None:
    # ffmpeg's log shows the codec's tag as `[2][0][0][0] / 0x0002` before the size.
    clip = make_clip(tmp_path / f"clip.{container}", SOURCE.replace("r=8", "r=24"), "-c:v", codec)
    _, video = decode(clip)
    assert video.facts is not None
    assert (video.facts.width_px, video.facts.height_px) == (160, 120)


@pytest.mark.parametrize(("container", "codec"), [("mkv", "srt"), ("mp4", "mov_text")])
@pytest.mark.parametrize(("n_tracks", "end"), [(47, "00:00:02"), (1, "00:01:02")])
def test_subtitles_do_not_matter(
    tmp_path: Path, container: str, codec: str, n_tracks: int, end: str
) -> None:
    text = tmp_path / "s.srt"
    text.write_text(f"1\n00:00:00,500 --> 00:00:01,000\na\n\n2\n{end},000 --> {end},500\nb\n")
    film = make_clip(tmp_path / "film.mp4", SOURCE)
    clip = tmp_path / f"clip.{container}"
    subtitles = ["-i", str(text)] * n_tracks
    maps = [word for k in range(n_tracks + 1) for word in ("-map", str(k))]
    run_ffmpeg("-i", str(film), *subtitles, *maps, "-c", "copy", "-c:s", codec, str(clip))
    # Some programs write no length of their own for each track.
    clip.write_bytes(clip.read_bytes().replace(b"DURATION", b"XURATION"))
    frames, _ = decode(clip)
    assert len(frames) == 3


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("matroska", "libx264"),
        ("webm", "libvpx"),
        ("mpegts", "libx264"),
        ("flv", "libx264"),
        ("avi", "mpeg4"),
        ("vob", "mpeg2video"),
        ("mpeg", "mpeg1video"),
    ],
)
def test_a_file_that_was_written_to_a_pipe_is_read(
    tmp_path: Path, container: str, codec: str
) -> None:
    clip = tmp_path / "clip"
    source = SOURCE.replace("r=8", "r=24")
    # Through a pipe the muxer cannot go back to fill in lengths.
    options = ("-f", "lavfi", "-i", source, "-c:v", codec, "-f", container, "pipe:1")
    clip.write_bytes(run_ffmpeg(*options))
    frames, video = decode(clip)
    assert len(frames) == 3
    assert video.facts is not None
    assert video.facts.duration_s is None or video.facts.duration_s < 3.5


@pytest.mark.parametrize(
    "name",
    [
        "big_buck_bunny_480p_30s",
        "caminandes_360p_10s",
        "sintel_360p_10s",
        "tears_of_steel_360p_10s",
    ],
)
def test_real_clips_are_decoded_as_pyav_decodes_them(data_dir: Path, name: str) -> None:
    clip = data_dir / "video" / f"{name}.mp4"
    frames, _ = decode(clip)
    assert len(frames) == int(name.rpartition("_")[2].removesuffix("s"))
    assert_same_pictures(frames, clip)

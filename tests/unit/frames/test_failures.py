from __future__ import annotations

from pathlib import Path

import pytest

from trailergenre.base.outcomes import Outcome
from trailergenre.frames.failures import explain_failure, find_damage
from trailergenre.frames.ffmpeg_log import FfmpegLog, LogError, VideoStream


@pytest.mark.parametrize(
    ("n_corrupt", "n_failed", "is_damaged"),
    [(0, 0, False), (10, 0, False), (11, 0, True), (0, 10, False), (6, 6, True)],
)
def test_damage_is_more_than_one_frame_in_a_hundred(
    n_corrupt: int, n_failed: int, is_damaged: bool
) -> None:
    report = FfmpegLog(n_corrupt=n_corrupt, n_failed=n_failed, n_decoded=1000 - n_failed)
    damage = find_damage(report)
    assert (damage is not None) is is_damaged
    if damage:
        assert damage.outcome is Outcome.DECODE
        assert f"{n_corrupt + n_failed} of 1000" in damage.detail


HOLE = LogError("in#0/matroska,webm", "Invalid track number 7")


@pytest.mark.parametrize(
    ("report", "is_damaged"),
    [
        (FfmpegLog(n_decoded=400, n_sampled=20, n_repeated=3, errors=[HOLE]), True),
        # A video with few pictures, and one sampled above its own rate.
        (FfmpegLog(n_decoded=400, n_sampled=20, n_repeated=3), False),
        (FfmpegLog(n_decoded=8, n_sampled=20, n_repeated=12, errors=[HOLE]), False),
        (FfmpegLog(n_decoded=400, n_sampled=20, n_repeated=0, errors=[HOLE]), False),
        # An error of the decoder is about an existing frame.
        (
            FfmpegLog(n_decoded=400, n_sampled=20, n_repeated=3, errors=[LogError("h264", "x")]),
            False,
        ),
    ],
)
def test_pictures_that_are_missing_from_the_middle_are_damage(
    report: FfmpegLog, is_damaged: bool
) -> None:
    assert (find_damage(report) is not None) is is_damaged


def test_frames_lost_to_our_own_limits_are_no_damage() -> None:
    report = FfmpegLog(
        n_failed=50, n_decoded=50, errors=[LogError("h264", "Cannot allocate memory")]
    )
    damage = find_damage(report)
    assert damage is not None
    assert damage.outcome is Outcome.RESOURCE


@pytest.mark.parametrize(
    ("complaint", "outcome"),
    [
        ("Picture size 0x0 is invalid", Outcome.DECODE),
        ("Picture size 30000x30000 is invalid", Outcome.DIMENSIONS),
        ("Picture size 8192x8192 exceeds specified max pixel count 8300000", Outcome.DIMENSIONS),
        ("get_buffer() failed: Cannot allocate memory", Outcome.RESOURCE),
        ("Number of streams exceeds max_streams parameter (1000)", Outcome.RESOURCE),
        (
            "Unsupported input (Operation not supported): fmt:yuv420p csp:ictcp prim:unknown",
            Outcome.FORMAT_NOT_ALLOWED,
        ),
        ("Error opening input: Permission denied", Outcome.PATH),
        ("Invalid data found when processing input", Outcome.DECODE),
    ],
)
def test_one_complaint_decides_wherever_it_stands(
    tmp_path: Path, complaint: str, outcome: Outcome
) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom\0\0\0\0")
    others = [LogError("h264", "no frame!"), LogError("h264", complaint), LogError("", "more")]
    # Refused sound is in every log and does not matter.
    report = FfmpegLog(
        n_streams=2,
        refused_codecs={"aac"},
        videos={0: VideoStream("h264 (High), 64x64")},
        errors=others,
    )
    assert explain_failure(report, path).outcome is outcome


def test_refused_decoder_of_the_film_is_a_format(tmp_path: Path) -> None:
    report = FfmpegLog(
        n_streams=2, refused_codecs={"aac", "flic"}, videos={0: VideoStream("flic, pal8, 64x64")}
    )
    assert explain_failure(report, tmp_path).outcome is Outcome.FORMAT_NOT_ALLOWED

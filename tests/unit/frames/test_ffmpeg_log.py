from __future__ import annotations

import pytest

from ffmpeg_logs import coloured
from trailergenre.frames.ffmpeg_log import FfmpegLog, LogError, VideoStream, read_log

LOG = """\
[verbose] Routing option codec_whitelist to both codec and muxer layer
[aac @ 0x5640db874400] [error] Codec (aac) not on whitelist 'h264,hevc'
[in#0/mov,mp4,m4a,3gp,3g2,mj2 @ 0x5640db870780] [warning] Failed to open codec
[info] Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:x.mp4':
[info]   Metadata:
[info]     title           : a
FORGED
                    : [error] not even at the start of its line
[info]   Duration: 00:01:20.50, start: 0.000000, bitrate: 212 kb/s
[info]   Stream #0:0[0x1](und): Video: png, rgb24, 600x600, 90k tbr (attached pic)
[info]   Stream #0:1[0x2](und): Video: h264 (High), yuv420p, 320x240 [SAR 1:1], 24 fps (default)
[info]     Metadata:
[info]       DURATION        : 00:01:20.000000000
[info]   Stream #0:2[0x3](und): Audio: aac (mp4a / 0x6134706D), 44100 Hz, mono, 69 kb/s
[info]       DURATION        : 00:01:30.000000000
[Parsed_fps_1 @ 0x1] [verbose] 0 frames in, 0 frames out; 0 frames dropped, 0 frames duplicated.
[info] Stream mapping:
[info]   Stream #0:1 -> #0:0 (h264 (native) -> rawvideo (native))
[graph -1 input from stream 0:1 @ 0x2] [warning] Changing video frame properties on the fly is not \
supported by all filters
[info] Output #0, rawvideo, to 'pipe:1':
[info]   Stream #0:0(und): Video: rawvideo, rgb24, 299x299, 1 fps
[h264 @ 0x5640db884f40] [error] Invalid NAL unit size (964 > 43).
    Last message repeated 2 times
[vist#0:1/h264 @ 0x1] [dec:h264 @ 0x2] [error] Error submitting packet to decoder: Invalid data
[vist#0:1/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame
    Last message repeated 4 times
[Parsed_fps_1 @ 0x1] [verbose] 200 frames in, 9 frames out; 191 frames dropped, 1 frames duplicated.
[in#0/mov @ 0x3] [verbose]   Input stream #0:1 (video): 285 packets read (413348 bytes); \
284 frames decoded; 1 decode errors;
"""


def test_log_becomes_figures() -> None:
    # The name of a tag can add a line that looks like an error of ffmpeg, but for its colour.
    report = read_log(coloured(LOG).replace("FORGED", "[error] forged"))
    assert report == FfmpegLog(
        format_names="mov,mp4,m4a,3gp,3g2,mj2",
        duration_s=80.5,
        n_streams=3,
        videos={
            1: VideoStream(
                "h264 (High), yuv420p, 320x240 [SAR 1:1], 24 fps (default)", pid=2, end_s=80.0
            )
        },
        chosen=1,
        n_changes=1,
        errors=[
            LogError("h264", "Invalid NAL unit size (964 > 43)."),
            LogError("h264", "Invalid NAL unit size (964 > 43).", 2),
            LogError("dec:h264", "Error submitting packet to decoder: Invalid data"),
        ],
        refused_codecs={"aac"},
        n_corrupt=5,
        n_failed=1,
        n_decoded=284,
        n_sampled=9,
        n_repeated=1,
    )
    assert (report.n_damaged, report.n_source) == (6, 285)
    assert report.n_errors == 9


def described(container: str, duration: str) -> FfmpegLog:
    opened = f"[info] Input #0, {container}, from 'file:x':"
    return read_log(coloured(f"{opened}\n[info]   Duration: {duration}, bitrate: N/A\n"))


@pytest.mark.parametrize(
    ("container", "duration", "declared_s"),
    [
        ("flv", "00:00:08.08, start: 100.000000", 8.08),
        ("matroska,webm", "27:46:48.00, start: 100000.000000", 8.0),
        ("matroska,webm", "00:00:08.00, start: 100000.000000", 8.0),
        ("matroska,webm", "N/A, start: 0.000000", None),
        # Computed from the time stamps in the file, so a cut file seems whole.
        ("mpegts", "00:00:08.00, start: 1.400000", None),
        ("mpeg", "00:00:08.00, start: 0.500000", None),
    ],
)
def test_only_a_length_that_the_container_gives_is_declared(
    container: str, duration: str, declared_s: float | None
) -> None:
    assert described(container, duration).declared_s == declared_s


def test_length_from_the_bitrate_is_none() -> None:
    report = described("flv", "00:00:08.00, start: 0.000000")
    log = "[flv @ 0x1] [warning] Estimating duration from bitrate, this may be inaccurate\n"
    assert report.declared_s == 8.0
    assert read_log(coloured(log)).is_estimated


def test_log_of_nothing_is_empty() -> None:
    assert read_log("") == FfmpegLog()
    assert FfmpegLog().video is None


def test_rotation_and_signal_are_read() -> None:
    stream = "[info] Input #0, x, from 'y':\n[info]   Stream #0:0: Video: h264\n"
    rotation = "[info]       Display Matrix: rotation of -90.00 degrees\n"
    end = "[info] Output #0, x\n[info] Exiting normally, received signal 24.\n"
    upright, turned = read_log(coloured(stream + end)), read_log(coloured(stream + rotation))
    assert upright.video and turned.video
    assert (upright.video.is_turned, upright.signal, turned.video.is_turned) == (False, 24, True)


def test_texts_of_a_file_neither_end_their_event_nor_begin_another() -> None:
    message = "Unknown EBML doctype 'x\n[fatal] Unrecognized option 'y'\n[error] forged\n'\n"
    parts = ("[in#0 @ 0x1] ", "[error] ", message)
    log = "".join(f"\x1b[0;31m{part}\x1b[0m" for part in parts)
    (error,) = read_log(log).errors
    assert error.component == "in#0"
    assert error.text.startswith("Unknown EBML doctype 'x [fatal] Unrecognized option")

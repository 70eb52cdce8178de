"""The ffmpeg program: where it is, and its command lines.

Untrusted files are read by the demuxers and decoders named here only, within limits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from trailergenre.base.config import LimitsConfig
from trailergenre.base.errors import ToolMissingError
from trailergenre.base.records import FRAME_SIDE_PX
from trailergenre.base.sandbox.children import ChildLimits

FORMATS = "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg"

DECODERS = "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mpeg2video,mpeg1video,flv"
"""The codecs of trailers in those containers; the last two are of old .mpg and .flv files.

No sound decoder is allowed: ffmpeg logs an error for each sound stream and goes on.
"""

ENVIRONMENT = {"LANG": "C.UTF-8"}

_BLOCK_BYTES = 268_435_456
"""Largest single allocation; 8.3 million pixels are 50 MB at 16 bits and 4:4:4."""
_LOG_BYTES = 4_000_000
"""Some 30,000 errors."""
_N_STREAMS = 16
_CPU_SHARE = 2.0
"""Processor seconds per second of the deadline; reading and scaling have threads of their own."""


@cache
def find_ffmpeg() -> str:
    """Path of the ffmpeg on PATH, else of the one in imageio-ffmpeg."""
    if on_path := shutil.which("ffmpeg"):
        return str(Path(on_path).absolute())
    import imageio_ffmpeg

    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ToolMissingError(
            "ffmpeg is missing. Install it (apt-get install ffmpeg, dnf install ffmpeg, "
            "brew install ffmpeg) or run: pip install imageio-ffmpeg"
        ) from error


@cache
def ffmpeg_version() -> str:
    """The version that the program reports, e.g. `9.0.2`."""
    command = [find_ffmpeg(), "-version"]
    try:
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolMissingError(
            f"ffmpeg cannot be run: {error}. Install another one (apt-get install ffmpeg, dnf "
            "install ffmpeg, brew install ffmpeg), or remove this one from PATH and unset "
            "IMAGEIO_FFMPEG_EXE to use the one in imageio-ffmpeg."
        ) from error
    match = re.match(r"ffmpeg version n?(\S+)", run.stdout)
    if match is None:
        raise ToolMissingError(f"{command[0]} reports no version: {run.stdout[:80]!r}")
    return match.group(1)


def ffmpeg_major() -> int:
    """The major version; part of the fingerprint."""
    match = re.match(r"\d+", ffmpeg_version())
    if match is None:
        raise ToolMissingError(f"ffmpeg {ffmpeg_version()!r} is not a release; install one")
    return int(match.group())


def child_limits(limits: LimitsConfig) -> ChildLimits:
    """The resources that ffmpeg may use for one video."""
    return ChildLimits(
        cpu_s=_CPU_SHARE * limits.deadline_s,
        # Its log is the only file that it writes.
        file_bytes=_LOG_BYTES,
        memory_bytes=limits.max_memory_bytes,
        address_space_bytes=limits.max_memory_bytes,
        has_network=False,
    )


def decode_arguments(path: Path, *, frames_per_s: float, limits: LimitsConfig) -> list[str]:
    """The command that writes a video's frames to stdout and its log to stderr.

    A video over the limits gives at least one frame too many, so that this can be detected.
    """
    import ffmpeg

    side = FRAME_SIDE_PX
    frames = (
        ffmpeg.input(f"file:{path}", **_input_options(limits))["V:0"]
        # Streams may start at any time; frame 0 is the first picture.
        .filter("setpts", "PTS-STARTPTS")
        .filter("fps", fps=frames_per_s, round="up")
        .filter("scale", side, side, flags="bicubic+accurate_rnd+full_chroma_int+bitexact")
        .filter("format", "rgb24")
    )
    output = ffmpeg.output(
        frames,
        "pipe:1",
        format="rawvideo",
        pix_fmt="rgb24",
        threads=1,
        map_metadata=-1,
        # A change of the picture size restarts the filters' clock, and later frames would be
        # dropped as late. So time stamps are frame numbers.
        fps_mode="passthrough",
        t=limits.max_duration_s + 2 / frames_per_s,
        **{"frames:v": limits.max_frames + 1, "bsf:v": "setts=ts=N"},
    )
    return _compile(output, loglevel="verbose")


def probe_arguments(path: Path, limits: LimitsConfig) -> list[str]:
    """The command that reads a video's packets without decoding and logs each stream's length."""
    import ffmpeg

    source = ffmpeg.input(f"file:{path}", **_input_options(limits))
    output = ffmpeg.output(source["v?"], source["a?"], "pipe:1", codec="copy", format="null")
    return _compile(output, loglevel="trace")


def _input_options(limits: LimitsConfig) -> dict[str, str | int]:
    return {
        "threads": 1,
        "protocol_whitelist": "file",
        "format_whitelist": FORMATS,
        "codec_whitelist": DECODERS,
        "max_alloc": _BLOCK_BYTES,
        "max_pixels": limits.max_pixels,
        "max_streams": _N_STREAMS,
    }


def _compile(output: object, *, loglevel: str) -> list[str]:
    import ffmpeg

    # By default filters use one thread per core, which exceeds the address space on large machines.
    options = f"-hide_banner -nostdin -nostats -filter_threads 1 -loglevel level+{loglevel}"
    quiet = output.global_args(*options.split())  # type: ignore[attr-defined]
    return list(ffmpeg.compile(quiet, cmd=find_ffmpeg()))

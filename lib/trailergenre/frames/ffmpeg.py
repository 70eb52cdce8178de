"""The ffmpeg program: where it is, and the command lines that this package gives it.

Untrusted bytes meet only the demuxers and decoders named here, from a local file, within bounds.
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
from trailergenre.base.sandbox import ChildLimits

FORMATS = "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg"

DECODERS = "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mpeg2video,mpeg1video,flv"
"""What trailers in those containers are made of.

The last two are old files in .mpg and .flv; their code is that of mpeg2video and of mpeg4. No sound
decoder: ffmpeg complains of each sound stream that it cannot open, and goes on.
"""

ENVIRONMENT = {"LANG": "C.UTF-8"}

_BLOCK_BYTES = 268_435_456
"""Largest single allocation; 8.3 million pixels are 50 MB at 16 bits and 4:4:4."""
_LOG_BYTES = 4_000_000
"""Some 30,000 complaints."""
_N_STREAMS = 16
_CPU_SHARE = 2.0
"""Seconds of processor time a second of the deadline; reading and scaling have own threads."""


@cache
def find_ffmpeg() -> str:
    """The ffmpeg on the PATH, else the one that imageio-ffmpeg brings.

    Raises:
        ToolMissingError: there is neither.
    """
    on_path = shutil.which("ffmpeg")
    if on_path:
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
    """The version that the binary gives of itself, e.g. `9.0.2`."""
    program = find_ffmpeg()
    try:
        output = subprocess.run(
            [program, "-version"], capture_output=True, text=True, errors="replace", check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ToolMissingError(
            f"ffmpeg cannot be run: {error}. Install another one (apt-get install ffmpeg, dnf "
            "install ffmpeg, brew install ffmpeg), or take this one off PATH and unset "
            "IMAGEIO_FFMPEG_EXE: imageio-ffmpeg brings one."
        ) from error
    match = re.match(r"ffmpeg version n?(\S+)", output)
    if match is None:
        raise ToolMissingError(f"{program} does not give its version: {output[:80]!r}")
    return match.group(1)


def ffmpeg_major() -> int:
    """The first number of the version; part of the fingerprint."""
    match = re.match(r"\d+", ffmpeg_version())
    if match is None:
        raise ToolMissingError(f"ffmpeg {ffmpeg_version()!r} is no release; install a released one")
    return int(match.group())


def child_limits(limits: LimitsConfig) -> ChildLimits:
    """What ffmpeg may use for one video."""
    return ChildLimits(
        cpu_s=_CPU_SHARE * limits.deadline_s,
        # It writes to a pipe; the only file is its log.
        file_bytes=_LOG_BYTES,
        memory_bytes=limits.max_memory_bytes,
        address_space_bytes=limits.max_memory_bytes,
        has_network=False,
    )


def decode_arguments(path: Path, *, frames_per_s: float, limits: LimitsConfig) -> list[str]:
    """The command that writes a video's frames to its standard output, and its log to stderr.

    It gives at least one frame more than `limits` allow where there is more, so that a cut is seen.
    """
    import ffmpeg

    side = FRAME_SIDE_PX
    frames = (
        ffmpeg.input(f"file:{path}", **_input_options(limits))["V:0"]
        # A stream may start at any time; frame 0 is its first picture.
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
        # A change of the picture's size restarts the filters' clock. Frames are counted instead,
        # or all after the change would come too late and be dropped.
        fps_mode="passthrough",
        t=limits.max_duration_s + 2 / frames_per_s,
        **{"frames:v": limits.max_frames + 1, "bsf:v": "setts=ts=N"},
    )
    return _compile(output, loglevel="verbose")


def probe_arguments(path: Path, limits: LimitsConfig) -> list[str]:
    """The command that reads a video's packets without decoding, and says each stream's length."""
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

    # One thread a core of the machine would eat the address space up on a large one.
    quiet = output.global_args(  # type: ignore[attr-defined]
        "-hide_banner",
        "-nostdin",
        "-nostats",
        "-filter_threads",
        "1",
        "-loglevel",
        f"level+{loglevel}",
    )
    return list(ffmpeg.compile(quiet, cmd=find_ffmpeg()))

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
from trailergenre.base.records import FrameForm
from trailergenre.base.sandbox.children import ChildLimits
from trailergenre.base.versions import FFMPEG_MAJOR, check_minimum_versions
from trailergenre.frames.pictures import TICKS_PER_S

FORMATS = "mov,mp4,matroska,webm,avi,flv,mpegts,mpeg"

DECODERS = "h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mpeg2video,mpeg1video,flv"
"""The codecs of trailers in those containers; the last two are of old .mpg and .flv files.

No sound decoder is allowed: ffmpeg logs an error for each sound stream and goes on.
"""

ENVIRONMENT = {"LANG": "C.UTF-8", "AV_LOG_FORCE_COLOR": "1"}
"""The colours show where an event of the log begins and ends (`ffmpeg_log`)."""

_BLOCK_BYTES = 268_435_456
"""Largest single allocation; 8.3 million pixels are 50 MB at 16 bits and 4:4:4."""
_FILE_BYTES = 8_000_000
"""Some 60,000 errors in the log, or 140,000 pictures in their list: 20 minutes at 115 a second."""
_INPUT = "INPUT"
"""Stands for the video, whose name ffmpeg-python could not take if it is not UTF-8."""
_CPU_SHARE = 2.0
"""Processor seconds per second of the deadline; reading and scaling have threads of their own."""


@cache
def find_ffmpeg() -> str:
    """Path of the ffmpeg on PATH, else of the one in imageio-ffmpeg."""
    if on_path := shutil.which("ffmpeg"):
        return str(Path(on_path).absolute())
    check_minimum_versions("imageio-ffmpeg")
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
    if int(match.group()) < FFMPEG_MAJOR:
        raise ToolMissingError(
            f"ffmpeg is too old: {find_ffmpeg()} is {ffmpeg_version()}. Install {FFMPEG_MAJOR} or "
            "newer, or remove it from PATH to use the one in imageio-ffmpeg."
        )
    return int(match.group())


def child_limits(limits: LimitsConfig) -> ChildLimits:
    """The resources that ffmpeg may use for one video."""
    return ChildLimits(
        cpu_s=_CPU_SHARE * limits.deadline_s,
        # It writes its log and the list of pictures.
        file_bytes=_FILE_BYTES,
        memory_bytes=limits.max_memory_bytes,
        address_space_bytes=limits.max_memory_bytes,
        has_network=False,
    )


def decode_arguments(
    path: Path,
    pictures: Path,
    *,
    form: FrameForm,
    frames_per_s: float,
    limits: LimitsConfig,
    colour_matrix: str | None = None,
) -> list[str]:
    """The command that writes a video's frames to stdout and its log to stderr.

    ffmpeg chooses the video stream: those that are marked as default first, then the largest.
    A video over the limits gives at least one frame too many, so that this can be detected.

    Args:
        path: the video.
        pictures: where to write the list of pictures (`pictures.read_pictures`).
        form: of the frames.
        frames_per_s: the sampling rate.
        limits: of the pictures and of the length.
        colour_matrix: to read the pictures with, e.g. `bt709`; None for the video's own.
    """
    import ffmpeg

    matrix = f":colorspace={colour_matrix}" if colour_matrix else ""
    filters = (
        # Streams may start at any time; frame 0 is the first picture.
        "setpts=PTS-STARTPTS",
        f"fps=fps={frames_per_s}:round=up",
        # The scaler uses neither, but refuses some.
        f"setparams=color_primaries=unknown:color_trc=unknown{matrix}",
        f"scale={_size(form)}:flags=bicubic+accurate_rnd+full_chroma_int+bitexact",
        "format=rgb24",
        *([_crop(form)] if form.resize == "center-crop" else []),
    )
    # Without `reinit_filter`, a change of the pictures' size or format would restart the clock.
    source = ffmpeg.input(_INPUT, reinit_filter=0, **_input_options(limits))
    common = {
        "fps_mode": "passthrough",
        "t": limits.max_duration_s + 2 / frames_per_s,
        "map_metadata": -1,
        "an": None,
        "sn": None,
        "dn": None,
    }
    frames = ffmpeg.output(
        source,
        "pipe:1",
        format="rawvideo",
        pix_fmt="rgb24",
        threads=1,
        vf=",".join(filters),
        **common,
        **{"frames:v": limits.max_frames + 1, "bsf:v": "setts=ts=N"},
    )
    times = ffmpeg.output(
        source,
        f"file:{pictures}",
        format="framecrc",
        vcodec="wrapped_avframe",  # copies no pixels
        enc_time_base=f"1:{TICKS_PER_S}",
        **common,
    )
    both = ffmpeg.merge_outputs(frames, times).overwrite_output()
    return _compile(both, path, loglevel="verbose")


def _size(form: FrameForm) -> str:
    """Width and height to scale to; for a crop, the smallest that cover a frame.

    `dar` is the picture's shape as displayed, pixels that are not square included.
    """
    if form.resize == "squeeze":
        return f"{form.width}:{form.height}"
    width = f"max({form.width},trunc({form.height}*dar))"
    height = f"max({form.height},trunc({form.width}/dar))"
    return f"'{width}':'{height}'"


def _crop(form: FrameForm) -> str:
    """The middle; of an odd number of pixels too many, fewer are cut off left and on top."""
    left, top = "trunc((iw-ow)/2)", "trunc((ih-oh)/2)"
    return f"crop={form.width}:{form.height}:'{left}':'{top}'"


def probe_arguments(path: Path, limits: LimitsConfig) -> list[str]:
    """The command that reads a video's packets without decoding and logs each stream's length."""
    import ffmpeg

    source = ffmpeg.input(_INPUT, **_input_options(limits))
    streams = [source[kind] for kind in ("v?", "a?", "s?")]
    output = ffmpeg.output(*streams, "pipe:1", codec="copy", format="null")
    return _compile(output, path, loglevel="trace")


def _input_options(limits: LimitsConfig) -> dict[str, str | int]:
    return {
        "threads": 1,
        "protocol_whitelist": "file",
        "format_whitelist": FORMATS,
        "codec_whitelist": DECODERS,
        "max_alloc": _BLOCK_BYTES,
        # ffmpeg rounds the width up to 64 pixels; `decoder` checks the exact size.
        "max_pixels": 2 * limits.max_pixels,
    }


def _compile(output: object, path: Path, *, loglevel: str) -> list[str]:
    import ffmpeg

    # By default filters use one thread per core, which exceeds the address space on large machines.
    options = f"-hide_banner -nostdin -nostats -filter_threads 1 -loglevel level+{loglevel}"
    quiet = output.global_args(*options.split())  # type: ignore[attr-defined]
    arguments = ffmpeg.compile(quiet, cmd=find_ffmpeg())
    return [f"file:{path}" if word == _INPUT else word for word in arguments]

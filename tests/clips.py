"""Clips for tests, made by ffmpeg; the numbered ones carry the source frame's number as bars."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trailergenre.frames.ffmpeg import find_ffmpeg

_BITS = 10
_BAR_PX = 32
_SIDE_PX = _BITS * _BAR_PX


def make_numbered_clip(
    path: Path, *, n_frames: int, rate: str = "24", options: Sequence[str] = (), first: int = 0
) -> Path:
    """Write a clip of 320 x 320 px whose frame k shows `first` + k in binary, bar b for bit b."""
    bits = (first + np.arange(n_frames)[:, None] >> np.arange(_BITS)) & 1
    lines = np.repeat(bits.astype(np.uint8) * 255, _BAR_PX, axis=1)
    frames = np.repeat(lines[:, None, :], _SIDE_PX, axis=1)
    run_ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{_SIDE_PX}x{_SIDE_PX}", "-r", rate),
        *("-i", "pipe:0", "-pix_fmt", "yuv420p", "-c:v", "libx264", *options, str(path)),
        stdin=frames.tobytes(),
    )
    return path


def read_numbers(frames: np.ndarray) -> list[int]:
    """Read the source frame numbers from decoded frames, shape (n, 299, 299, 3), uint8."""
    side = frames.shape[2]
    centres = ((np.arange(_BITS) + 0.5) * side / _BITS).astype(int)
    bits = frames[:, side // 2, centres, 0] > 127
    return [int(number) for number in bits @ (1 << np.arange(_BITS))]


def make_clip(path: Path, source: str, *options: str) -> Path:
    """Write a clip from a lavfi source, e.g. `testsrc2=d=3:s=320x320:r=8`."""
    run_ffmpeg("-f", "lavfi", "-i", source, *options, str(path))
    return path


def run_ffmpeg(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run ffmpeg, overwriting, and fail with its message; return what it writes to stdout."""
    command = [find_ffmpeg(), "-v", "error", "-y", *arguments]
    return subprocess.run(command, input=stdin, check=True, stdout=subprocess.PIPE).stdout

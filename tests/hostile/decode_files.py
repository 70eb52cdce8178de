"""Makes video files for the hostile cases: small good seeds by ffmpeg, surgery on their bytes."""

from __future__ import annotations

import random
import re
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from clips import run_ffmpeg

Make = Callable[[Path], Path]
"""Writes a file into a directory and gives its path."""

FILM = "testsrc2=s=128x96:r=10:d=8"
"""80 frames in 8 s: cut at 60 %, more than the tolerated 2 s are missing."""
SOUND = "sine=d={}"
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
CLUSTER = b"\x1f\x43\xb6\x75"
FAST_START = ("-movflags", "+faststart")


@cache
def seed(suffix: str, *options: str, film: str = FILM, sound_s: float = 0) -> bytes:
    """A good video, made once a session."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"seed{suffix}")
        sound = ("-f", "lavfi", "-i", SOUND.format(sound_s)) if sound_s else ()
        run_ffmpeg("-f", "lavfi", "-i", film, *sound, *options, str(path))
        return path.read_bytes()


def x264(suffix: str, *options: str, film: str = FILM, sound_s: float = 0) -> bytes:
    """A good H.264 video."""
    return seed(suffix, *X264, *options, film=film, sound_s=sound_s)


def remux(content: bytes, suffix: str, *options: str, before: tuple[str, ...] = ()) -> bytes:
    """The same pictures in another container, or with other times.

    Args:
        content: a video.
        suffix: of the new container.
        options: for the output.
        before: options for the input.
    """
    with tempfile.TemporaryDirectory() as directory:
        source, path = Path(directory, "source"), Path(directory, f"x{suffix}")
        source.write_bytes(content)
        run_ffmpeg(*before, "-i", str(source), "-c", "copy", *options, str(path))
        return path.read_bytes()


def written(suffix: str, content: Callable[[], bytes]) -> Make:
    """A maker that writes bytes, which are made when they are wanted."""

    def make(directory: Path) -> Path:
        path = directory / f"clip{suffix}"
        path.write_bytes(content())
        return path

    return make


def cut(content: bytes, share: float = 0.6) -> bytes:
    """The first part of a file."""
    return content[: int(len(content) * share)]


def cut_before(content: bytes, mark: bytes, share: float = 0.6) -> bytes:
    """The first part of a file, cut cleanly before the next mark."""
    return content[: content.index(mark, int(len(content) * share))]


def cut_flv(content: bytes, share: float = 0.6) -> bytes:
    """The first part of an FLV file, cut cleanly between two tags."""
    offset = 13
    while offset < len(content) * share:
        offset += 11 + int.from_bytes(content[offset + 1 : offset + 4]) + 4
    return content[:offset]


def lose_clusters(content: bytes, first: int, last: int) -> bytes:
    """A Matroska file with zeros from one cluster up to another."""
    marks = [match.start() for match in re.finditer(re.escape(CLUSTER), content)]
    return patch(content, marks[first], bytes(marks[last] - marks[first]))


def boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of each MP4 box of one level."""
    while start < (len(content) if end is None else end):
        size, name = struct.unpack(">I4s", content[start : start + 8])
        yield name.decode("latin-1"), start, size
        start += size


def find_box(content: bytes, *names: str) -> tuple[int, int]:
    """Offset and size of a box by its path, e.g. `moov`, `trak`."""
    start, end, offset, size = 0, len(content), 0, 0
    for name in names:
        offset, size = next((o, s) for n, o, s in boxes(content, start, end) if n == name)
        start, end = offset + 8, offset + size
    return offset, size


def flip_bits(content: bytes, n: int, *, first: int, last: int, number: int = 1) -> bytes:
    """The file with n bits flipped between two offsets."""
    chosen, damaged = random.Random(number), bytearray(content)
    for _ in range(n):
        damaged[chosen.randrange(first, last)] ^= 1 << chosen.randrange(8)
    return bytes(damaged)


def flip_box(content: bytes, name: str, n: int, *, number: int = 1) -> bytes:
    """The file with n bits of a top-level box flipped."""
    offset, size = find_box(content, name)
    return flip_bits(content, n, first=offset + 8, last=offset + size, number=number)


def zero_box(content: bytes, name: str) -> bytes:
    """The file with a top-level box of zeros."""
    offset, size = find_box(content, name)
    return content[: offset + 8] + bytes(size - 8) + content[offset + size :]


def grow_box(content: bytes, path: tuple[str, ...], extra: bytes) -> bytes:
    """The file with bytes added at the end of a box; every box around it grows."""
    offset, size = find_box(content, *path)
    grown = bytearray(content[: offset + size] + extra + content[offset + size :])
    for depth in range(1, len(path) + 1):
        at, old = find_box(content, *path[:depth])
        grown[at : at + 4] = struct.pack(">I", old + len(extra))
    return bytes(grown)


def patch(content: bytes, offset: int, value: bytes) -> bytes:
    """The file with other bytes at an offset."""
    return content[:offset] + value + content[offset + len(value) :]


def many_streams(n: int) -> bytes:
    """An MP4 whose one track stands there n times."""
    content = x264(".mp4")
    offset, size = find_box(content, "moov", "trak")
    return grow_box(content, ("moov",), content[offset : offset + size] * n)


STSZ = ("moov", "trak", "mdia", "minf", "stbl", "stsz")


def many_samples(n: int, *, are_there: bool) -> bytes:
    """An MP4 that announces n samples, and has their sizes and times or not."""
    content = x264(".mp4")
    content = patch(content, find_box(content, *STSZ)[0] + 16, struct.pack(">I", n))
    for name, offset in (("stts", 16), ("stsc", 20)):
        at = find_box(content, *STSZ[:-1], name)[0] + offset
        content = patch(content, at, struct.pack(">I", n))
    return grow_box(content, STSZ, struct.pack(">I", 100) * n if are_there else b"")


def giant_box(name: str, size: int) -> bytes:
    """An MP4 with its index at the end, in which a box claims another size."""
    content = x264(".mp4")
    return patch(content, find_box(content, name)[0], struct.pack(">I", size))


def giant_vp8() -> bytes:
    """A WebM of which each key picture says that it has 16,383 x 16,383 pixels."""
    size = struct.pack("<HH", 16_383, 16_383)
    content = seed(
        ".webm", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-s", "64x48"
    )
    return re.sub(rb"\x9d\x01\x2a....", lambda _: b"\x9d\x01\x2a" + size, content, flags=re.S)


def nested_boxes(depth: int) -> bytes:
    """An MP4 whose index is boxes in boxes and nothing else."""
    inner = b""
    for _ in range(depth):
        inner = struct.pack(">I4s", len(inner) + 8, b"moov") + inner
    return x264(".mp4")[:32] + inner


def png_bomb(side: int) -> bytes:
    """A picture of side x side pixels in a few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    lines = zlib.compress(bytes(64 * side // 8), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")
    )


def flic() -> bytes:
    """An Autodesk FLIC animation of one empty frame."""
    header = struct.pack("<IHHHHHHI", 144, 0xAF12, 1, 64, 64, 8, 3, 70)
    return header.ljust(128, b"\0") + struct.pack("<IHH", 16, 0xF1FA, 0).ljust(16, b"\0")


def titled(suffix: str, title: str) -> bytes:
    """A good video with a title of any length."""
    for special in "\\=;#\n":
        title = title.replace(special, "\\" + special)
    with tempfile.TemporaryDirectory() as directory:
        tags = Path(directory, "tags")
        tags.write_text(f";FFMETADATA1\ntitle={title}\n", encoding="utf-8")
        source, path = Path(directory, f"source{suffix}"), Path(directory, f"titled{suffix}")
        source.write_bytes(x264(suffix))
        inputs = ("-i", str(source), "-i", str(tags))
        run_ffmpeg(*inputs, "-map", "0", "-map_metadata", "1", "-c", "copy", str(path))
        return path.read_bytes()


@cache
def sound(suffix: str) -> bytes:
    """Sound alone."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"sound{suffix}")
        run_ffmpeg("-f", "lavfi", "-i", SOUND.format(2), str(path))
        return path.read_bytes()


def with_cover() -> bytes:
    """Sound with a cover picture."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "cover.m4a")
        run_ffmpeg(
            *("-f", "lavfi", "-i", SOUND.format(2), "-f", "lavfi", "-i", "color=red:s=64x64"),
            *("-map", "0", "-map", "1", "-frames:v", "1", "-c:v", "png"),
            *("-disposition:v:0", "attached_pic", str(path)),
        )
        return path.read_bytes()


def then(content: bytes, film: str) -> bytes:
    """An MPEG-TS file that goes on after 8 s with other pictures."""
    return content + x264(".ts", "-output_ts_offset", "8", film=film)


def late_pictures() -> bytes:
    """A Matroska file whose pictures begin 5 s after its sound."""
    with tempfile.TemporaryDirectory() as directory:
        pictures, path = Path(directory, "pictures.mkv"), Path(directory, "late.mkv")
        pictures.write_bytes(x264(".mkv"))
        run_ffmpeg(
            *("-f", "lavfi", "-i", SOUND.format(13), "-itsoffset", "5", "-i", str(pictures)),
            *("-map", "0", "-map", "1", "-c:v", "copy", str(path)),
        )
        return path.read_bytes()


def damaged_frame() -> bytes:
    """30 s of which the middle of one frame is overwritten."""
    content = bytearray(x264(".mp4", film="testsrc2=s=128x96:r=10:d=30"))
    offset, size = find_box(bytes(content), "mdat")
    middle = offset + size * 9 // 10
    content[middle : middle + 40] = random.Random(1).randbytes(40)
    return bytes(content)

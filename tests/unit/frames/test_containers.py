from __future__ import annotations

import struct
from pathlib import Path

import pytest

from trailergenre.frames.containers import is_container, is_mp4, is_truncated

TS = (b"\x47" + bytes(187)) * 6
BLU_RAY = (bytes(4) + b"\x47" + bytes(187)) * 6
EBML = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01"
AVI = b"RIFF" + struct.pack("<I", 100_000) + b"AVI LIST"


def box(name: bytes, size: int, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", size, name) + content


FRAGMENTED = box(b"ftyp", 16, bytes(8)) + box(b"moof", 8) + box(b"mdat", 1008, bytes(1000))

WHOLE = box(b"ftyp", 16, bytes(8)) + box(b"moov", 8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x"


@pytest.mark.parametrize(
    ("content", "is_lost"),
    [
        (TS, False),
        (TS[:-1], True),
        (TS + b"\n", True),
        (BLU_RAY, False),
        (BLU_RAY[:-4], True),
        (AVI.ljust(100_008, b"\0"), False),
        (AVI.ljust(98_200, b"\0"), False),
        (AVI.ljust(97_900, b"\0"), True),
        (FRAGMENTED, False),
        (FRAGMENTED[:-1], True),
        (FRAGMENTED + b"\0\0\0", False),
        (box(b"ftyp", 16, bytes(8)) + box(b"mdat", 1008), False),
        (FRAGMENTED + box(b"mdat", 1, struct.pack(">Q", 10**9)), True),
        # Impossible sizes, which no seek accepts.
        (FRAGMENTED + box(b"mdat", 1, struct.pack(">Q", 2**64 - 1)), True),
        (FRAGMENTED + box(b"mdat", 1, struct.pack(">Q", 2**60)), True),
        (WHOLE + box(b"free", 1, struct.pack(">Q", 2**64 - 1)), False),
        (WHOLE + box(b"free", 1, struct.pack(">Q", 2**60)), False),
        (FRAGMENTED + box(b"mdat", 0, b"to the end"), False),
        (FRAGMENTED + box(b"mdat", 3), False),
        (b"", False),
        (b"\x1a\x45\xdf\xa3", False),
    ],
)
def test_missing_bytes_are_seen_by_the_frame(path: Path, content: bytes, is_lost: bool) -> None:
    path.write_bytes(content)
    assert is_truncated(path) is is_lost


@pytest.mark.parametrize(
    ("content", "known", "mp4"),
    [
        (FRAGMENTED, True, True),
        (box(b"mdat", 0), True, True),
        (AVI, True, False),
        (b"RIFF\0\0\0\0WAVE", False, False),
        (TS, True, False),
        (b"FLV\x01\x05", True, False),
        (EBML + b"\x42\x82\x88matroska", True, False),
        (EBML + b"\x42\x82\x8bmatroska\nxx", False, False),
        (b"\x00\x00\x01\xba", True, False),
        (b"<html>", False, False),
        (b"", False, False),
    ],
)
def test_containers_are_known_by_their_first_bytes(
    path: Path, content: bytes, known: bool, mp4: bool
) -> None:
    path.write_bytes(content)
    assert (is_container(path), is_mp4(path)) == (known, mp4)

"""Checks of a file's container that ffmpeg does not make.

ffmpeg accepts what is left of a cut AVI or MPEG-TS file as a whole one.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_HEAD_BYTES = 2048
_TS_SYNC = 0x47
_TS_LAYOUTS = ((188, 0), (192, 4), (204, 0))
"""Packet size and offset of the sync byte: broadcast, Blu-ray, with parity."""
_N_TS_PACKETS = 5
_MAX_MISSING_SHARE = 0.02
_N_PICTURES_BESIDE = 10
"""Pictures of other tracks that may lie between two of a film in a file that is whole."""
_MAX_BOXES = 100_000
_MP4_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_DOCTYPE = re.compile(rb"\x1a\x45\xdf\xa3.*?\x42\x82(?:\x88matroska|\x84webm)", re.DOTALL)
_MAGIC = (b"FLV\x01", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3")


def is_mp4(path: Path) -> bool:
    """Whether the file starts like MP4 or QuickTime."""
    return _read_head(path)[4:8] in _MP4_BOXES


def is_container(path: Path) -> bool:
    """Whether the file starts like one of the allowed containers."""
    head = _read_head(path)
    is_known = head[4:8] in _MP4_BOXES or head.startswith(_MAGIC) or bool(_DOCTYPE.match(head))
    return is_known or _is_avi(head) or _ts_layout(head) is not None


def declares_no_length(path: Path) -> bool:
    """Whether the file is an AVI that was written to a pipe: its lengths were never filled in."""
    head = _read_head(path)
    return _is_avi(head) and head[4:8] in (b"\0\0\0\0", b"\xff\xff\xff\xff")


def is_truncated(path: Path) -> bool:
    """Whether the container's structure shows that bytes are missing at the end.

    AVI: more than 2 % of the size in the RIFF header. MPEG-TS: the last packet is incomplete; a cut
    between packets cannot be detected. Fragmented MP4: the last box is incomplete. All others are
    judged by their duration instead.
    """
    head, size_bytes = _read_head(path), path.stat().st_size
    if _is_avi(head) and not declares_no_length(path):
        expected = int(struct.unpack("<I", head[4:8])[0]) + 8
        return expected - size_bytes > _MAX_MISSING_SHARE * expected
    if head[4:8] in _MP4_BOXES:
        return _has_cut_fragment(path, size_bytes)
    layout = _ts_layout(head)
    return layout is not None and size_bytes % layout[0] != 0


def goes_on_elsewhere(path: Path, pid: int) -> bool:
    """Whether pictures of an MPEG-TS file lie in another track while `pid` has none.

    Where broadcasts or playlists were joined, a film may go on under another PID, with timestamps
    that start again. Tracks that run beside each other take turns every few pictures.
    """
    layout = _ts_layout(_read_head(path))
    if layout is None:
        return False
    is_film = _list_pictures(path, *layout) == pid
    # Pictures of others between two of the film.
    n_between = np.bincount(np.cumsum(is_film)) - 1
    n_allowed = max(_N_PICTURES_BESIDE, _MAX_MISSING_SHARE * len(is_film))
    return bool(n_between.max(initial=0) > n_allowed)


def _list_pictures(path: Path, packet_bytes: int, offset: int) -> NDArray[np.int64]:
    """The PID of each packet that starts a picture, in file order: shape (n,)."""
    content = np.memmap(path, np.uint8, mode="r")
    n_packets = len(content) // packet_bytes
    packets = content[: n_packets * packet_bytes].reshape(n_packets, packet_bytes)[:, offset:]
    starts = packets[(packets[:, 1] & 0x40) != 0]
    has_field = (starts[:, 3] & 0x20) != 0
    payload = np.where(has_field, starts[:, 4].astype(int) + 5, 4)
    starts, payload = starts[payload <= 184], payload[payload <= 184]
    codes = starts[np.arange(len(starts))[:, None], payload[:, None] + np.arange(4)]
    is_video = (codes[:, :3] == (0, 0, 1)).all(axis=1) & ((codes[:, 3] & 0xF0) == 0xE0)
    heads = starts[is_video].astype(np.int64)
    pids: NDArray[np.int64] = (heads[:, 1] & 0x1F) << 8 | heads[:, 2]
    return pids


def _has_cut_fragment(path: Path, size_bytes: int) -> bool:
    offset, is_fragmented = 0, False
    with path.open("rb") as stream:
        for _ in range(_MAX_BOXES):
            # A box may claim a size that no seek accepts.
            if offset >= size_bytes:
                break
            stream.seek(offset)
            head = stream.read(16)
            if len(head) < 8:
                break
            length, name = struct.unpack(">I4s", head[:8])
            if length == 1:
                length = int.from_bytes(head[8:])
            # 0 means to the end of the file; less than a header is not valid.
            if length < 8:
                return False
            is_fragmented |= name == b"moof"
            offset += length
    return is_fragmented and offset > size_bytes


def _is_avi(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:11] == b"AVI"


def _ts_layout(head: bytes) -> tuple[int, int] | None:
    for packet_bytes, offset in _TS_LAYOUTS:
        syncs = head[offset : offset + packet_bytes * _N_TS_PACKETS : packet_bytes]
        if len(syncs) == _N_TS_PACKETS and set(syncs) == {_TS_SYNC}:
            return packet_bytes, offset
    return None


def _read_head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD_BYTES)

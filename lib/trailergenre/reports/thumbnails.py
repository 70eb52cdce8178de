"""Frames to small JPEGs, for pages; knows nothing of links or of pages."""

from __future__ import annotations

import io

from PIL import Image

from trailergenre.base.records import FrameArray

_QUALITY = 70
"""A frame of a film is about 10 KB, and shows no blocks at the size of a thumbnail."""


def make_jpegs(frames: FrameArray) -> list[bytes]:
    """Turn frames into JPEGs of the same size; the same frame gives the same bytes.

    Args:
        frames: shape (n, 299, 299, 3), uint8, RGB, 0..255.

    Returns:
        One a frame, in order.
    """
    return [_make_jpeg(Image.fromarray(frame)) for frame in frames]


def _make_jpeg(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()

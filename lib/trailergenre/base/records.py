"""What flows from stage to stage: small frozen records and the array types.

Imports numpy for type checkers only: the download child comes by here, and shall hold little.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NewType, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAME_SIDE_PX = 299
"""Side of a frame in pixels: the input size of Inception-V3 (Szegedy et al. 2016)."""

FRAME_BYTES = FRAME_SIDE_PX * FRAME_SIDE_PX * 3
"""Of one frame in RGB, a byte a channel."""

N_FEATURES = 2048
"""Features a frame: the channels of Inception-V3's last block, averaged over space."""

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".ts", ".mpg", ".mpeg"}
)
"""Ends of the names of files that are taken for videos, in lower case."""

FrameArray: TypeAlias = "NDArray[np.uint8]"
"""Shape (n, 299, 299, 3), uint8, RGB, 0..255."""

FeatureArray: TypeAlias = "NDArray[np.float32]"
"""Shape (n, width), float32; row i belongs to frame i. The width is 2,048 for Inception-V3;
published features have their own."""

TruthArray: TypeAlias = "NDArray[np.int8]"
"""True genres, shape (n, n_genres), int8, 0 or 1."""

ProbabilityArray: TypeAlias = "NDArray[np.float64]"
"""Shape (n, n_genres), float64, 0..1; columns in the order of the bundle's genres."""

LinkId = NewType("LinkId", str)
"""SHA-256 of the canonical link, 64 hex digits."""


@dataclass(frozen=True, slots=True)
class Link:
    """One distinct link that is ready to be downloaded.

    Attributes:
        link_id: SHA-256 of `url`.
        url: the canonical link: http, https, or file for a path under an allowed root.
        round: how many outcomes were not its last: deferred, or retried on demand.
        is_refetched: whether it is downloaded although its video is kept.
    """

    link_id: LinkId
    url: str
    round: int = 0
    is_refetched: bool = False


@dataclass(frozen=True, slots=True)
class Video:
    """One video file on a local disk.

    Attributes:
        path: the file.
        size_bytes: its size.
        is_owned: whether it lies in scratch and may be deleted after use.
        connections: `address:port` of every server that the download spoke to.
        asked_at_s: when it first connected to one, by the monotonic clock; None: not known.
    """

    path: Path
    size_bytes: int
    is_owned: bool
    connections: tuple[str, ...] = ()
    asked_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the decoder saw of a video.

    Attributes:
        duration_s: declared duration of the container in seconds; None where it has none.
        width_px: width of a source frame as it is shown, turned where the file says so.
        height_px: its height.
        decode_errors: complaints of the decoder; a video that is `ok` may have a few.
    """

    duration_s: float | None
    width_px: int
    height_px: int
    decode_errors: int = 0


@dataclass(frozen=True, slots=True)
class LinkFrames:
    """The features of one link's frames, in order.

    Attributes:
        link_id: the link.
        features: shape (n, width), float32; n >= 1.
        frame_time_s: shape (n,), float64; seconds from the first video frame.
    """

    link_id: str
    features: FeatureArray
    frame_time_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GenreScore:
    """One genre of a scored link.

    Attributes:
        genre: its name.
        probability: 0..1; the genres of a link do not sum to 1 (multi-label).
    """

    genre: str
    probability: float

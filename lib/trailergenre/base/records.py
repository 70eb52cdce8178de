"""Records and array types that stages pass on. The download child imports it, but not numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NewType, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FRAME_SIDE_PX = 299
"""Side of a frame in pixels: the input size of Inception-V3 (Szegedy et al. 2016)."""

FRAME_BYTES = FRAME_SIDE_PX * FRAME_SIDE_PX * 3  # RGB

N_FEATURES = 2048
"""Features per frame: the channels of Inception-V3's last block, averaged over space."""

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".flv", ".ts", ".mpg", ".mpeg"}
)

FrameArray: TypeAlias = "NDArray[np.uint8]"
"""Shape (n, 299, 299, 3), uint8, RGB, 0..255."""

FeatureArray: TypeAlias = "NDArray[np.float32]"
"""Shape (n, width), float32; row i belongs to frame i. The width is 2,048 for Inception-V3;
external features have their own."""

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
        url: canonical: http, https, or file for a path under an allowed root.
        round: number of earlier outcomes, deferred or retried on demand.
        is_refetched: whether to download it although its video is kept.
    """

    link_id: LinkId
    url: str
    round: int = 0
    is_refetched: bool = False


@dataclass(frozen=True, slots=True)
class Video:
    """One video file on a local disk.

    Attributes:
        is_owned: whether it is in scratch and may be deleted after use.
        connections: `address:port` of every server that the download connected to.
        asked_at_s: monotonic time of the first connection, if known.
    """

    path: Path
    size_bytes: int
    is_owned: bool
    connections: tuple[str, ...] = ()
    asked_at_s: float | None = None


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the decoder reported about a video.

    Attributes:
        duration_s: that the container declares, if it does.
        width_px, height_px: of a source frame as displayed, after rotation.
        decode_errors: number of errors; an `ok` video may have a few.
    """

    duration_s: float | None
    width_px: int
    height_px: int
    decode_errors: int = 0


@dataclass(frozen=True, slots=True)
class LinkFrames:
    """The features of a link's n >= 1 frames, and their times, shape (n,), from the first frame."""

    link_id: str
    features: FeatureArray
    frame_time_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GenreScore:
    """One genre of a scored link. Probabilities of a link do not sum to 1 (multi-label)."""

    genre: str
    probability: float

"""Records and array types that stages pass on. The download child imports it, but not numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NewType, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".avi", ".flv"),
        *(".ts", ".mts", ".m2ts", ".m2t", ".mpg", ".mpeg", ".mpe", ".vob"),
    }
)

FrameArray: TypeAlias = "NDArray[np.uint8]"
"""Shape (n, height, width, 3), uint8, RGB, 0..255; height and width are the network's."""

FeatureArray: TypeAlias = "NDArray[np.float32]"
"""Shape (n, width), float32; row i belongs to frame i. The width is the network's."""

TruthArray: TypeAlias = "NDArray[np.int8]"
"""True genres, shape (n, n_genres), int8, 0 or 1."""

ProbabilityArray: TypeAlias = "NDArray[np.float64]"
"""Shape (n, n_genres), float64, 0..1; columns in the order of the bundle's genres."""

ModelKind = Literal["forest", "logistic", "temporal"]

RowKind = Literal["pooled", "frames"]
"""pooled: one row per link; frames: one per frame, and a link gets their mean probability."""

TrainerName = Literal["mllib", "sklearn", "keras"]

LinkId = NewType("LinkId", str)
"""SHA-256 of the canonical link, 64 hex digits."""

Resize = Literal["squeeze", "center-crop"]
"""How a picture becomes a frame: its sides are scaled apart from each other, or it is scaled until
it covers the frame, and what stands over is cut off on both sides."""

_MAX_SIDE_PX = 1024


@dataclass(frozen=True, slots=True)
class FrameForm:
    """The frames that a network takes, in pixels, and how a picture becomes one."""

    height: int
    width: int
    resize: Resize = "squeeze"

    def __post_init__(self) -> None:
        """Raise a ValueError for a size that no network has."""
        if not (0 < self.height <= _MAX_SIDE_PX and 0 < self.width <= _MAX_SIDE_PX):
            raise ValueError(f"a frame has 1 to {_MAX_SIDE_PX} pixels a side. Received: {self}")

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape of a frame as an array."""
        return (self.height, self.width, 3)

    @property
    def n_bytes(self) -> int:
        """Bytes of a frame."""
        return self.height * self.width * 3

    def __str__(self) -> str:
        """As in messages: `299 x 299`, the width first."""
        return f"{self.width} x {self.height}"


INCEPTION_V3_FRAME = FrameForm(299, 299)
"""The input of Inception-V3 (Szegedy et al. 2016), which is the default network."""

INCEPTION_V3_WIDTH = 2048
"""Features per frame: the channels of Inception-V3's last block, averaged over space."""


@dataclass(frozen=True, slots=True)
class Link:
    """One distinct link that is ready to be downloaded."""

    link_id: LinkId
    url: str  # canonical: http, https, or file for a path under an allowed root
    round: int = 0  # number of earlier outcomes, deferred or retried on demand
    is_refetched: bool = False  # downloaded although its video is kept
    leads_to: tuple[str, ...] = ()  # hosts with a pace, other than its own, that it asked for


@dataclass(frozen=True, slots=True)
class Video:
    """One video file on a local disk."""

    path: Path
    size_bytes: int
    is_owned: bool  # in scratch, and may be deleted after use
    connections: tuple[str, ...] = ()  # `address:port` of every server of the download
    asked_at_s: float | None = None  # monotonic time of the first connection, if known


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What the decoder reported about a video."""

    duration_s: float | None  # that the container declares, if it does
    pictures_s: float | None = None  # from the first picture to the end of the last, by timestamps
    width_px: int | None = None  # of the first picture as displayed, after rotation
    height_px: int | None = None
    decode_errors: int = 0  # an `ok` video may have a few
    note: str = ""  # what was assumed to decode it


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
    threshold: float  # of the model for this genre
    is_predicted: bool  # probability >= threshold

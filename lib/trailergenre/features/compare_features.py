"""Whether features are those that somebody published: `trailergenre backbone check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError, one_line
from trailergenre.base.records import FeatureArray
from trailergenre.base.untrusted_parquet import unpack_parquet

SAME = 1e-3
"""Largest deviation of features that are the same. Engines differ by 1e-4 at most, and storing
features as float16 adds 5e-4."""
_ALIKE = 0.9
"""Median cosine of features of one network on pictures that were decoded or resized otherwise."""
_MAX_ROWS, _MAX_VALUES = 1_000_000, 50_000_000
_SHOWN = 10


@dataclass(frozen=True)
class Comparison:
    """Ours beside theirs, for the frames that both have.

    Attributes:
        n_ours, n_theirs: frames of each.
        deviations: of each frame, the largest difference over the largest of their features.
        cosines: of each frame, after subtracting their mean over the frames.
        is_bgr: theirs are those of frames with red and blue exchanged.
    """

    n_ours: int
    n_theirs: int
    deviations: NDArray[np.float64]
    cosines: NDArray[np.float64]
    is_bgr: bool = False

    @property
    def holds(self) -> bool:
        """Whether the features are the same."""
        return self.n_ours == self.n_theirs and bool((self.deviations <= SAME).all())

    def verdict(self) -> str:
        """Say what was found, and what to do."""
        if self.holds:
            return "the same features, up to rounding"
        if self.is_bgr:
            return (
                "not the same: theirs were computed from BGR. Export or import the network with "
                "the channels in the order that it was trained with, or swap theirs"
            )
        if (self.deviations <= SAME).all():
            return (
                f"the same features, but of {self.n_theirs} frames, not {self.n_ours}. Set "
                "frames.per_second as theirs was, and take the whole video"
            )
        if np.median(self.cosines) >= _ALIKE:
            return (
                "not the same, but much alike: probably the same network on frames that were "
                "decoded, timed or resized in another way. Compare frames per second, size and "
                "resize; do not mix both in one model"
            )
        return (
            "not the same: another network, other weights, another output layer, or other "
            "preprocessing. Compare them with the manifest of your backbone"
        )

    def to_json(self) -> dict[str, object]:
        """All of it, for --json."""
        return {
            "is_same": self.holds,
            "verdict": self.verdict(),
            "frames": self.n_ours,
            "frames_published": self.n_theirs,
            "deviation": self.deviations.tolist(),
            "cosine": self.cosines.tolist(),
        }

    def lines(self) -> list[str]:
        """The figures in sum, then of the frames that differ most, then the verdict."""
        worst = np.argsort(-self.deviations, kind="stable")[:_SHOWN]
        return [
            f"frames: {self.n_ours}; published: {self.n_theirs}",
            f"deviation: median {np.median(self.deviations):.1e}, largest "
            f"{self.deviations.max():.1e} (the same up to {SAME:.0e})",
            f"cosine: median {np.median(self.cosines):.4f}, smallest {self.cosines.min():.4f}",
            "frame  deviation  cosine",
            *(f"{i:5}  {self.deviations[i]:9.1e}  {self.cosines[i]:6.4f}" for i in worst),
            f"verdict: {self.verdict()}",
        ]


def compare_features(
    ours: FeatureArray, theirs: FeatureArray, swapped: FeatureArray | None = None
) -> Comparison:
    """Compare frame by frame; all arrays have shape (frames, width), float32.

    `swapped` are ours of the same frames with red and blue exchanged.
    """
    n = min(len(ours), len(theirs))
    a, b = ours[:n].astype(np.float64), theirs[:n].astype(np.float64)
    is_bgr = swapped is not None and bool(
        (_deviations(swapped[:n].astype(np.float64), b) <= SAME).all()
    )
    return Comparison(len(ours), len(theirs), _deviations(a, b), _cosines(a, b), is_bgr)


def _deviations(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    largest = np.maximum(np.abs(b).max(1), np.finfo(np.float32).tiny)
    deviations: NDArray[np.float64] = np.abs(a - b).max(1) / largest
    return deviations


def _cosines(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without its mean: with it, features of any two frames have a cosine near 1."""
    mean = b.mean(0)
    if np.abs(b - mean).max() > 1e-6 * np.abs(b).max():
        a, b = a - mean, b - mean
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines: NDArray[np.float64] = (a * b).sum(1) / np.maximum(norms, np.finfo(np.float32).tiny)
    return cosines


def read_published(path: Path, width: int, link_id: str) -> FeatureArray:
    """Read the features of one video, shape (frames, width).

    Args:
        path: .npy, .npz with one array of two axes, or Parquet as `trailergenre export` writes.
        width: of our features.
        link_id: of our video, to find it in a Parquet file of several.

    Raises:
        ConfigError: it is none of these, or of another width.
    """
    if not path.is_file():
        raise ConfigError(f"There is no file {path}.")
    readers = {".npy": _read_npy, ".npz": _read_npz, ".parquet": _read_parquet}
    if path.suffix not in readers:
        raise ConfigError(f"--against takes .npy, .npz or .parquet. Received: {path.name!r}.")
    try:
        array = readers[path.suffix](path, link_id)
    except (ValueError, OSError, EOFError, BadZipFile, pa.ArrowException) as error:
        raise ConfigError(f"{path} cannot be read: {one_line(str(error)).rstrip('.')}.") from error
    if array.ndim != 2 or array.dtype.kind != "f" or not len(array):
        raise ConfigError(
            f"{path} must hold floats of shape (frames, {width}). Received: {array.dtype} of shape "
            f"{array.shape}."
        )
    if array.shape[1] != width:
        raise ConfigError(
            f"The features in {path} are {array.shape[1]} wide, those of the network {width}: they "
            "are of another network or output, or pooled over a video."
        )
    if not np.isfinite(array).all():
        raise ConfigError(f"{path} has values that are not finite.")
    features: FeatureArray = array.astype(np.float32)
    return features


def _read_npy(path: Path, _: str) -> NDArray[Any]:
    # Mapped, so that a header cannot claim more than the file has.
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _read_npz(path: Path, _: str) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as archive:
        names = archive.files
        name = "features" if "features" in names else names[0]
        if name != "features" and len(names) != 1:
            raise ValueError(f"it has the arrays {', '.join(names)}; one, or `features`, is needed")
        array: NDArray[Any] = archive[name]
    return array


def _read_parquet(path: Path, link_id: str) -> NDArray[Any]:
    table = unpack_parquet(path.read_bytes(), max_rows=_MAX_ROWS, max_values=_MAX_VALUES)
    missing = {"link_id", "frame_index", "features"} - set(table.column_names)
    if missing:
        raise ValueError(f"it lacks the columns {', '.join(sorted(missing))}")
    link_ids = table["link_id"].unique().to_pylist()
    if len(link_ids) > 1:
        if link_id not in link_ids:
            raise ValueError(
                f"it has {len(link_ids)} links, and none is the video. Give a .npy of one link: "
                "trailergenre export RUN features --out DIR writes them"
            )
        table = table.filter(pa.compute.equal(table["link_id"], link_id))
    rows = table.sort_by("frame_index")["features"].to_pylist()
    return np.array(rows, np.float32)

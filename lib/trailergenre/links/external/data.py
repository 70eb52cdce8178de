"""What every kind of publication becomes: rows, finite features, parts and a hash of the files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import FeatureArray
from trailergenre.links.input_lists import InputList
from trailergenre.links.labelled_links import Part
from trailergenre.runs.fingerprint import EXTERNAL, FeatureSettings

MAX_VALUES = 100_000_000
"""Rows times columns: 0.8 GB while they are read. MMTF-14K's visual features are 1.5 million."""
_MAX_BYTES = 2 << 30
_MAX_LINES = 2_000_000

SCHEME = f"{EXTERNAL}:"
"""How the name begins that stands in place of a link; no downloader takes it."""


@dataclass(frozen=True)
class ExternalFeatures:
    """What a publication holds.

    Attributes:
        source: its rows; `url` is the row's published name.
        features: shape (n_rows, width), float32, all finite; row i belongs to source.rows[i].
        parts: one a row; None where no split is published with it.
        sha256: over the files, in the order in which they were read.
        n_replaced: cells that were not finite as float32 and got their column's median.
    """

    source: InputList
    features: FeatureArray
    parts: list[Part | None]
    sha256: str
    n_replaced: int

    @property
    def settings(self) -> FeatureSettings:
        """What stands for a network and a sampling rate: one frame, at second 0, of the files."""
        return FeatureSettings(
            format_rule=EXTERNAL,
            frames_per_s=1.0,
            frame_side_px=1,
            ffmpeg_major=0,
            backbone_id=f"{SCHEME}{self.sha256}",
            precision="fp32",
            width=self.features.shape[1],
        )


def publish(
    source: InputList, values: NDArray[np.float64], parts: list[Part | None], files: Sequence[Path]
) -> ExternalFeatures:
    """Make values finite and name them by the files that they come from."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(hashlib.sha256(read_bytes(path)).digest())
    features, n_replaced = _replace_non_finite(values)
    return ExternalFeatures(source, features, parts, digest.hexdigest(), n_replaced)


def _replace_non_finite(values: NDArray[np.float64]) -> tuple[FeatureArray, int]:
    """Put the median of a column's finite cells where a cell is not finite as float32."""
    with np.errstate(over="ignore"):  # beyond float32 becomes infinite, and is counted as such
        features = values.astype(np.float32)
    wrong = ~np.isfinite(features)
    for column in np.flatnonzero(wrong.any(axis=0)):
        finite = values[~wrong[:, column], column]
        features[wrong[:, column], column] = np.median(finite) if len(finite) else 0.0
    return features, int(wrong.sum())


def read_text(path: Path) -> str:
    """Read a file of UTF-8.

    Raises:
        ConfigError: it cannot be read, or is none.
    """
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}).") from error


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises:
        ConfigError: it cannot be read, or is too large: a line of two bytes becomes a row of
            a hundred times that in memory.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigError(f"There is no file {path}.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        size_bytes = path.stat().st_size
        raise ConfigError(f"{path} has {size_bytes} bytes; at most {_MAX_BYTES} are read.")
    if content.count(b"\n") + content.count(b"\r") > 2 * _MAX_LINES:  # Windows ends have both
        raise ConfigError(f"{path} has more than {_MAX_LINES} lines.")
    return content

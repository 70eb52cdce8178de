"""Features that others computed, as features and outcomes of a run."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trailergenre.base.errors import ConfigError
from trailergenre.base.records import FeatureArray, LinkFrames, LinkId
from trailergenre.base.storage import Store
from trailergenre.links.columns import MAX_ROWS
from trailergenre.links.input_lists import InputList
from trailergenre.links.labelled_links import Part
from trailergenre.links.table_files import read_bytes as read_bounded
from trailergenre.runs import outcomes_table
from trailergenre.runs.commit import write_commit
from trailergenre.runs.fingerprint import EXTERNAL, FeatureSettings, list_settings, write_settings
from trailergenre.runs.outcome_row import OutcomeRow

MAX_VALUES = 50_000_000
"""Rows times columns, 2 GB while reading. MMTF-14K's visual features have 1.5 million."""
_COMMIT_BYTES = 64_000_000
"""Features per file, as `chunks.max_bytes` for those of videos."""

SCHEME = f"{EXTERNAL}:"
"""Prefix of the names that stand in for links. No downloader accepts it."""


@dataclass(frozen=True)
class ExternalFeatures:
    """A data set of features.

    Attributes:
        source: its rows; `url` is the row's name, which starts with `SCHEME`.
        features: shape (n_rows, width), float32, finite; row i belongs to source.rows[i].
        parts: one per row; None where the data set has no split.
        sha256: hash of the files, in reading order.
        n_replaced: cells that were not finite as float32 and became their column's median.
    """

    source: InputList
    features: FeatureArray
    parts: list[Part | None]
    sha256: str
    n_replaced: int

    @classmethod
    def from_values(
        cls,
        source: InputList,
        values: NDArray[np.float64],
        parts: list[Part | None],
        files: Sequence[Path],
    ) -> ExternalFeatures:
        """Make the values finite and hash the files that they come from."""
        digest = hashlib.sha256()
        for path in files:
            digest.update(hashlib.sha256(read_bytes(path)).digest())
        features, n_replaced = _replace_non_finite(values)
        return cls(source, features, parts, digest.hexdigest(), n_replaced)

    @property
    def settings(self) -> FeatureSettings:
        """The fingerprint's settings: one frame per row, with the files' hash as the network."""
        return FeatureSettings(
            format_rule=EXTERNAL,
            frames_per_s=1.0,
            frame_side_px=1,
            ffmpeg_major=0,
            backbone_id=f"{SCHEME}{self.sha256}",
            precision="fp32",
            width=self.features.shape[1],
        )

    def commit(self, store: Store, ready: Mapping[LinkId, int]) -> None:
        """Commit the links without an outcome, each with one frame. Requires the lease.

        Args:
            store: the run; ConfigError if it holds other features.
            ready: link_id -> index of its row.
        """
        fingerprint = self.settings.fingerprint
        if others := list_settings(store).keys() - {fingerprint}:
            raise ConfigError(
                f"{store} holds other features ({', '.join(sorted(others))}). External features "
                "need a run of their own: give another RUN."
            )
        write_settings(store, self.settings)
        done = set(outcomes_table.read_outcomes(store, fingerprint)["link_id"].to_pylist())
        todo = iter(sorted(ready.keys() - done))
        n_links = max(1, _COMMIT_BYTES // (4 * self.settings.width))
        while link_ids := list(itertools.islice(todo, n_links)):
            frames = [
                LinkFrames(link_id, self.features[[ready[link_id]]], np.zeros(1))
                for link_id in link_ids
            ]
            # Nothing was downloaded, decoded or embedded, and no child process needed a sandbox.
            rows = [
                OutcomeRow(link_id, frames=1, engine=EXTERNAL, sandbox="not needed")
                for link_id in link_ids
            ]
            write_commit(store, fingerprint, frames=frames, rows=rows)


def _replace_non_finite(values: NDArray[np.float64]) -> tuple[FeatureArray, int]:
    with np.errstate(over="ignore"):  # values beyond float32 become infinite and are replaced
        features = values.astype(np.float32)
    wrong = ~np.isfinite(features)
    for column in np.flatnonzero(wrong.any(axis=0)):
        finite = values[~wrong[:, column], column]
        features[wrong[:, column], column] = np.median(finite) if len(finite) else 0.0
    return features, int(wrong.sum())


def read_text(path: Path) -> str:
    """Read a UTF-8 file like `read_bytes`."""
    try:
        return read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}).") from error


def read_bytes(path: Path) -> bytes:
    """Read a file of bounded size and number of lines: a short line can become a wide row.

    Raises:
        ConfigError: the file cannot be read or is too large.
    """
    content = read_bounded(path)
    if content.count(b"\n") + content.count(b"\r") > 2 * MAX_ROWS:  # \r\n counts as two
        raise ConfigError(f"{path} has more than {MAX_ROWS} lines.")
    return content

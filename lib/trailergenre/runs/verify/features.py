"""I2 and I3: every frame is there once, and every features file is what its rows say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.progress import OnStep
from trailergenre.base.records import FeatureArray
from trailergenre.base.storage import Store
from trailergenre.runs import features_table, tables
from trailergenre.runs.verify.verification import Check

_MAKE_AGAIN = (
    "Restore the features file from a copy, or delete it and run `trailergenre featurize` again, "
    "which makes it anew."
)


PER_LINK = ("link_id", "frames", "pictures_s")
"""Columns of the outcomes that a file is checked against, besides `REFERENCE_COLUMNS`."""


@dataclass
class FileFindings:
    """What is found in one features file, or in several; JSON types only."""

    frames_checked: int = 0  # links
    commits_checked: int = 0  # files
    n_frames: int = 0  # rows that readers reach
    files: list[str] = field(default_factory=list)  # offenders of each check
    commits: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)  # of each link


CheckFiles = Callable[[pa.Table, OnStep], Iterator[FileFindings]]
"""Checks the features files of current `ok` outcomes; the step counts frames."""


class Features:
    """The checks of all features, from the findings of each file: 150 bytes per link."""

    def __init__(self) -> None:
        self.files = Check("I3", "features files match their rows", _MAKE_AGAIN)
        self.commits = Check("I3", "commits match their finite content", _MAKE_AGAIN)
        self.frames = Check("I2", "every frame is there once, in order", _MAKE_AGAIN)
        self.n_frames = 0
        self._digests: list[bytes] = []  # link id and digest of each link

    @property
    def content_hash(self) -> str | None:
        """SHA-256 over links and frames in order, not over files; None if a file cannot be read."""
        if not self.files.holds:
            return None
        total = hashlib.sha256()
        for digest in sorted(self._digests):
            total.update(digest)
        return total.hexdigest()

    def add(self, found: FileFindings) -> None:
        """Take the findings of a file."""
        self.files.checked += 1
        self.commits.checked += found.commits_checked
        self.frames.checked += found.frames_checked
        for check, offenders in (
            (self.files, found.files),
            (self.commits, found.commits),
            (self.frames, found.frames),
        ):
            for offender in offenders:
                check.add_offender(offender)
        self.n_frames += found.n_frames
        self._digests += (
            link_id.encode() + bytes.fromhex(digest) for link_id, digest in found.digests.items()
        )


@dataclass(frozen=True)
class FileCheck:
    """Checks features files against the outcomes rows that refer to them."""

    store: Store
    frames_per_s: float
    width: int

    def check_all(self, current: pa.Table, on_step: OnStep) -> Iterator[FileFindings]:
        """Check files one after the other, on this machine; see `CheckFiles`."""
        total, done = int(pc.sum(current["frames"]).as_py() or 0), 0
        for path, rows in features_table.by_features_file(current):
            yield self.check(path, rows)
            done += int(pc.sum(rows["frames"]).as_py() or 0)
            on_step(done, total)

    def check(self, path: str, rows: pa.Table) -> FileFindings:
        """Check one file against its rows, which have `PER_LINK` and `REFERENCE_COLUMNS`."""
        found = FileFindings()
        table = self._open(path, rows, found)
        if table is not None:
            self._check_content(table, path, rows, found)
        return found

    def _open(self, path: str, rows: pa.Table, found: FileFindings) -> pa.Table | None:
        where = f"(outcomes of {len(rows)} links refer to it)"
        try:
            table = tables.read_content_addressed(self.store, "features", path)
        except (StorageError, SchemaError) as error:
            found.files.append(f"{error} {where}")
            return None
        size_bytes = self.store.size_bytes(path)
        actual = (len(table), size_bytes, PurePosixPath(path).stem)
        columns = ("features_rows", "features_bytes", "features_sha256")
        expected = set(zip(*(rows[name].to_pylist() for name in columns), strict=True))
        width = table["features"].type.list_size
        if expected != {actual}:
            found.files.append(f"{path}: rows, bytes, SHA-256 are {actual}, not {expected} {where}")
            return None
        if width != self.width:
            found.files.append(f"{path}: its rows are {width} wide, not {self.width} {where}")
            return None
        return table

    def _check_content(
        self, table: pa.Table, path: str, rows: pa.Table, found: FileFindings
    ) -> None:
        found.commits_checked += 1
        commits = set(table["commit"].to_pylist()) | set(rows["commit"].to_pylist())
        in_order = ((link_id, _features_of(part)) for link_id, part in _split_by_link(table))
        content = features_table.hash_commit(in_order, table["frame_time_s"].to_numpy())
        if commits != {content}:
            found.commits.append(f"{path}: commit is {commits}, its content is {content}")
        reached = features_table.referenced_rows(table, rows).sort_by(
            [("link_id", "ascending"), ("frame_index", "ascending")]
        )
        frames_of = dict(_split_by_link(reached))
        for row in rows.select(["link_id", "frames", "pictures_s"]).to_pylist():
            found.frames_checked += 1
            frames = frames_of.get(row["link_id"])
            if frames is None:
                found.frames.append(f"link {row['link_id']} in {path}: no frame is there")
            else:
                self._check_link(f"link {row['link_id']} in {path}", frames, row, found)
                found.digests[row["link_id"]] = _hash_frames(frames)
        found.n_frames += len(reached)

    def _check_link(
        self, where: str, frames: pa.Table, row: Mapping[str, Any], found: FileFindings
    ) -> None:
        n_frames, pictures_s = row["frames"], row["pictures_s"]
        index = frames["frame_index"].to_numpy()
        if not np.array_equal(index, np.arange(n_frames)):
            found.frames.append(f"{where}: frame_index is not 0..{n_frames - 1}, each once")
        elif not np.array_equal(frames["frame_time_s"].to_numpy(), index / self.frames_per_s):
            expected = f"frame_index / {self.frames_per_s:g}"
            found.frames.append(f"{where}: frame_time_s is not {expected}")
        # External features have no video.
        elif pictures_s is not None and abs(n_frames - pictures_s * self.frames_per_s) > 1:
            found.frames.append(
                f"{where}: {n_frames} frames, but its pictures last {pictures_s:g} s"
            )
        if not np.isfinite(_features_of(frames)).all():
            found.commits.append(f"{where}: its features are not all finite")


def _features_of(rows: pa.Table) -> FeatureArray:
    flat = rows["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    features: FeatureArray = flat.reshape(len(rows), rows["features"].type.list_size)
    return features


def _split_by_link(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Split a table where the link changes."""
    codes = table["link_id"].combine_chunks().dictionary_encode()
    starts = np.flatnonzero(np.diff(codes.indices.to_numpy(), prepend=-1))
    for start, length in zip(starts, np.diff(starts, append=len(table)), strict=True):
        yield table["link_id"][int(start)].as_py(), table.slice(start, length)


def _hash_frames(frames: pa.Table) -> str:
    digest = hashlib.sha256()
    digest.update(frames["frame_index"].to_numpy().astype("<i4").tobytes())
    digest.update(frames["frame_time_s"].to_numpy().astype("<f8").tobytes())
    digest.update(_features_of(frames).astype("<f4", copy=False).tobytes())
    return digest.hexdigest()

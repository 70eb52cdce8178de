"""I2 and I3: every frame is there once, and every features file is what its rows say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import OnStep
from trailergenre.base.records import FeatureArray
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.verify.verification import Check

_MAKE_AGAIN = (
    "Restore the features file from a copy, or delete it with the outcomes file that refers to it "
    "and run `trailergenre featurize` again, which makes them anew (--retry OUTCOME for links in "
    "the outcomes file that had failed)."
)


class Features:
    """The checks of all features. Memory holds one file at a time and 32 bytes per link.

    `n_frames` counts the rows that readers reach.
    """

    def __init__(self, frames_per_s: float, width: int) -> None:
        self.frames_per_s, self.width = frames_per_s, width
        self.files = Check("I3", "features files match their rows", _MAKE_AGAIN)
        self.commits = Check("I3", "commits match their finite content", _MAKE_AGAIN)
        self.frames = Check("I2", "every frame is there once, in order", _MAKE_AGAIN)
        self.n_frames = 0
        self._digests: dict[str, bytes] = {}

    @property
    def content_hash(self) -> str | None:
        """SHA-256 over links and frames in order, not over files; None if a file cannot be read."""
        if not self.files.holds:
            return None
        total = hashlib.sha256()
        for link_id in sorted(self._digests):
            total.update(link_id.encode() + self._digests[link_id])
        return total.hexdigest()

    def read(self, store: Store, current: pa.Table, on_step: OnStep) -> None:
        """Check the features of `current` outcomes; `on_step` gets (frames read, frames in all)."""
        is_ok = pc.equal(current["outcome"], Outcome.OK.value)
        current = current.filter(pc.and_(is_ok, pc.is_valid(current["features_file"])))
        total = int(pc.sum(current["frames"]).as_py() or 0)
        sizes = {file.path: file.size_bytes for file in store.list_all_files("features")}
        done = 0
        for path in tables.feature_files(current):
            rows = current.filter(pc.equal(current["features_file"], path))
            self.files.checked += 1
            table = self._open(store, path, rows, sizes.get(path))
            if table is not None:
                self._check_content(table, path, rows)
            done += int(pc.sum(rows["frames"]).as_py() or 0)
            on_step(done, total)

    def _open(
        self, store: Store, path: str, rows: pa.Table, size_bytes: int | None
    ) -> pa.Table | None:
        sources = ", ".join(sorted(set(rows["_file"].to_pylist())))
        where = f"({len(rows)} links of {sources} refer to it)"
        try:
            table = tables.read_content_addressed(store, "features", path)
        except (StorageError, SchemaError) as error:
            self.files.add_offender(f"{error} {where}")
            return None
        actual = (len(table), size_bytes, PurePosixPath(path).stem)
        columns = ("features_rows", "features_bytes", "features_sha256")
        expected = set(zip(*(rows[name].to_pylist() for name in columns), strict=True))
        width = table["features"].type.list_size
        if expected != {actual}:
            self.files.add_offender(
                f"{path}: rows, bytes, SHA-256 are {actual}, not {expected} {where}"
            )
            return None
        if width != self.width:
            self.files.add_offender(f"{path}: its rows are {width} wide, not {self.width} {where}")
            return None
        return table

    def _check_content(self, table: pa.Table, path: str, rows: pa.Table) -> None:
        self.commits.checked += 1
        commits = set(table["commit"].to_pylist()) | set(rows["commit"].to_pylist())
        in_order = ((link_id, _features_of(part)) for link_id, part in _split_by_link(table))
        content = tables.hash_commit(in_order, table["frame_time_s"].to_numpy())
        if commits != {content}:
            self.commits.add_offender(f"{path}: commit is {commits}, its content is {content}")
        reached = tables.referenced_rows(table, rows).sort_by(
            [("link_id", "ascending"), ("frame_index", "ascending")]
        )
        frames_of = dict(_split_by_link(reached))
        for row in rows.select(["link_id", "frames", "pictures_s"]).to_pylist():
            self.frames.checked += 1
            frames = frames_of.get(row["link_id"])
            if frames is None:
                self.frames.add_offender(f"link {row['link_id']} in {path}: no frame is there")
            else:
                self._check_link(f"link {row['link_id']} in {path}", frames, row)
                self._digests[row["link_id"]] = _hash_frames(frames)
        self.n_frames += len(reached)

    def _check_link(self, where: str, frames: pa.Table, row: Mapping[str, Any]) -> None:
        n_frames, pictures_s = row["frames"], row["pictures_s"]
        index = frames["frame_index"].to_numpy()
        if not np.array_equal(index, np.arange(n_frames)):
            self.frames.add_offender(f"{where}: frame_index is not 0..{n_frames - 1}, each once")
        elif not np.array_equal(frames["frame_time_s"].to_numpy(), index / self.frames_per_s):
            expected = f"frame_index / {self.frames_per_s:g}"
            self.frames.add_offender(f"{where}: frame_time_s is not {expected}")
        # External features have no video.
        elif pictures_s is not None and abs(n_frames - pictures_s * self.frames_per_s) > 1:
            self.frames.add_offender(
                f"{where}: {n_frames} frames, but its pictures last {pictures_s:g} s"
            )
        if not np.isfinite(_features_of(frames)).all():
            self.commits.add_offender(f"{where}: its features are not all finite")


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


def _hash_frames(frames: pa.Table) -> bytes:
    digest = hashlib.sha256()
    digest.update(frames["frame_index"].to_numpy().astype("<i4").tobytes())
    digest.update(frames["frame_time_s"].to_numpy().astype("<f8").tobytes())
    digest.update(_features_of(frames).astype("<f4", copy=False).tobytes())
    return digest.digest()

"""I2 and I3: every frame once, in its place, and every file what its name and its rows say."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import OnStep
from trailergenre.base.records import FeatureArray
from trailergenre.base.storage import Store
from trailergenre.runs import tables
from trailergenre.runs.parquet import read_content_addressed
from trailergenre.runs.verify.checks import Check

_TAKE_AGAIN = (
    "Restore the features file from a copy, or delete it with the outcomes file that names it "
    "and run jobs/featurize.py again, which takes its links once more (with --retry OUTCOME those "
    "that had failed with it before)."
)


@dataclass
class Features:
    """What reading all features found; memory holds one file at a time and 32 bytes a link.

    Attributes:
        frames_per_s: of the fingerprint.
        width: of the fingerprint.
        files: I3: files are what rows and names say.
        commits: I3: commits are the hash of what they hold.
        frames: I2.
        n_frames: rows that readers reach.
    """

    frames_per_s: float
    width: int
    files: Check = field(
        default_factory=lambda: Check("I3", "features files are what rows name", _TAKE_AGAIN)
    )
    commits: Check = field(
        default_factory=lambda: Check("I3", "commits are their content, all finite", _TAKE_AGAIN)
    )
    frames: Check = field(
        default_factory=lambda: Check("I2", "every frame is there once, in its place", _TAKE_AGAIN)
    )
    n_frames: int = 0
    _digests: dict[str, bytes] = field(default_factory=dict)

    @property
    def content_hash(self) -> str | None:
        """SHA-256 over the links in order, each with the SHA-256 of its frames in order.

        It depends on what readers reach and on nothing else: not on files, nor on their order.
        """
        if not self.files.holds:
            return None
        total = hashlib.sha256()
        for link_id in sorted(self._digests):
            total.update(link_id.encode() + self._digests[link_id])
        return total.hexdigest()

    def read(self, store: Store, current: pa.Table, on_step: OnStep) -> None:
        """Read every features file that current outcomes rows name.

        Args:
            store: the run.
            current: one outcomes row a link, with `_file`.
            on_step: called with (frames read, frames in all).
        """
        is_named = pc.and_(
            pc.equal(current["outcome"], Outcome.OK.value), pc.is_valid(current["features_file"])
        )
        current = current.filter(is_named)
        total = int(pc.sum(current["frames"]).as_py() or 0)
        sizes = {file.path: file.size_bytes for file in store.list_all_files("features")}
        done = 0
        for path in tables.feature_files(current):
            named = current.filter(pc.equal(current["features_file"], path))
            self.files.checked += 1
            table = self._open(store, path, named, sizes.get(path))
            if table is not None:
                self._check_content(table, path, named)
            done += int(pc.sum(named["frames"]).as_py() or 0)
            on_step(done, total)

    def _open(
        self, store: Store, path: str, named: pa.Table, size_bytes: int | None
    ) -> pa.Table | None:
        by = f"named by {', '.join(sorted(set(named['_file'].to_pylist())))}, {len(named)} links"
        try:
            table = read_content_addressed(store, "features", path)
        except (StorageError, SchemaError) as error:
            self.files.add_offender(f"{error} ({by})")
            return None
        found = (len(table), size_bytes, path.rpartition("/")[2].removesuffix(".parquet"))
        columns = ("features_rows", "features_bytes", "features_sha256")
        expected = set(zip(*(named[name].to_pylist() for name in columns), strict=True))
        if expected != {found}:
            self.files.add_offender(
                f"{path}: rows, bytes, SHA-256 are {found}, not {expected} ({by})"
            )
            return None
        width = table["features"].type.list_size
        if width != self.width:
            self.files.add_offender(f"{path}: its rows are {width} wide, not {self.width} ({by})")
            return None
        return table

    def _check_content(self, table: pa.Table, path: str, named: pa.Table) -> None:
        self.commits.checked += 1
        commits = set(table["commit"].to_pylist()) | set(named["commit"].to_pylist())
        content = tables.hash_commit(_links_in_order(table), table["frame_time_s"].to_numpy())
        if commits != {content}:
            self.commits.add_offender(f"{path}: commit is {commits}, its content is {content}")
        reached = tables.referenced_rows(table, named).sort_by(
            [("link_id", "ascending"), ("frame_index", "ascending")]
        )
        expected = dict(zip(named["link_id"].to_pylist(), named["frames"].to_pylist(), strict=True))
        found = dict(_split_by_link(reached))
        for link_id, n_frames in expected.items():
            self.frames.checked += 1
            self._check_link(f"link {link_id} in {path}", found.get(link_id), n_frames)
            if link_id in found:
                self._digests[link_id] = _hash_frames(found[link_id])
        self.n_frames += len(reached)

    def _check_link(self, where: str, rows: pa.Table | None, n_frames: int) -> None:
        if rows is None:
            self.frames.add_offender(f"{where}: none of {n_frames} frames is there")
            return
        index = rows["frame_index"].to_numpy()
        if not np.array_equal(index, np.arange(n_frames)):
            self.frames.add_offender(f"{where}: frame_index is not 0..{n_frames - 1}, each once")
        elif not np.array_equal(rows["frame_time_s"].to_numpy(), index / self.frames_per_s):
            self.frames.add_offender(
                f"{where}: frame_time_s is not frame_index / {self.frames_per_s:g}"
            )
        if not np.isfinite(_features_of(rows)).all():
            self.commits.add_offender(f"{where}: its features are not all finite")


def _features_of(rows: pa.Table) -> FeatureArray:
    flat = rows["features"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    features: FeatureArray = flat.reshape(len(rows), rows["features"].type.list_size)
    return features


def _links_in_order(table: pa.Table) -> Iterator[tuple[str, FeatureArray]]:
    """Each link and its features, in the order of the file: what `tables.hash_commit` takes."""
    for link_id, rows in _split_by_link(table):
        yield link_id, _features_of(rows)


def _split_by_link(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Cut a table where the link changes."""
    codes = table["link_id"].combine_chunks().dictionary_encode()
    starts = np.flatnonzero(np.diff(codes.indices.to_numpy(), prepend=-1))
    for start, length in zip(starts, np.diff(starts, append=len(table)), strict=True):
        yield table["link_id"][int(start)].as_py(), table.slice(start, length)


def _hash_frames(rows: pa.Table) -> bytes:
    """SHA-256 over a link's frames in order: index, time, features."""
    digest = hashlib.sha256()
    digest.update(rows["frame_index"].to_numpy().astype("<i4").tobytes())
    digest.update(rows["frame_time_s"].to_numpy().astype("<f8").tobytes())
    digest.update(_features_of(rows).astype("<f4", copy=False).tobytes())
    return digest.digest()

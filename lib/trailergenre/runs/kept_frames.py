"""Kept frames: the decoded frames of each link in one file, so that nothing is decoded again.

A file is an Arrow stream, then its own SHA-256. Each frame is stored as the differences between
neighbouring pixels of a row, which zstd compresses better than pixels
(`docs/decisions/0016-kept-frames.md`). The schema's metadata names the file's place and the frames'
height and width; the metadata of a last, empty batch holds what the outcomes row says of download
and decode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from trailergenre.base.errors import StorageError
from trailergenre.base.records import INCEPTION_V3_FRAME, FrameArray, FrameForm, Link
from trailergenre.base.storage import Store
from trailergenre.runs.outcome_row import OutcomeRow

_PLACE = b"place"
_SIZE = b"size"
_ROW = b"origin"
_DIGEST_BYTES = hashlib.sha256().digest_size


class FramesWriter:
    """Writes the frames of one link to a local file."""

    def __init__(self, path: Path, place: str, form: FrameForm) -> None:
        """Create a local file for frames that will be kept at `place`."""
        self.path = path
        self.place = place
        self._sink = pa.OSFile(str(path), "wb")
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
        metadata = {_PLACE: place, _SIZE: f"{form.height} {form.width}"}
        frame = pa.field("frame", pa.binary(form.n_bytes), nullable=False)
        self._schema = pa.schema([frame], metadata)
        self._writer = pa.ipc.new_stream(self._sink, self._schema, options=options)

    def add(self, frames: FrameArray) -> None:
        """Append a batch, shape (n, height, width, 3)."""
        differences = frames.copy()
        differences[:, :, 1:] -= frames[:, :, :-1]
        buffers = [None, pa.py_buffer(differences)]
        column = pa.FixedSizeBinaryArray.from_buffers(self._schema[0].type, len(frames), buffers)
        self._writer.write_batch(pa.record_batch([column], schema=self._schema))

    def close(self, row: OutcomeRow | None) -> None:
        """Close the file; without the link's row it stays incomplete and is not to be read."""
        if row is not None:
            empty = pa.RecordBatch.from_pylist([], self._schema)
            self._writer.write_batch(empty, custom_metadata={_ROW: row.to_json()})
        self._writer.close()
        self._sink.close()
        if row is not None:
            with self.path.open("r+b") as file:
                file.write(hashlib.file_digest(file, "sha256").digest())


class FramesReader:
    """Reads the frames of one link, once, in order. `row` is known after the last batch."""

    def __init__(self, content: bytes, place: str, *, where: str) -> None:
        """Check that it was written at `place`, all but its frames; `where` names it in errors."""
        self._where = where
        body, digest = memoryview(content)[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise self._damaged("its content does not match its SHA-256")
        self._reader = pa.ipc.open_stream(pa.py_buffer(body))
        metadata = self._reader.schema.metadata or {}
        actual = metadata.get(_PLACE, b"unknown").decode()
        if actual != place:
            raise self._damaged(f"its frames belong to {actual}")
        # Files of earlier versions do not say it.
        size = metadata.get(
            _SIZE, f"{INCEPTION_V3_FRAME.height} {INCEPTION_V3_FRAME.width}".encode()
        )
        height, width = map(int, size.split())
        self._form = FrameForm(height, width)
        self._link_id = place.rpartition("/")[2]
        self.row: OutcomeRow | None = None

    def batches(self, size: int) -> Iterator[FrameArray]:
        """Yield the frames in batches of `size`; only the last may be smaller.

        A StorageError follows if the number of frames is not the recorded one.
        """
        open_frames, n_frames = np.empty((0, *self._form.shape), np.uint8), 0
        for differences in self._read():
            n_frames += len(differences)
            frames = np.add.accumulate(differences, axis=2, dtype=np.uint8)
            open_frames = np.concatenate([open_frames, frames])
            while len(open_frames) >= size:
                yield open_frames[:size]
                open_frames = open_frames[size:]
        if self.row is None or self.row.frames != n_frames:
            raise self._damaged(f"its {n_frames} frames are not the recorded number")
        if len(open_frames):
            yield open_frames

    def _read(self) -> Iterator[FrameArray]:
        """Yield the differences batch by batch; the last batch holds the row."""
        while self.row is None:
            batch, metadata = self._reader.read_next_batch_with_custom_metadata()
            if metadata is not None:
                self.row = OutcomeRow.from_json(metadata[_ROW], self._link_id)
            elif len(batch):
                values = np.frombuffer(batch.column(0).buffers()[1], np.uint8)
                yield values[: len(batch) * self._form.n_bytes].reshape(-1, *self._form.shape)

    def _damaged(self, reason: str) -> StorageError:
        return StorageError(
            f"{self._where} was changed or truncated: {reason}. "
            "Delete it and run `trailergenre featurize` again, which makes its frames anew."
        )


@dataclass(frozen=True, slots=True)
class KeptFrames:
    """The kept frames of one run, at `RUN/frames/<frames_key>/<link_id>`.

    Kept frames are used in any case; `keeps_new` says whether new frames are kept.
    """

    store: Store
    key: str
    keeps_new: bool

    def list_link_ids(self) -> set[str]:
        """List the links whose frames are kept."""
        return {Path(file.path).name for file in self.store.list_files(f"frames/{self.key}")}

    def has(self, link: Link) -> bool:
        """Whether a link's frames are kept."""
        return self.store.exists(self.place(link.link_id))

    def read(self, link_id: str) -> FramesReader:
        """Read a link's frames, some 130 KB each, and check them."""
        place = self.place(link_id)
        return FramesReader(
            self.store.read_bytes(place), place, where=f"{place} below {self.store}"
        )

    def keep(self, file: FramesWriter) -> None:
        """Store a closed file at its place; it appears whole or not at all."""
        self.store.upload(file.path, file.place)

    def place(self, link_id: str) -> str:
        """The path of a link's frames below the run."""
        return f"frames/{self.key}/{link_id}"

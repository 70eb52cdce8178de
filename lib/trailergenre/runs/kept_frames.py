"""Kept frames: what was decoded of a link, as one file on the run's own storage.

A file is an Arrow stream of record batches (one column of fixed-size binary), then its own SHA-256.
Each frame stands as the differences from pixel to pixel along a row, which zstd makes smaller
than the pixels themselves; the figures are in `docs/decisions/0016-kept-frames.md`. Whose frames
they are comes first, with the schema; what the outcomes row needs to know of the download and the
decode comes last, beside an empty batch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from trailergenre.base.errors import StorageError
from trailergenre.base.records import FRAME_BYTES, FRAME_SIDE_PX, FrameArray, Link, VideoFacts
from trailergenre.base.storage import Store

_SCHEMA = pa.schema([pa.field("frame", pa.binary(FRAME_BYTES), nullable=False)])
_PLACE = b"place"
"""Key of the metadata of a file's schema: its path on the shelf, of key and link."""
_ORIGIN = b"origin"
"""Key of the metadata of the last batch."""
_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, slots=True)
class Origin:
    """Where kept frames come from; all that the outcomes row says of it.

    Attributes:
        frames: how many there are.
        attempts: downloads tried.
        download_s: wall seconds of the download.
        decode_s: wall seconds of the decoder.
        size_bytes: of the video file.
        connections: `address:port` of every server that the download spoke to.
        facts: what the decoder saw.
    """

    frames: int
    attempts: int
    download_s: float
    decode_s: float
    size_bytes: int | None
    connections: tuple[str, ...]
    facts: VideoFacts


class FramesWriter:
    """Frames on their way to the shelf, as a file on the local disk."""

    def __init__(self, path: Path, place: str) -> None:
        """Begin a file.

        Args:
            path: on the local disk.
            place: where it will stand, from `KeptFrames.place`.
        """
        self.path = path
        self.place = place
        self._sink = pa.OSFile(str(path), "wb")
        options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1))
        schema = _SCHEMA.with_metadata({_PLACE: place})
        self._writer = pa.ipc.new_stream(self._sink, schema, options=options)
        self.n_frames = 0

    def add(self, frames: FrameArray) -> None:
        """Write a batch, shape (n, 299, 299, 3); the first frame is the one after the last."""
        differences = frames.copy()
        differences[:, :, 1:] -= frames[:, :, :-1]
        buffers = [None, pa.py_buffer(differences)]
        column = pa.FixedSizeBinaryArray.from_buffers(_SCHEMA[0].type, len(frames), buffers)
        self._writer.write_batch(pa.record_batch([column], schema=_SCHEMA))
        self.n_frames += len(frames)

    def close(self, origin: Origin | None) -> None:
        """End the file; without an origin it is not to be read."""
        if origin is not None:
            text = json.dumps(asdict(origin))
            empty = pa.RecordBatch.from_pylist([], _SCHEMA)
            self._writer.write_batch(empty, custom_metadata={_ORIGIN: text})
        self._writer.close()
        self._sink.close()
        if origin is not None:
            with self.path.open("r+b") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
                file.write(digest)


class FramesReader:
    """The frames of one link, once, in order.

    Attributes:
        origin: where they come from; known once iteration has ended.
    """

    def __init__(self, content: bytes, place: str, *, where: str) -> None:
        """Check a file's content, but for the number of frames.

        Args:
            content: of the file.
            place: where it stands, from `KeptFrames.place`.
            where: for people.

        Raises:
            StorageError: it is not what was written there.
        """
        self._where = where
        body, digest = memoryview(content)[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if hashlib.sha256(body).digest() != digest:
            raise self._damaged("its SHA-256 is not the one that it ends with")
        self._reader = pa.ipc.open_stream(pa.py_buffer(body))
        found = (self._reader.schema.metadata or {}).get(_PLACE, b"nobody's").decode()
        if found != place:
            raise self._damaged(f"its frames are {found}")
        self.origin: Origin | None = None

    def batches(self, size: int) -> Iterator[FrameArray]:
        """Yield the frames.

        Args:
            size: most frames a batch; only the last batch is smaller.

        Yields:
            Shape (n, 299, 299, 3), uint8, RGB; each a fresh array.

        Raises:
            StorageError: there are more or fewer than were written.
        """
        batch, filled, n_frames = _empty(size), 0, 0
        for differences in self._read():
            start, n_frames = 0, n_frames + len(differences)
            while start < len(differences):
                end = min(len(differences), start + size - filled)
                target = batch[filled : filled + end - start]
                np.add.accumulate(differences[start:end], axis=2, dtype=np.uint8, out=target)
                filled, start = filled + end - start, end
                if filled == size:
                    yield batch
                    batch, filled = _empty(size), 0
        if self.origin is None or self.origin.frames != n_frames:
            raise self._damaged(f"it has {n_frames} frames, and says otherwise")
        if filled:
            yield batch[:filled]

    def _read(self) -> Iterator[FrameArray]:
        """Yield the record batches' values; the last one tells the origin."""
        while self.origin is None:
            batch, metadata = self._reader.read_next_batch_with_custom_metadata()
            if metadata is not None:
                self.origin = _parse_origin(metadata[_ORIGIN])
            elif len(batch):
                values = np.frombuffer(batch.column(0).buffers()[1], np.uint8)
                yield values[: len(batch) * FRAME_BYTES].reshape(_shape(len(batch)))

    def _damaged(self, reason: str) -> StorageError:
        return StorageError(
            f"{self._where} was changed or cut: {reason}. "
            "Delete it and run jobs/featurize.py again, which takes its link anew."
        )


@dataclass(frozen=True, slots=True)
class KeptFrames:
    """The kept frames of one run and one way of sampling, at `RUN/frames/KEY/<link_id>`.

    Attributes:
        store: the run.
        key: `FeatureSettings.frames_key`.
        keeps_new: whether frames are kept; kept ones are used either way.
    """

    store: Store
    key: str
    keeps_new: bool

    def list_link_ids(self) -> set[str]:
        """Links whose frames are kept."""
        return {Path(file.path).name for file in self.store.list_files(f"frames/{self.key}")}

    def count_links(self) -> int:
        """How many they are."""
        return len(self.list_link_ids())

    def has(self, link: Link) -> bool:
        """Whether a link's frames are kept."""
        return self.store.exists(self.place(link.link_id))

    def read(self, link_id: str) -> FramesReader:
        """Read kept frames, which are some 130 KB each, and check them.

        Raises:
            StorageError: the file is not there, cut, changed or another link's.
        """
        place = self.place(link_id)
        content = self.store.read_bytes(place)
        return FramesReader(content, place, where=f"{place} below {self.store}")

    def keep(self, file: FramesWriter) -> None:
        """Store a closed file at its place; it appears at once or not at all."""
        self.store.upload(file.path, file.place)

    def place(self, link_id: str) -> str:
        """Where the frames of a link stand in the run."""
        return f"frames/{self.key}/{link_id}"


def _shape(n_frames: int) -> tuple[int, int, int, int]:
    return (n_frames, FRAME_SIDE_PX, FRAME_SIDE_PX, 3)


def _empty(n_frames: int) -> FrameArray:
    return np.empty(_shape(n_frames), np.uint8)


def _parse_origin(text: bytes) -> Origin:
    values = json.loads(text)
    facts = VideoFacts(**values.pop("facts"))
    return Origin(**values | {"facts": facts, "connections": tuple(values["connections"])})

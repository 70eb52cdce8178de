"""Reads arrays of strangers' files, in a child process: see `arrays`.

Run as `python -m trailergenre.links.external.array_child KIND FILE...`. Writes a line of JSON with
the ids of all arrays and their width, reads a line with the ids that are wanted, and then writes
for each of them a line that names it, one with its shape or what is wrong, and its values.
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import zipfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_ARRAY_BYTES = 128 << 20
"""Of one array, and of one chunk of it: four hours of frames, 2,048 wide."""
MAX_ARRAYS = 2_000_000

_N_WIDTHS = 64  # arrays that are asked for the set's width
_CODECS = frozenset(
    {
        *("blosc", "bz2", "crc32c", "gzip", "lz4", "lzma", "zlib", "zstd"),
        *("bytes", "transpose", "shuffle", "sharding_indexed"),
    }
)
"""Codecs of numbers. One that is left out, pickle, runs what the file says."""


class ArrayError(Exception):
    """An array that cannot be used, in a few words."""


class Source(ABC):
    """The arrays of one file."""

    ids: list[str]

    @abstractmethod
    def stream(self, wanted: set[str]) -> Iterator[tuple[str, NDArray[Any] | ArrayError | None]]:
        """Yield each wanted array twice: first its id and None, then its id and the array."""

    @abstractmethod
    def list_widths(self) -> Iterator[int]:
        """Yield the widths that arrays declare; one for all, if the file says so."""


class _EachSource(Source):
    """Arrays that are read one by one."""

    @abstractmethod
    def read(self, name: str) -> NDArray[Any]:
        """Read an array, or raise an `ArrayError`."""

    @abstractmethod
    def shape(self, name: str) -> tuple[int, ...]:
        """The shape that an array declares."""

    def list_widths(self) -> Iterator[int]:
        """See `Source`."""
        for name in itertools.islice(self.ids, _N_WIDTHS):
            try:
                yield int(self.shape(name)[-1])
            except Exception:  # noqa: BLE001 - whatever a codec or a parser raises
                continue

    def stream(self, wanted: set[str]) -> Iterator[tuple[str, NDArray[Any] | ArrayError | None]]:
        """See `Source`."""
        for name in self.ids:
            if name in wanted:
                yield name, None
                try:
                    yield name, self.read(name)
                except ArrayError as error:
                    yield name, error
                except MemoryError:
                    yield name, ArrayError("needs more memory than is allowed")
                except Exception as error:  # noqa: BLE001 - whatever a codec or a parser raises
                    yield name, ArrayError(f"cannot be read: {type(error).__name__}: {error}")


class _Zarr(_EachSource):
    """A group of formats 2 or 3, in a directory or a zip file: an array for each id."""

    def __init__(self, path: Path) -> None:
        import zarr

        zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1})
        if path.is_dir():
            names = {file.name for file in path.iterdir() if file.is_dir()}
            self._store: Any = zarr.storage.LocalStore(path, read_only=True)
        else:
            with zipfile.ZipFile(path) as file:
                names = {name.partition("/")[0] for name in file.namelist() if "/" in name}
            self._store = zarr.storage.ZipStore(path, mode="r")
        self.ids = sorted(names)
        self._group = zarr.open_group(self._store, mode="r", use_consolidated=False)

    def list_widths(self) -> Iterator[int]:
        width = self._group.attrs.get("num_features")
        return iter([width]) if isinstance(width, int) else super().list_widths()

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._open(name).shape)

    def _open(self, name: str) -> Any:  # noqa: ANN401 - without zarr, its types are unknown
        import zarr

        return zarr.open_array(
            self._store, path=name, mode="r", zarr_format=self._group.metadata.zarr_format
        )

    def read(self, name: str) -> NDArray[Any]:
        import zarr

        array = self._open(name)
        _check_declared(array.shape, array.dtype)
        # Of a chunk beyond the array, too: a codec makes room for all of it.
        for shape in (array.chunks, array.shards or ()):
            _check_declared(shape, array.dtype, what="a chunk of ")
        metadata = array.metadata
        _check_codecs(metadata.to_dict())
        # A missing chunk has the fill value, which is 0 in most sets.
        metadata = replace(metadata, fill_value=array.dtype.type(np.nan))
        marked = zarr.Array(zarr.AsyncArray(metadata, array.store_path))
        return np.asarray(marked[...])


def _check_codecs(metadata: dict[str, Any]) -> None:
    """Refuse codecs that are not of numbers, also those inside of others."""
    found = [metadata.get("compressor"), *(metadata.get("filters") or ())]
    found += metadata.get("codecs") or ()
    while found:
        codec = found.pop()
        if codec is None:
            continue
        codec = codec if isinstance(codec, dict) else codec.get_config()
        name = str(codec.get("id") or codec.get("name")).removeprefix("numcodecs.")
        if name not in _CODECS:
            raise ArrayError(f"has the codec {name!r}, which is not read")
        inner = codec.get("configuration") or {}
        found += [*inner.get("codecs", ()), *inner.get("index_codecs", ())]


class _Npz(_EachSource):
    """An array for each id, as `numpy.savez` writes them."""

    def __init__(self, path: Path) -> None:
        self._file = zipfile.ZipFile(path)
        ends = (".npy",)
        self.ids = [n.removesuffix(".npy") for n in self._file.namelist() if n.endswith(ends)]

    def shape(self, name: str) -> tuple[int, ...]:
        with self._file.open(f"{name}.npy") as stream:
            return self._header(stream)[0]

    @staticmethod
    def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:  # noqa: ANN401
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        return shape, dtype

    def read(self, name: str) -> NDArray[Any]:
        with self._file.open(f"{name}.npy") as stream:
            _check_declared(*self._header(stream))
        with self._file.open(f"{name}.npy") as stream:
            values: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
            return values


class _Parquet(Source):
    """Columns `id` and `features`, a list of numbers; rows of one id are its frames, in order."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._file = pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
        columns = self._file.schema_arrow.names
        if missing := [name for name in ("id", "features") if name not in columns]:
            sys.exit(f"it lacks the columns {missing}. Received: {columns[:20]}")
        self.ids = []  # one that has rows in several places is there several times
        for batch in self._file.iter_batches(4096, columns=["id"], use_threads=False):
            for name, _ in itertools.groupby(map(str, batch["id"].to_pylist())):
                if self.ids[-1:] != [name]:
                    self.ids.append(name)
            _check_count(len(self.ids))

    def list_widths(self) -> Iterator[int]:
        for batch in self._file.iter_batches(_N_WIDTHS, columns=["features"], use_threads=False):
            return (len(row) for row in batch["features"].to_pylist() if row is not None)
        return iter(())

    def stream(self, wanted: set[str]) -> Iterator[tuple[str, NDArray[Any] | ArrayError | None]]:
        for name, rows in itertools.groupby(self._rows(), key=lambda pair: pair[0]):
            if name not in wanted:
                continue
            yield name, None
            try:
                yield name, _stack(row for _, row in rows)
            except ArrayError as error:
                yield name, error

    def _rows(self) -> Iterator[tuple[str, NDArray[Any] | None]]:
        for batch in self._file.iter_batches(64, columns=["id", "features"], use_threads=False):
            for name, row in zip(batch["id"].to_pylist(), batch["features"], strict=True):
                yield str(name), row.values and row.values.to_numpy(zero_copy_only=False)


def _stack(rows: Iterable[NDArray[Any] | None]) -> NDArray[Any]:
    """Rows of one width as an array."""
    found: list[NDArray[Any]] = []
    for row in rows:
        if row is None or (found and len(row) != len(found[0])):
            raise ArrayError("has rows without values, or of several widths")
        found.append(row)
        if len(found) * row.nbytes > MAX_ARRAY_BYTES:
            raise ArrayError(f"has more than {MAX_ARRAY_BYTES} bytes")
    return np.stack(found)


def _check_declared(shape: Sequence[int], dtype: np.dtype[Any], what: str = "") -> None:
    """Refuse a shape or a type before anything is made of it."""
    if dtype.kind != "f":
        raise ArrayError(f"has values of the type {dtype}, not floats")
    if len(shape) > 2:
        raise ArrayError(f"has {len(shape)} dimensions, not (frames, features)")
    if math.prod(shape) * dtype.itemsize > MAX_ARRAY_BYTES:
        raise ArrayError(f"declares {what}{list(shape)} values, more than {MAX_ARRAY_BYTES} bytes")


def _check_count(n_arrays: int) -> None:
    if n_arrays > MAX_ARRAYS:
        sys.exit(f"it has more than {MAX_ARRAYS} arrays")


_SOURCES: dict[str, type[Source]] = {"zarr": _Zarr, "npz": _Npz, "parquet": _Parquet}


def _open_all(kind: str, paths: Sequence[str]) -> list[Source]:
    sources = []
    for path in paths:
        try:
            sources.append(_SOURCES[kind](Path(path)))  # type: ignore[call-arg]
        except ImportError as error:
            sys.exit(f"reading it needs {error.name}: pip install 'trailergenre[external]'")
        except Exception as error:  # noqa: BLE001 - whatever a parser raises
            sys.exit(f"{Path(path).name} cannot be read: {type(error).__name__}: {error}"[:300])
    return sources


def main() -> None:
    """Serve the arrays of the files that the command line names."""
    sources = _open_all(sys.argv[1], sys.argv[2:])
    counts = Counter(itertools.chain.from_iterable(source.ids for source in sources))
    _check_count(len(counts))
    repeated = {name for name, n in counts.items() if n > 1}
    widths = Counter(itertools.chain.from_iterable(source.list_widths() for source in sources))
    _write({"ids": list(counts), "width": widths.most_common(1)[0][0] if widths else 0})
    wanted = set(json.loads(sys.stdin.readline()))
    for source in sources:
        for name, array in source.stream(wanted):
            if array is None:
                _write({"id": name})
            elif name in repeated:
                wanted.discard(name)
                _write({"problem": "is in several places"})
            elif isinstance(array, ArrayError):
                _write({"problem": str(array)[:300]})
            else:
                _write_array(array)


def _write(line: dict[str, object]) -> None:
    sys.stdout.buffer.write(json.dumps(line).encode() + b"\n")
    sys.stdout.buffer.flush()


def _write_array(array: NDArray[Any]) -> None:
    try:
        _check_declared(array.shape, array.dtype)
    except ArrayError as error:
        _write({"problem": str(error)})
        return
    frames = np.atleast_2d(array)
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        values = np.ascontiguousarray(frames, dtype="<f4")
    _write({"shape": values.shape})
    sys.stdout.buffer.write(values.data.cast("B") if values.size else b"")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()

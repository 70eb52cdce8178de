"""Files at an address: a local path, s3://, gs://, abfss:// or hdfs://, by `pyarrow.fs`.

A written file appears whole or not at all, except on HDFS, where a killed writer may truncate it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.fs as pafs

from trailergenre.base.errors import StorageError
from trailergenre.base.storage_address import join_address, normalize_address

_UNFINISHED = ".unfinished-"  # prefix of local files that are being written


_DELETERS = 16


class StoredFile(NamedTuple):
    """One file: its path relative to the store, and when it was changed (UTC), if reported."""

    path: str
    size_bytes: int
    modified_at: datetime | None


class Store:
    """All files below one address. Failures are a `StorageError` that names path and address.

    Cheap to create and to pickle: only the address is sent to Spark workers.
    """

    def __init__(self, address: str) -> None:
        """Take a local path, or an address of `file`, `s3`, `s3a`, `gs`, `abfss` or `hdfs`.

        Raises:
            StorageError: the address has another scheme, or holds credentials.
        """
        self.address = normalize_address(address)

    @cached_property
    def _opened(self) -> tuple[pafs.FileSystem, str]:
        """File system and root path; opened late, because S3 looks up its region online."""
        try:
            filesystem, root = pafs.FileSystem.from_uri(_for_pyarrow(self.address))
            return filesystem, root
        except (pa.ArrowInvalid, OSError) as error:
            raise StorageError(f"{self} cannot be opened: {error}") from error

    @property
    def _fs(self) -> pafs.FileSystem:
        return self._opened[0]

    @property
    def _root(self) -> str:
        return self._opened[1]

    def __reduce__(self) -> tuple[type[Store], tuple[str]]:
        """Pickle the address only."""
        return (type(self), (self.address,))

    def __str__(self) -> str:
        """The address as a user writes it."""
        return self._root if self.is_local else self.address

    def child(self, path: str) -> Store:
        """The store at a path below this one; parameters of the address stay."""
        return Store(join_address(self.address, path))

    @property
    def is_local(self) -> bool:
        """Whether the address is a local path, which may be a shared mount."""
        return self.address.startswith("file://")

    def local_path(self, path: str) -> Path:
        """The local path of a file in a local store."""
        if not self.is_local:
            raise StorageError(f"{self} is not on a local disk.")
        return Path(self._root) / path

    def exists(self, path: str) -> bool:
        """Whether there is a file or directory at `path`."""
        with self._naming(path, "looked up"):
            return bool(self._fs.get_file_info(self._full(path)).type != pafs.FileType.NotFound)

    def size_bytes(self, path: str) -> int | None:
        """The size of a file; None if it does not exist."""
        with self._naming(path, "looked up"):
            size: int | None = self._fs.get_file_info(self._full(path)).size
            return size

    def list_files(self, path: str) -> list[StoredFile]:
        """List all files below a directory, sorted; none if it does not exist.

        Skips names that begin with a dot or an underscore, as Spark does.
        """
        files = self.list_all_files(path)
        return [file for file in files if not any(n[0] in "._" for n in _names_below(path, file))]

    def list_unfinished(self, path: str) -> list[StoredFile]:
        """List files that a writer has not finished, or will never finish because it was killed."""
        files = self.list_all_files(path)
        return [f for f in files if f.path.rpartition("/")[2].startswith(_UNFINISHED)]

    def list_all_files(self, path: str) -> list[StoredFile]:
        """List all files below a directory, sorted, including hidden ones."""
        selector = pafs.FileSelector(self._full(path), recursive=True, allow_not_found=True)
        with self._naming(path, "listed"):
            infos = self._fs.get_file_info(selector)
        root = f"{self._root.rstrip('/')}/"
        files = [info for info in infos if info.type == pafs.FileType.File]
        return sorted(StoredFile(f.path.removeprefix(root), f.size, f.mtime) for f in files)

    def list_directories(self, path: str) -> list[str]:
        """List the names of the directories directly below `path`, sorted."""
        selector = pafs.FileSelector(self._full(path), allow_not_found=True)
        with self._naming(path, "listed"):
            infos = self._fs.get_file_info(selector)
        return sorted(info.base_name for info in infos if info.type == pafs.FileType.Directory)

    def read_bytes(self, path: str) -> bytes:
        """Read a whole file."""
        with self.open_input(path) as stream:
            return bytes(stream.readall())

    @contextmanager
    def open_input(self, path: str) -> Iterator[pa.NativeFile]:
        """Open a file for random access; errors inside the block are named, too."""
        with self._naming(path, "read"), self._fs.open_input_file(self._full(path)) as stream:
            yield stream

    def write_bytes(self, path: str, content: bytes | pa.Buffer) -> None:
        """Write a whole file."""
        with self._naming(path, "written"):
            if self.is_local:
                with _writing(Path(self._full(path))) as file:
                    file.write(content)
            else:
                # However a stream of pyarrow is closed, it stores what it has. Hence one call.
                with self._fs.open_output_stream(self._full(path)) as stream:
                    stream.write(content)

    @contextmanager
    def open_output(self, path: str) -> Iterator[BinaryIO]:
        """Open a local file for writing; readers see it once it is whole."""
        with self._naming(path, "written"), _writing(self.local_path(path)) as file:
            yield file

    def write_content_addressed(
        self, directory: str, content: bytes | pa.Buffer, suffix: str
    ) -> str:
        """Write a file named by the SHA-256 of its content, and return its path."""
        path = f"{directory}/{hashlib.sha256(content).hexdigest()}{suffix}"
        self.write_bytes(path, content)
        return path

    def upload(self, source: Path, path: str) -> None:
        """Copy a local file to `path`."""
        with self._naming(path, "written"), pa.memory_map(str(source)) as mapped:
            self.write_bytes(path, mapped.read_buffer())

    def download(self, path: str, target: Path) -> None:
        """Copy a file to a local path."""
        with (
            self._naming(path, "copied"),
            self._fs.open_input_stream(self._full(path)) as stream,
            target.open("wb") as out,
        ):
            shutil.copyfileobj(stream, out, 1 << 20)

    def delete(self, path: str) -> None:
        """Delete a file, if it exists."""
        with self._naming(path, "deleted"), suppress(FileNotFoundError):
            self._fs.delete_file(self._full(path))

    def delete_all(self, paths: Sequence[str]) -> None:
        """Delete files, several at the same time."""
        with ThreadPoolExecutor(_DELETERS) as executor:
            list(executor.map(self.delete, paths))

    def delete_directory(self, path: str) -> None:
        """Delete a directory with its content, if it exists."""
        if self.exists(path):
            with self._naming(path, "deleted"):
                self._fs.delete_dir(self._full(path))

    @contextmanager
    def _naming(self, path: str, done: str) -> Iterator[None]:
        """Turn errors of the storage or of a file's content into a `StorageError`."""
        try:
            yield
        except (OSError, pa.ArrowInvalid) as error:
            where = f"{path} below {self}" if path else str(self)
            raise StorageError(f"{where} cannot be {done}: {error}") from error

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}" if path else self._root


def _for_pyarrow(address: str) -> str:
    """Let a small file on S3 be one request: else an upload of parts is begun before all writes."""
    if not address.startswith("s3://"):
        return address
    return f"{address}{'&' if '?' in address else '?'}allow_delayed_open=true"


def _names_below(path: str, file: StoredFile) -> list[str]:
    return file.path.removeprefix(f"{path}/" if path else "").split("/")


@contextmanager
def _writing(target: Path) -> Iterator[BinaryIO]:
    """Write by temporary file, fsync and rename: a reader sees all or nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary_path = target.parent / f"{_UNFINISHED}{uuid4().hex}"
    # Not by `tempfile`, whose files are 0600: the umask decides who may read a run.
    with temporary_path.open("xb") as temporary:
        try:
            yield temporary
            temporary.flush()
            os.fsync(temporary.fileno())
            temporary_path.replace(target)
        except BaseException:
            temporary_path.unlink(missing_ok=True)
            raise


def hash_file(path: Path) -> str:
    """Hash a file with SHA-256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

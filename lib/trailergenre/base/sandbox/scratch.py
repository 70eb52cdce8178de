"""Scratch directories that do not outlive their owner.

The kernel drops the lock of a dead owner, so that the next process on the machine, even in another
container, recognizes abandoned directories.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from trailergenre.base.errors import StorageError

_PREFIX = "trailergenre-"
_LOCK = ".trailergenre-scratch"
"""Marks a directory as ours: other programs leave unlocked files named .lock."""


@contextlib.contextmanager
def scratch_directory() -> Iterator[Path]:
    """Create a directory, mode 0700, until the block ends. Removes abandoned ones, too."""
    remove_abandoned_scratch()
    try:
        directory, lock = _make()
    except OSError as error:
        raise StorageError(
            f"No scratch directory can be created: {error}.",
            "Set TMPDIR to a directory on a local disk with room for all concurrent downloads.",
        ) from error
    try:
        yield directory / "files"
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(lock)


def list_abandoned_scratch() -> list[Path]:
    """List this user's directories whose owner is dead."""
    return list(_lock_abandoned())


def remove_abandoned_scratch() -> None:
    """Remove this user's directories whose owner is dead."""
    for path in _lock_abandoned():
        shutil.rmtree(path, ignore_errors=True)


def _make() -> tuple[Path, int]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = os.open(directory / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            (directory / "files").mkdir()
        except FileNotFoundError:
            os.close(lock)  # removed between the two calls: try again
        else:
            return directory, lock


def _lock_abandoned() -> Iterator[Path]:
    """Yield each abandoned directory of this user while its file is locked."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if path.lstat().st_uid != os.getuid():
                continue
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield path
        except BlockingIOError:
            pass  # its owner lives
        finally:
            os.close(lock)

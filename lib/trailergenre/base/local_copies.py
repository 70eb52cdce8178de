"""Input files by path or by address: what lies elsewhere is copied to this machine first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.base.storage import Store


@contextmanager
def local_copies() -> Iterator[Callable[[str], Path]]:
    """Give a function from a path or an address to a local path; copies are deleted at the end.

    It raises a StorageError where there is nothing at an address.
    """
    with scratch_directory() as directory:
        n_copied = 0

        def copy(place: str) -> Path:
            nonlocal n_copied
            if "://" not in place:
                return Path(place)
            source = Store(place)
            if source.is_local:
                return source.local_path("")
            n_copied += 1
            target = directory / str(n_copied) / PurePosixPath(place.partition("?")[0]).name
            files = source.list_files("")  # of a directory; none below a file
            for path in [file.path for file in files] or [""]:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                source.download(path, target / path if path else target)
            return target

        yield copy

"""Files of one features fingerprint that nothing names, and those that do not belong there.

A writer that was killed leaves two kinds: an unfinished file, and a features file whose outcomes
never came. Both are harmless, since readers reach features through outcomes rows alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc

from trailergenre.base.storage import Store, StoredFile
from trailergenre.runs import tables
from trailergenre.runs.fingerprint import FeatureSettings

_ADDRESSED = re.compile(r"[0-9a-f]{64}\.parquet")
_KEPT_FOR = timedelta(days=1)
"""The outcomes of a younger one may be on their way, also from a driver that was taken for dead."""


def list_orphans(store: Store, fingerprint: str, named: Collection[str]) -> list[StoredFile]:
    """Features files that are not among `named`."""
    return [file for file in store.list_files(f"features/{fingerprint}") if file.path not in named]


def is_content_addressed(file: StoredFile) -> bool:
    """Whether a file is named as this package names a content-addressed table."""
    return _ADDRESSED.fullmatch(file.path.rpartition("/")[2]) is not None


def remove_orphans(store: Store, settings: FeatureSettings) -> int:
    """Remove what killed writers left; call it under the run's lock.

    Unfinished files go at once, features files that no outcomes row names when they are older than
    a day. A file that this package does not write is left alone; `verify` names it.

    Returns:
        How many files were removed.

    Raises:
        StorageError: an outcomes file is damaged, so that nobody can say what it names.
    """
    fingerprint = settings.fingerprint
    rows = tables.read_all_outcomes(store, fingerprint, columns=("features_file",))
    named = set(pc.unique(rows["features_file"]).to_pylist())
    before = datetime.now(UTC) - _KEPT_FOR
    strays = [
        file
        for file in list_orphans(store, fingerprint, named)
        if is_content_addressed(file) and file.modified_at is not None and file.modified_at < before
    ]
    below = (
        f"features/{fingerprint}",
        f"outcomes/{fingerprint}",
        f"videos/{settings.videos_key}",
        f"frames/{settings.frames_key}",
    )
    unfinished = [file for directory in below for file in store.list_unfinished(directory)]
    for file in (*strays, *unfinished):
        store.delete(file.path)
    return len(strays) + len(unfinished)

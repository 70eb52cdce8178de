"""Features files that no outcomes row refers to, and unfinished files, both of killed writers.

They are harmless: readers reach features, and the pooled rows of them, only through outcomes rows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pyarrow.compute as pc

from trailergenre.base.storage import Store, StoredFile
from trailergenre.runs import outcomes_table
from trailergenre.runs.fingerprint import FeatureSettings

_CONTENT_ADDRESSED = re.compile(r"[0-9a-f]{64}\.parquet")
_KEPT_FOR = timedelta(days=1)  # outcomes may still come, even from a driver that lost its lease


def list_orphans(store: Store, fingerprint: str, referenced: Collection[str]) -> list[StoredFile]:
    """List the features files that are not among `referenced`."""
    files = store.list_files(f"features/{fingerprint}")
    return [file for file in files if file.path not in referenced]


def is_content_addressed(file: StoredFile) -> bool:
    """Whether a file has the name of a content-addressed table."""
    return _CONTENT_ADDRESSED.fullmatch(file.path.rpartition("/")[2]) is not None


def remove_orphans(store: Store, settings: FeatureSettings) -> int:
    """Remove unfinished files and old orphans, and count them. Needs the lease."""
    fingerprint = settings.fingerprint
    rows = outcomes_table.read_all_outcomes(store, fingerprint, columns=("features_file",))
    referenced = set(pc.unique(rows["features_file"]).to_pylist())
    before = datetime.now(UTC) - _KEPT_FOR
    names = {path.rpartition("/")[2] for path in referenced if path}
    pooled = store.list_files(f"pooled/{fingerprint}")
    orphans = list_orphans(store, fingerprint, referenced)
    orphans += [file for file in pooled if file.path.rpartition("/")[2] not in names]
    removed = [
        file
        for file in orphans
        if is_content_addressed(file) and file.modified_at and file.modified_at < before
    ]
    for directory in (
        f"features/{fingerprint}",
        f"outcomes/{fingerprint}",
        f"pooled/{fingerprint}",
        f"videos/{settings.videos_key}",
        f"frames/{settings.frames_key}",
    ):
        removed += store.list_unfinished(directory)
    for file in removed:
        store.delete(file.path)
    return len(removed)

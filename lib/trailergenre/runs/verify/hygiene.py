"""I4, and I3 of kept frames: killed jobs left nothing, and no foreign files are there."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.sandbox.scratch import list_abandoned_scratch
from trailergenre.base.storage import Store, StoredFile
from trailergenre.runs.kept_frames import KeptFrames
from trailergenre.runs.orphans import is_content_addressed, list_orphans
from trailergenre.runs.tables import list_stale, read_content_addressed
from trailergenre.runs.verify.verification import Check

_LINK_ID = re.compile("[0-9a-f]{64}")


def check_unfinished(store: Store, *, is_held: bool) -> Check:
    """No writer left an unfinished file; while the run is held, its writer may be at work."""
    check = Check("I4", "no unfinished files", "Run the killed job again, or delete them.")
    unfinished = sorted({*store.list_unfinished(""), *list_stale(store, "scores")})
    check.checked = len(unfinished)
    if is_held and unfinished:
        check.notes.append(f"{len(unfinished)} files are being written")
        return check
    for file in unfinished:
        check.add_offender(_name(file))
    return check


def check_scratch() -> Check:
    """No dead process of this user left a scratch directory on this machine."""
    advice = "The next job on this machine removes them."
    check = Check("I4", "no scratch of dead processes on this machine", advice)
    for directory in list_abandoned_scratch():
        check.checked += 1
        check.add_offender(str(directory))
    return check


def check_kept_frames(store: Store, key: str, list_ready: Callable[[], list[str]]) -> Check:
    """Each file of kept frames (`key` is `FeatureSettings.frames_key`) is as it was written."""
    advice = "Delete them; `trailergenre featurize` makes them again when it needs them."
    check = Check("I3", "kept frames are as written", advice)
    kept, others = KeptFrames(store, key, keeps_new=False), 0
    files = store.list_files(f"frames/{key}")
    ready = set(list_ready()) if files else set()
    for file in files:
        check.checked += 1
        link_id = file.path.removeprefix(f"frames/{key}/")
        if _LINK_ID.fullmatch(link_id) is None:
            check.add_offender(f"{_name(file)}: not a name of this package")
            continue
        try:
            kept.read(link_id)
        except StorageError as error:
            check.add_offender(str(error))
            continue
        others += link_id not in ready
    if others:
        check.notes.append(f"frames of {others} links of an earlier list are kept")
    return check


def check_foreign(store: Store, fingerprint: str, referenced: Collection[str]) -> Check:
    """This package wrote every features file, even those that no outcomes row refers to."""
    advice = "Move them elsewhere or delete them: no reader uses them."
    check = Check("I4", "no foreign files among the features", advice)
    orphans: list[StoredFile] = []
    for file in list_orphans(store, fingerprint, referenced):
        check.checked += 1
        if not is_content_addressed(file):
            check.add_offender(f"{_name(file)}: not a name of this package")
            continue
        try:
            read_content_addressed(store, "features", file.path)
        except (StorageError, SchemaError) as error:
            check.add_offender(str(error))
            continue
        orphans.append(file)
    if orphans:
        size_bytes = sum(file.size_bytes for file in orphans)
        check.notes.append(
            f"{len(orphans)} orphans ({size_bytes} bytes) of killed writers, e.g. "
            f"{orphans[0].path}: harmless; `trailergenre featurize` removes those older than a day"
        )
    return check


def _name(file: StoredFile) -> str:
    return f"{file.path} ({file.size_bytes} bytes)"

"""I4: nothing is left of what was killed, and nothing lies there that is not ours."""

from __future__ import annotations

import re
from collections.abc import Collection

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.sandbox.scratch import list_abandoned_scratch
from trailergenre.base.storage import Store
from trailergenre.runs.kept_frames import KeptFrames
from trailergenre.runs.orphans import is_content_addressed, list_orphans
from trailergenre.runs.parquet import read_content_addressed
from trailergenre.runs.verify.checks import Check

_LINK_ID = re.compile("[0-9a-f]{64}")


def check_unfinished(store: Store, *, is_held: bool) -> Check:
    """No writer left an unfinished file.

    Args:
        store: the run.
        is_held: whether a run is at work, whose files these may be.
    """
    check = Check(
        "I4",
        "no unfinished file is left",
        "Run the job that was killed again, or delete them.",
    )
    unfinished = store.list_unfinished("")
    check.checked = len(unfinished)
    if is_held and unfinished:
        check.notes.append(f"{len(unfinished)} files are being written")
        return check
    for file in unfinished:
        check.add_offender(f"{file.path} ({file.size_bytes} bytes)")
    left = store.list_all_files("training")
    if left:
        check.notes.append(
            f"training/ holds {len(left)} files of a jobs/train_model.py that is at work or was "
            "killed; it may then be deleted"
        )
    return check


def check_scratch() -> Check:
    """No process of this user on this machine died and left its scratch directory."""
    check = Check(
        "I4",
        "no dead process left scratch on this machine",
        "The next job or score on this machine removes them.",
    )
    for directory in list_abandoned_scratch():
        check.add_offender(str(directory))
    check.checked = check.n_offenders
    return check


def check_kept_frames(store: Store, key: str, ready: Collection[str]) -> Check:
    """Every kept file holds the frames of a link as they were written.

    Args:
        store: the run.
        key: `FeatureSettings.frames_key`.
        ready: the distinct ready links.
    """
    check = Check(
        "I3",
        "kept frames are what was written",
        "Delete them; jobs/featurize.py takes their links anew when their frames are needed.",
    )
    shelf, others = KeptFrames(store, key, keeps_new=False), 0
    for file in store.list_files(f"frames/{key}"):
        check.checked += 1
        link_id = file.path.removeprefix(f"frames/{key}/")
        if _LINK_ID.fullmatch(link_id) is None:
            check.add_offender(f"{file.path} ({file.size_bytes} bytes): not a name of this package")
            continue
        try:
            shelf.read(link_id)
        except StorageError as error:
            check.add_offender(str(error))
            continue
        others += link_id not in ready
    if others:
        check.notes.append(f"frames of {others} links of an older list are kept")
    return check


def check_foreign(store: Store, fingerprint: str, named: Collection[str]) -> Check:
    """Every features file that no row names is at least one that this package wrote.

    Args:
        store: the run.
        fingerprint: of the features.
        named: the features files that any outcomes row names.
    """
    check = Check(
        "I4",
        "no foreign file lies among the features",
        "Move them elsewhere or delete them: no reader uses them.",
    )
    strays, size_bytes = 0, 0
    for file in list_orphans(store, fingerprint, named):
        check.checked += 1
        if not is_content_addressed(file):
            check.add_offender(f"{file.path} ({file.size_bytes} bytes): not a name of this package")
            continue
        try:
            read_content_addressed(store, "features", file.path)
        except (StorageError, SchemaError) as error:
            check.add_offender(str(error))
            continue
        strays, size_bytes = strays + 1, size_bytes + file.size_bytes
        if strays == 1:
            check.notes.append(f"the first stray is {file.path}")
    if strays:
        check.notes.insert(
            0,
            f"{strays} strays ({size_bytes} bytes) that no row names; harmless, a killed writer "
            "leaves them, and jobs/featurize.py removes those older than a day",
        )
    return check

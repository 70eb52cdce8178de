"""Do all tables of a run add up? Invariants I1 to I6, over what is stored and nothing else.

Reads file by file, so memory grows with the links and not with the frames. Knows nothing of Spark,
and changes nothing.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.outcomes import RowOutcome
from trailergenre.base.progress import OnStep
from trailergenre.base.storage import Store
from trailergenre.runs import schemas, tables
from trailergenre.runs.fingerprint import list_settings
from trailergenre.runs.lease import read_lease
from trailergenre.runs.parquet import read_content_addressed
from trailergenre.runs.sessions import read_starts
from trailergenre.runs.verify import accounting, bounds, hygiene
from trailergenre.runs.verify.checks import Check, Verification
from trailergenre.runs.verify.features import Features


def verify_run(
    store: Store,
    fingerprint: str,
    on_step: OnStep | None = None,
) -> Verification:
    """Check a run.

    Args:
        store: the run.
        fingerprint: of the features.
        on_step: called with (frames read, frames in all).

    Raises:
        ConfigError: the run has no list of links.
    """
    holder = read_lease(store)
    listed, list_checks = _read_list(store)
    ready = set(listed["link_id"].drop_null().to_pylist())
    rows, outcomes_files = _read_outcomes(store, fingerprint)
    current = tables.current_outcomes(rows)
    settings = list_settings(store)[fingerprint]
    features = Features(settings.frames_per_s, settings.width)
    features.read(store, current, on_step or _ignore)
    allowed, notes = bounds.parse_allowed(read_starts(store, "featurize"))
    if holder:
        notes.append(f"a run is at work: {holder.describe()}")
    notes += accounting.list_weak_sandboxes(current)
    ours = [
        hygiene.check_kept_frames(store, settings.frames_key, ready),
        bounds.check_connections(rows, allowed),
        bounds.check_limits(rows, allowed),
    ]
    return Verification(
        run=str(store),
        features=fingerprint,
        content_hash=features.content_hash if outcomes_files.holds else None,
        links=len(ready),
        by_outcome=accounting.count_outcomes(ready, current),
        frames=features.n_frames,
        settings=[session.model_dump(mode="json") for session in allowed],
        checks=[
            *list_checks,
            accounting.check_links(ready, current),
            accounting.check_names(current, fingerprint),
            features.frames,
            outcomes_files,
            features.files,
            features.commits,
            hygiene.check_unfinished(store, is_held=holder is not None),
            *([hygiene.check_scratch()] if store.is_local else []),
            hygiene.check_foreign(store, fingerprint, set(rows["features_file"].to_pylist())),
            *([] if settings.is_external else ours),
        ],
        notes=notes,
    )


def _ignore(done: int, total: int, label: str = "") -> None:
    pass


def _read_list(store: Store) -> tuple[pa.Table, list[Check]]:
    """The ready rows of the list, and what is to be said of it and of its labels."""
    nothing = schemas.LINKS.empty_table()
    try:
        links = tables.read_table(store, "links")
    except (StorageError, SchemaError) as error:
        check = accounting.check_rows(nothing)
        check.add_offender(str(error))
        return nothing, [check, _check_labels(store, None)]
    listed = links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value))
    return listed, [accounting.check_rows(links), _check_labels(store, listed)]


def _check_labels(store: Store, listed: pa.Table | None) -> Check:
    """Compare the labels with the ready rows; where there is None of the list, read them only."""
    labels = schemas.LABELS.empty_table()
    nothing = accounting.check_labels(schemas.LINKS.empty_table(), labels)
    try:
        if store.list_files("labels"):
            labels = tables.read_table(store, "labels")
    except (StorageError, SchemaError) as error:
        nothing.add_offender(str(error))
        return nothing
    if listed is None:
        nothing.notes.append("not compared: the list cannot be read")
        return nothing
    return accounting.check_labels(listed, labels)


def _read_outcomes(store: Store, fingerprint: str) -> tuple[pa.Table, Check]:
    """All rows of the files that are what their names say; the others are found."""
    check = Check(
        "I3",
        "outcomes files are what their names say",
        "Restore them from a copy, or delete them and run jobs/featurize.py again, which takes "
        "their links once more.",
    )
    parts = {}
    for file in store.list_files(f"outcomes/{fingerprint}"):
        check.checked += 1
        try:
            parts[file.path] = read_content_addressed(store, "outcomes", file.path)
        except (StorageError, SchemaError) as error:
            check.add_offender(str(error))
    return tables.join_outcomes(parts), check

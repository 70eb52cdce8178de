"""Verifies that all tables of a run add up. Its memory grows with links, not with frames."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import SchemaError, StorageError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.progress import OnStep
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs.features_table import REFERENCE_COLUMNS
from trailergenre.runs.fingerprint import list_settings
from trailergenre.runs.lease import read_leases
from trailergenre.runs.sessions import read_starts
from trailergenre.runs.verify import accounting, bounds, hygiene
from trailergenre.runs.verify.features import PER_LINK, CheckFiles, Features, FileCheck
from trailergenre.runs.verify.verification import Check, Verification

_LINK_COLUMNS = ("row", "link_id", "title", "movie_id", "genres", "row_outcome")
_UNUSED = {"embed_s", "duration_s", "decode_errors", "engine", "device", "versions"}
_OUTCOME_COLUMNS = tuple(name for name in schemas.OUTCOMES.names if name not in _UNUSED)
"""Of a million links, each column takes 10 to 100 MB."""


def verify_run(
    store: Store,
    fingerprint: str,
    on_step: OnStep = lambda *_: None,
    *,
    sample: int | None = None,
    check_files: CheckFiles | None = None,
) -> Verification:
    """Verify a run; a ConfigError if it has no list of links.

    Args:
        store: the run.
        fingerprint: of its features.
        on_step: counts frames.
        sample: number of features files to read, evenly spaced by name; None reads all.
        check_files: reads them; None does so on this machine.
    """
    leases, settings = read_leases(store), list_settings(store)[fingerprint]
    ready, list_checks = _read_list(store)
    tables.release_memory()
    rows, outcomes_files = _read_outcomes(store, fingerprint)
    current = outcomes_table.current_outcomes(rows)
    tables.release_memory()
    allowed, notes = bounds.parse_allowed(read_starts(store, "featurize"))
    notes += [f"a job is at work: {lease.describe()}" for lease in leases]
    weak_sandboxes = accounting.list_weak_sandboxes(current)
    by_outcome = accounting.count_outcomes(ready, current)
    outcome_checks = [
        accounting.check_links(ready, current),
        accounting.check_references(current, fingerprint),
    ]
    bounds_checks: list[Check] = []
    if not settings.is_external:
        bounds_checks += bounds.check_connections(rows, allowed), bounds.check_limits(rows, allowed)
    known_files = set(pc.unique(rows["features_file"]).to_pylist())
    chosen, n_files = _choose_files(current, sample)
    del rows, current  # of a million links, a gigabyte
    tables.release_memory()
    check_files = check_files or FileCheck(store, settings.frames_per_s, settings.width).check_all
    features, findings = Features(), check_files(chosen, on_step)
    del chosen
    for found in findings:
        features.add(found)
    is_whole = features.files.checked == n_files
    if not is_whole:
        notes.append(f"{features.files.checked} of {n_files} features files were read")
    checks = [
        *list_checks,
        *outcome_checks,
        features.frames,
        outcomes_files,
        features.files,
        features.commits,
        hygiene.check_unfinished(store, is_held=bool(leases)),
        *([hygiene.check_scratch()] if store.is_local else []),
        hygiene.check_foreign(store, fingerprint, known_files),
    ]
    if not settings.is_external:
        checks.append(hygiene.check_kept_frames(store, settings.frames_key, ready.to_pylist))
        checks += bounds_checks
    return Verification(
        run=str(store),
        features=fingerprint,
        content_hash=features.content_hash if outcomes_files.holds and is_whole else None,
        links=len(ready),
        by_outcome=by_outcome,
        frames=features.n_frames,
        settings=[session.model_dump(mode="json") for session in allowed],
        checks=checks,
        notes=notes + weak_sandboxes,
    )


def _choose_files(current: pa.Table, sample: int | None) -> tuple[pa.Table, int]:
    """Choose the outcomes that refer to the features files to be read; also count all files."""
    is_ok = pc.equal(current["outcome"], Outcome.OK.value)
    is_referring = pc.and_(is_ok, pc.is_valid(current["features_file"]))
    needed = current.select(["outcome", *PER_LINK, *REFERENCE_COLUMNS])
    referring = needed.filter(is_referring)
    files = pc.unique(referring["features_file"]).sort()
    n_files = len(files)
    if sample is None or sample >= n_files:
        return referring, n_files
    places = pa.array((np.arange(sample) + 0.5) * n_files / sample).cast(pa.int64(), safe=False)
    is_chosen = pc.is_in(referring["features_file"], files.take(places))
    return referring.filter(is_chosen), n_files


def _read_list(store: Store) -> tuple[pa.Array, list[Check]]:
    """Read the ready links; check the list and its labels."""
    try:
        links = tables.read_table(store, "links", _LINK_COLUMNS)
    except (StorageError, SchemaError) as error:
        links = schemas.LINKS.empty_table().select(_LINK_COLUMNS)
        check = accounting.check_rows(links)
        check.add_offender(str(error))
        return pa.array([], pa.string()), [check, _check_labels(store, None)]
    ready = links.filter(pc.equal(links["row_outcome"], RowOutcome.READY.value))
    link_ids = pc.unique(ready["link_id"].drop_null())
    return link_ids, [accounting.check_rows(links), _check_labels(store, ready)]


def _check_labels(store: Store, listed: pa.Table | None) -> Check:
    """Check the labels against the ready rows, or alone if the list cannot be read (None)."""
    labels = schemas.LABELS.empty_table()
    check = accounting.check_labels(schemas.LINKS.empty_table(), labels)
    try:
        if store.list_files("labels"):
            labels = tables.read_table(store, "labels")
    except (StorageError, SchemaError) as error:
        check.add_offender(str(error))
    else:
        if listed is not None:
            return accounting.check_labels(listed, labels)
        check.notes.append("not compared: the list cannot be read")
    return check


def _read_outcomes(store: Store, fingerprint: str) -> tuple[pa.Table, Check]:
    """Read the intact outcomes files, and check all."""
    advice = "Restore them from a copy, or delete them and run `trailergenre featurize` again."
    check = Check("I3", "outcomes files match their names", advice)
    parts = {}
    for file in store.list_files(f"outcomes/{fingerprint}"):
        check.checked += 1
        try:
            parts[file.path] = tables.read_content_addressed(
                store, "outcomes", file.path, _OUTCOME_COLUMNS
            )
        except (StorageError, SchemaError) as error:
            check.add_offender(str(error))
    return outcomes_table.join_outcomes(parts, _OUTCOME_COLUMNS), check

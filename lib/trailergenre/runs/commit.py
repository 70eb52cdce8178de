"""Features and outcomes of some links to one commit: two files, each named by its own SHA-256.

The features file is written first, then the outcomes file, whose rows name it. Readers reach
features only through outcomes, so a commit that was cut short leaves a file that nobody reads, and
the same work done twice gives the same file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from trailergenre.base.fault_injection import Point, reach
from trailergenre.base.records import LinkFrames
from trailergenre.base.storage import Store
from trailergenre.runs import schemas
from trailergenre.runs.features_table import hash_commit
from trailergenre.runs.outcome_row import OutcomeRow
from trailergenre.runs.outcomes_table import write_outcomes
from trailergenre.runs.tables import to_parquet


def write_commit(
    store: Store, fingerprint: str, *, frames: Sequence[LinkFrames], rows: Sequence[OutcomeRow]
) -> pa.Table:
    """Commit the outcomes of links (`rows`), and the features of those that are `ok` (`frames`).

    Returns the rows of the outcomes table as written.
    """
    file: dict[str, object] = {}
    if frames:
        file = _write_features(store, fingerprint, frames)
        reach(Point.FEATURES_WRITTEN)
    ok = {link.link_id for link in frames}
    outcomes = pa.Table.from_pylist(
        [row.to_columns() | (file if row.link_id in ok else {}) for row in rows],
        schema=schemas.OUTCOMES,
    )
    write_outcomes(store, fingerprint, outcomes)
    reach(Point.OUTCOMES_WRITTEN)
    return outcomes


def _write_features(
    store: Store, fingerprint: str, frames: Sequence[LinkFrames]
) -> dict[str, object]:
    """Write a features file; returns the columns by which outcomes name it."""
    features = _features_table(frames)
    content = to_parquet(features)
    path = store.write_content_addressed(f"features/{fingerprint}", content, ".parquet")
    return {
        "commit": features["commit"][0].as_py(),
        "features_file": path,
        "features_rows": len(features),
        "features_bytes": len(content),
        "features_sha256": hashlib.sha256(content).hexdigest(),
    }


def _features_table(frames: Sequence[LinkFrames]) -> pa.Table:
    """Build rows of the features table; `commit` is the SHA-256 of their content."""
    counts = [len(link.features) for link in frames]
    frame_time_s = np.concatenate([link.frame_time_s for link in frames])
    frame_index = np.concatenate([np.arange(count, dtype=np.int32) for count in counts])
    values = np.concatenate([link.features for link in frames])
    width = values.shape[1]
    commit = hash_commit([(link.link_id, link.features) for link in frames], frame_time_s)
    columns = {
        "link_id": pa.array(np.repeat([link.link_id for link in frames], counts), pa.string()),
        "frame_index": pa.array(frame_index, pa.int32()),
        "frame_time_s": pa.array(frame_time_s, pa.float64()),
        "features": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width),
        "commit": pa.array([commit] * len(values), pa.string()),
    }
    return pa.table(columns).cast(schemas.features_schema(width))

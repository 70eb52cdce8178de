"""Published features -> features and outcomes of a run, as if its links had been downloaded."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from trailergenre import __version__
from trailergenre.base.errors import ConfigError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import LinkFrames, LinkId
from trailergenre.base.storage import Store
from trailergenre.links.external.data import ExternalFeatures
from trailergenre.runs import tables
from trailergenre.runs.commit import write_commit
from trailergenre.runs.fingerprint import list_settings, write_settings

_COMMIT_BYTES = 64_000_000
"""Features of one file, as `chunks.max_bytes` for those of videos."""


def commit_external(store: Store, data: ExternalFeatures, ready: Mapping[LinkId, int]) -> None:
    """Commit the links that have no outcome yet, each with one frame. Needs the lease.

    Args:
        store: the run.
        data: what was read.
        ready: link_id -> place of its row.

    Raises:
        ConfigError: the run holds other features.
    """
    fingerprint = data.settings.fingerprint
    if others := list_settings(store).keys() - {fingerprint}:
        raise ConfigError(
            f"{store} holds other features ({', '.join(sorted(others))}). Published data take a "
            "run of their own: give another RUN."
        )
    write_settings(store, data.settings)
    known = set(tables.read_outcomes(store, fingerprint)["link_id"].to_pylist())
    todo = iter(sorted(ready.keys() - known))
    n_links = max(1, _COMMIT_BYTES // (4 * data.settings.width))
    while link_ids := list(itertools.islice(todo, n_links)):
        frames = [
            LinkFrames(link_id, data.features[ready[link_id]][np.newaxis], np.zeros(1))
            for link_id in link_ids
        ]
        rows = [_outcome_row(link_id) for link_id in link_ids]
        write_commit(store, fingerprint, frames=frames, rows=rows)


def _outcome_row(link_id: str) -> dict[str, object]:
    """Nothing was downloaded, decoded or embedded here, and no child needed a sandbox."""
    return {
        "link_id": link_id,
        "outcome": Outcome.OK.value,
        "detail": "",
        "attempts": 0,
        "round": 0,
        "download_s": 0.0,
        "decode_s": 0.0,
        "embed_s": 0.0,
        "frames": 1,
        "decode_errors": 0,
        "connections": [],
        "engine": "published",
        "device": "none",
        "versions": json.dumps({"trailergenre": __version__}),
        "sandbox": "not needed",
        "finished_at": datetime.now(UTC),
    }

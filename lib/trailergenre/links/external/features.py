"""External features to the features and outcomes of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from trailergenre.base.errors import ConfigError, one_line
from trailergenre.base.outcomes import Outcome
from trailergenre.base.progress import OnStep
from trailergenre.base.records import LinkFrames, LinkId
from trailergenre.base.storage import Store
from trailergenre.links.external.arrays import ReadArray
from trailergenre.links.external.forms import ExternalSet
from trailergenre.runs import outcomes_table
from trailergenre.runs.commit import write_commit
from trailergenre.runs.fingerprint import EXTERNAL, FeatureSettings, list_settings, write_settings
from trailergenre.runs.outcome_row import OutcomeRow

_COMMIT_BYTES = 64_000_000
"""Features per file, as `chunks.max_bytes` for those of videos."""
_COMMIT_LINKS = 5_000

SCHEME = f"{EXTERNAL}:"
"""Prefix of the names that stand in for links. No downloader accepts it."""


def external_settings(data: ExternalSet, width: int) -> FeatureSettings:
    """The fingerprint's settings: the set with the network that it is of; one frame a second."""
    return FeatureSettings(
        format_rule=EXTERNAL,
        frames_per_s=1.0,
        frame_side_px=1,
        ffmpeg_major=0,
        backbone_id=f"{SCHEME}{data.network}",
        precision="fp32",
        width=width,
    )


@dataclass
class _Commit:
    """Links that are committed together."""

    frames: list[LinkFrames] = field(default_factory=list)
    rows: list[OutcomeRow] = field(default_factory=list)
    n_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return self.n_bytes >= _COMMIT_BYTES or len(self.rows) >= _COMMIT_LINKS


def import_features(
    store: Store,
    data: ExternalSet,
    settings: FeatureSettings,
    ready: Mapping[str, LinkId],
    on_step: OnStep = lambda *_: None,
) -> None:
    """Commit the arrays of links that are not `ok` yet. Requires the lease.

    A broken array is a link with the outcome `bad_array`. Import again after a repair: links that
    are `ok` stay.

    Args:
        store: the run; ConfigError if it holds other features.
        data: the set.
        settings: from `external_settings`.
        ready: id of the array -> link_id.
        on_step: called with the links that are done.
    """
    fingerprint = settings.fingerprint
    if others := list_settings(store).keys() - {fingerprint}:
        raise ConfigError(
            f"{store} holds other features ({', '.join(sorted(others))}). External features "
            "need a run of their own: give another RUN."
        )
    write_settings(store, settings)
    columns = ("link_id", "outcome", "detail", "round")
    known = {
        row["link_id"]: row
        for row in outcomes_table.read_outcomes(store, fingerprint, columns).to_pylist()
    }
    todo = [
        name
        for name, link_id in ready.items()
        if known.get(link_id, {}).get("outcome") != Outcome.OK
    ]
    n_done = len(ready) - len(todo)
    for commit in _commits(data.arrays.stream(todo, settings.width), ready, known):
        if commit.rows:
            write_commit(store, fingerprint, frames=commit.frames, rows=commit.rows)
        n_done += len(commit.rows)
        del commit  # before the next one is gathered
        on_step(min(n_done, len(ready)), len(ready))


def _commits(
    arrays: Iterator[ReadArray],
    ready: Mapping[str, LinkId],
    known: Mapping[str, Mapping[str, object]],
) -> Iterator[_Commit]:
    """Gather arrays to commits; one is in memory at a time."""
    commit = _Commit()
    for array in arrays:
        link_id = ready[array.name]
        before = known.get(link_id)
        # Nothing was downloaded, decoded or embedded, and no child process needed a sandbox.
        row = OutcomeRow(link_id, engine=EXTERNAL, sandbox="not needed")
        row.round = int(str(before["round"])) + 1 if before else 0
        if array.features is not None:
            row.frames = len(array.features)
            times = np.arange(row.frames, dtype=np.float64)
            commit.frames.append(LinkFrames(link_id, array.features, times))
            commit.n_bytes += array.features.nbytes
        else:
            row.outcome, row.detail = Outcome.BAD_ARRAY, one_line(f"the array {array.problem}")
            if before and before["detail"] == row.detail:
                continue  # broken as before
        commit.rows.append(row)
        if commit.is_full:
            yield commit
            commit = _Commit()
    yield commit

"""Which links a run still has to process."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import ConfigError, FingerprintError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.records import Link, LinkId
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs.fingerprint import FeatureSettings, list_settings


class Plan(NamedTuple):
    """What a run will do."""

    ready: pa.Array  # ids of the distinct ready links of the list
    todo: list[Link]  # without a final outcome under this fingerprint, or to retry
    carried: pa.Table  # outcomes rows of downloads that failed for other features of the same video


_FILE_AT_FAULT = {Outcome.NOT_MEDIA, Outcome.FORMAT_NOT_ALLOWED, Outcome.NO_VIDEO}
_FILE_AT_FAULT |= {Outcome.DECODE, Outcome.PARTIAL}
"""A kept video would fail this way again, so a retry downloads it anew."""


def parse_retry(words: Iterable[str]) -> frozenset[Outcome]:
    """Parse the values of `--retry`; a ConfigError lists the outcomes that can be retried."""
    choices = sorted(set(Outcome) - {Outcome.OK, Outcome.DEFERRED})
    for word in words:
        if word not in choices:
            raise ConfigError(
                f"--retry takes an outcome of failed links: {', '.join(choices)}. "
                f"Received: {word!r}. Deferred links are retried by every run."
            )
    return frozenset(Outcome(word) for word in words)


def plan_links(
    store: Store,
    settings: FeatureSettings,
    kept: Collection[str],
    *,
    recompute: bool,
    retry: Collection[Outcome] = (),
) -> Plan:
    """Compare the list with the committed outcomes.

    `kept` are ids of links whose videos or frames are kept, `retry` are failures to retry;
    `recompute` says that finished links may be downloaded again.

    Raises:
        ConfigError: the list has no ready link, or the run holds external features.
        FingerprintError: settings changed, and finished links would be downloaded again; names the
            settings and the number of downloads.
    """
    ready = read_ready_rows(store, ["link_id", "url", "row_outcome"])
    if not len(ready):
        raise ConfigError(
            f"The list below {store} has no ready link. See its row_outcome column for the reasons."
        )
    columns = (*outcomes_table.PRECEDENCE_COLUMNS, "attempts", "features_file")
    outcomes = outcomes_table.OutcomesReader(store, settings.fingerprint, columns).current()
    files = [file.path for file in store.list_files(f"features/{settings.fingerprint}")]
    todo, retried = _choose(ready, outcomes, pa.array(files, pa.string()), retry)
    others = list_settings(store)
    others.pop(settings.fingerprint, None)
    if any(other.is_external for other in others.values()):
        problem = f"{store} holds external features, which need no download."
        raise ConfigError(
            problem, "Continue with `trailergenre train`, or give your own links another RUN."
        )
    carried = _carry(store, settings, others, {link.link_id for link in todo})
    failed = dict(zip(*(carried[name].to_pylist() for name in ("link_id", "outcome")), strict=True))
    retried += [link for link in todo if failed.get(link.link_id) in retry]
    todo = [link for link in todo if link.link_id not in failed]
    if not recompute:
        remote = {str(link.link_id) for link in todo if not link.url.startswith("file:")}
        _refuse_repeats(store, settings, others, remote.difference(kept))
    is_retried = pc.is_in(carried["outcome"], pa.array(sorted(retry), pa.string()))
    return Plan(
        ready=pc.unique(ready["link_id"]),
        todo=[*todo, *retried],
        carried=carried.filter(pc.invert(is_retried)),
    )


def _make_links(ready: pa.Table) -> list[Link]:
    """Make distinct links, in the order of the list."""
    urls = dict(zip(ready["link_id"].to_pylist(), ready["url"].to_pylist(), strict=True))
    return [Link(link_id=LinkId(link_id), url=url) for link_id, url in urls.items()]


def read_ready_rows(store: Store, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the ready rows of the table `links`; `columns` has `row_outcome`, or is all (None)."""
    rows = tables.read_table(store, "links", columns)
    return rows.filter(pc.equal(rows["row_outcome"], RowOutcome.READY.value))


def _choose(
    ready: pa.Table, outcomes: pa.Table, files: pa.Array, retry: Collection[Outcome]
) -> tuple[list[Link], list[Link]]:
    """Select the links without a final outcome, and those to retry; `files` have features."""
    is_ok = pc.equal(outcomes["outcome"], Outcome.OK.value)
    is_lost = pc.and_not(is_ok, pc.is_in(outcomes["features_file"], files))
    retried_outcomes = pa.array([Outcome.DEFERRED, *retry], pa.string())
    is_open = pc.or_(is_lost, pc.is_in(outcomes["outcome"], retried_outcomes))
    outcomes = outcomes.select(["link_id", "outcome", "round", "attempts"])
    # Final links stay in Arrow: Python objects for each would fill the driver's memory.
    rows = {row["link_id"]: row for row in outcomes.filter(is_open).to_pylist()}
    final = outcomes.filter(pc.invert(is_open))["link_id"].combine_chunks()
    left = ready.filter(pc.invert(pc.is_in(ready["link_id"], final)))
    todo, retried = [], []
    for link in _make_links(left):
        row = rows.get(link.link_id)
        if row is None:
            todo.append(link)
        elif row["outcome"] == Outcome.DEFERRED:
            todo.append(replace(link, round=row["round"] + 1))
        else:
            is_refetched = row["outcome"] in _FILE_AT_FAULT
            retried.append(replace(link, round=row["round"] + 1, is_refetched=is_refetched))
    # Links with many attempts go last: a throttled one must not open the circuit breaker first.
    todo.sort(key=lambda link: rows[link.link_id]["attempts"] if link.round else 0)
    return todo, retried


def _carry(
    store: Store, settings: FeatureSettings, others: dict[str, FeatureSettings], todo: set[str]
) -> pa.Table:
    """Collect the failed downloads of links in `todo` from other fingerprints."""
    carried = [schemas.OUTCOMES.empty_table()]
    not_from_site = pa.array([Outcome.DEFERRED.value, Outcome.INTERNAL.value])
    for name, other in others.items():
        if other.videos_key != settings.videos_key:
            continue
        rows = tables.filter_links(outcomes_table.read_outcomes(store, name), todo)
        # No byte arrived, whatever the outcome: the site refused.
        is_refused = pc.and_not(
            pc.is_null(rows["size_bytes"]), pc.is_in(rows["outcome"], not_from_site)
        )
        carried.append(rows.filter(is_refused))
        todo = todo - set(carried[-1]["link_id"].to_pylist())
    return pa.concat_tables(carried)


def _refuse_repeats(
    store: Store, settings: FeatureSettings, others: dict[str, FeatureSettings], downloads: set[str]
) -> None:
    for name, other in others.items():
        rows = outcomes_table.read_outcomes(store, name, columns=outcomes_table.PRECEDENCE_COLUMNS)
        final = rows.filter(pc.not_equal(rows["outcome"], Outcome.DEFERRED.value))
        repeated = downloads.intersection(final["link_id"].to_pylist())
        if repeated:
            raise FingerprintError(
                f"The settings changed since this run's features {name} were made "
                f"({'; '.join(settings.changed_from(other))}), and its videos were not kept: this "
                f"run would repeat {len(repeated)} downloads of finished links. Give --recompute "
                "to allow that, or go back to the old settings; --keep videos avoids it."
            )

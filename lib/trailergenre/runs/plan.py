"""Which links a run still has to take, and whether going on would request finished ones again."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from trailergenre.base.errors import ConfigError, FingerprintError
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.records import Link, LinkId
from trailergenre.base.storage import Store
from trailergenre.runs import schemas, tables
from trailergenre.runs.fingerprint import FeatureSettings, list_settings


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Attributes:
        ready: distinct ready links of the list, by id.
        todo: links without a final outcome under this fingerprint, and those to be retried.
        carried: outcomes rows of downloads that failed under another fingerprint with the same
            format rule; they hold here too, and asking the site again would tell nothing new.
    """

    ready: list[LinkId]
    todo: list[Link]
    carried: pa.Table


_NOT_RETRIED = frozenset({Outcome.OK, Outcome.DEFERRED})

_FILE_AT_FAULT = frozenset(
    {
        Outcome.NOT_MEDIA,
        Outcome.FORMAT_NOT_ALLOWED,
        Outcome.NO_VIDEO,
        Outcome.DECODE,
        Outcome.PARTIAL,
    }
)
"""A kept video would fail of these again; limits and faults of ours may have changed since."""


def parse_retry(words: Iterable[str]) -> frozenset[Outcome]:
    """Read the outcomes that `--retry` names.

    Raises:
        ConfigError: one is none that can be retried; names those that can.
    """
    choices = sorted(set(Outcome) - _NOT_RETRIED)
    for word in words:
        if word not in choices:
            raise ConfigError(
                f"--retry takes an outcome that a link can fail with. Received: {word!r}. "
                "Deferred links are taken by every run, and what is ok stays. "
                f"One of: {', '.join(choices)}."
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
    """Compare the list with what is committed.

    Args:
        store: the run.
        settings: of the features to be made.
        kept: ids of links that no site is asked for: their videos or frames are there.
        recompute: whether finished links may be requested again.
        retry: failures that are not taken for final.

    Raises:
        ConfigError: the list has no ready link.
        FingerprintError: settings changed, and links that are finished under other settings would
            be downloaded again; names the settings and the number of downloads.
    """
    ready = read_ready_links(store)
    if not ready:
        raise ConfigError(
            f"The list below {store} has no ready link. See its row_outcome column for the reasons."
        )
    columns = (*tables.PRECEDENCE_COLUMNS, "attempts")
    outcomes = tables.read_outcomes(store, settings.fingerprint, columns=columns)
    todo, retried = _choose(ready, outcomes, retry)
    others = {
        name: other for name, other in list_settings(store).items() if name != settings.fingerprint
    }
    if any(other.is_external for other in others.values()):
        raise ConfigError(
            f"{store} holds published features, and there is nothing to download for them. Go on "
            "with jobs/train_model.py, or give your own links another RUN."
        )
    carried = _carry(store, settings, others, {link.link_id for link in todo})
    failed = dict(zip(*(carried[name].to_pylist() for name in ("link_id", "outcome")), strict=True))
    retried += [link for link in todo if failed.get(link.link_id) in retry]
    todo = [link for link in todo if link.link_id not in failed]
    if not recompute:
        _refuse_repeats(store, settings, others, _to_download(todo, kept))
    is_retried = pc.is_in(carried["outcome"], pa.array(sorted(retry), pa.string()))
    return Plan(
        ready=[link.link_id for link in ready],
        todo=[*todo, *retried],
        carried=carried.filter(pc.invert(is_retried)),
    )


def read_ready_links(store: Store) -> list[Link]:
    """The distinct ready links of a run, in the order of the list."""
    rows = tables.read_table(store, "links")
    ready = rows.filter(pc.equal(rows["row_outcome"], RowOutcome.READY.value))
    urls = dict(zip(ready["link_id"].to_pylist(), ready["url"].to_pylist(), strict=True))
    return [Link(link_id=LinkId(link_id), url=url) for link_id, url in urls.items()]


def _choose(
    ready: list[Link], outcomes: pa.Table, retry: Collection[Outcome]
) -> tuple[list[Link], list[Link]]:
    """The links that have no final outcome yet, and those that are to be retried."""
    is_open = pc.is_in(outcomes["outcome"], pa.array([Outcome.DEFERRED, *retry], pa.string()))
    # A dictionary for every link would be the driver's memory: of the final ones, ids do.
    rows = {row["link_id"]: row for row in outcomes.filter(is_open).to_pylist()}
    final = set(outcomes.filter(pc.invert(is_open))["link_id"].to_pylist())
    todo, retried = [], []
    for link in ready:
        if link.link_id in final:
            continue
        row = rows.get(link.link_id)
        if row is None:
            todo.append(link)
            continue
        again = replace(link, round=row["round"] + 1)
        if row["outcome"] == Outcome.DEFERRED:
            todo.append(again)
        else:
            retried.append(replace(again, is_refetched=row["outcome"] in _FILE_AT_FAULT))
    # A link that alone is throttled must not open the breaker before the others, run after run.
    todo.sort(key=lambda link: rows[link.link_id]["attempts"] if link.round else 0)
    return todo, retried


def _final_ids(store: Store, fingerprint: str) -> set[str]:
    outcomes = tables.read_outcomes(store, fingerprint, columns=tables.PRECEDENCE_COLUMNS)
    final = outcomes.filter(pc.not_equal(outcomes["outcome"], Outcome.DEFERRED.value))
    return set(final["link_id"].to_pylist())


def _to_download(todo: list[Link], kept: Collection[str]) -> set[str]:
    """Links that a run would request from their site: neither kept nor local."""
    return {
        link.link_id
        for link in todo
        if link.link_id not in kept and not link.url.startswith("file:")
    }


def _carry(
    store: Store,
    settings: FeatureSettings,
    others: dict[str, FeatureSettings],
    todo: set[str],
) -> pa.Table:
    parts = [schemas.OUTCOMES.empty_table()]
    not_the_sites = pa.array([Outcome.DEFERRED.value, Outcome.INTERNAL.value])
    for name, other in others.items():
        if other.videos_key != settings.videos_key:
            continue
        rows = tables.read_outcomes(store, name)
        wanted = pc.and_(
            # No byte arrived, whatever the class: the site said no.
            pc.and_(
                pc.is_null(rows["size_bytes"]), pc.invert(pc.is_in(rows["outcome"], not_the_sites))
            ),
            pc.is_in(rows["link_id"], pa.array(sorted(todo), pa.string())),
        )
        found = rows.filter(wanted)
        todo = todo - set(found["link_id"].to_pylist())
        parts.append(found)
    return pa.concat_tables(parts)


def _refuse_repeats(
    store: Store,
    settings: FeatureSettings,
    others: dict[str, FeatureSettings],
    downloads: set[str],
) -> None:
    for name, other in others.items():
        repeated = downloads & _final_ids(store, name)
        if repeated:
            raise FingerprintError(
                f"The settings changed since this run's features {name} were made "
                f"({'; '.join(settings.changed_from(other))}), and its videos were not kept: going "
                f"on would mean {len(repeated)} downloads of links that are finished. "
                "Give --recompute to do that, or go back to the old settings. "
                "(With --keep videos from the start nothing is downloaded twice.)"
            )

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from lists import write_links
from trailergenre.base.errors import ConfigError, FingerprintError
from trailergenre.base.outcomes import Outcome
from trailergenre.base.records import Link
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table, schemas
from trailergenre.runs.fingerprint import EXTERNAL, FeatureSettings, write_settings
from trailergenre.runs.kept_videos import KeptVideos
from trailergenre.runs.plan import Plan, parse_retry, plan_links

ONE = FeatureSettings("rule", 1.0, 299, 9, "a" * 64, "fp32")
TWO = replace(ONE, frames_per_s=2.0)

URLS = [f"https://example.org/{name}.mp4" for name in "abc"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


# Nothing arrived of these; of the others a video did.
NOT_DOWNLOADED = {"unavailable", "connect", "no_video", "internal", "deferred"}


def finish(
    store: Store, settings: FeatureSettings, outcomes: dict[Link, str], *, attempts: int = 1
) -> None:
    """Commit outcomes under a fingerprint."""
    write_settings(store, settings)
    rows = [
        {
            "link_id": link.link_id,
            "outcome": outcome,
            "detail": "",
            "attempts": attempts,
            "round": link.round,
            "download_s": 0.0,
            "decode_s": 0.0,
            "embed_s": 0.0,
            "size_bytes": None if outcome in NOT_DOWNLOADED else 1000,
            "frames": 0,
            "decode_errors": 0,
            "connections": [],
            "engine": "",
            "device": "",
            "versions": "",
            "sandbox": "full",
            "features_file": f"features/{settings.fingerprint}/0" if outcome == "ok" else None,
            "finished_at": 0,
        }
        for link, outcome in outcomes.items()
    ]
    table = pa.Table.from_pylist(rows, schema=schemas.OUTCOMES)
    store.write_bytes(f"features/{settings.fingerprint}/0", b"")
    outcomes_table.write_outcomes(store, settings.fingerprint, table)


def plan(
    store: Store,
    settings: FeatureSettings,
    *,
    recompute: bool = False,
    retry: Collection[Outcome] = (),
) -> Plan:
    kept = KeptVideos(store, settings.videos_key, keeps_new=False)
    return plan_links(store, settings, kept.list_link_ids(), recompute=recompute, retry=retry)


def test_new_run_takes_every_link(store: Store) -> None:
    links = write_links(store, URLS)
    assert plan(store, ONE).todo == links


def test_committed_links_are_not_taken_again_but_deferred_ones_are(store: Store) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "ok", b: "unavailable", c: "deferred"})
    assert plan(store, ONE).todo == [replace(c, round=1)]


def test_links_whose_features_file_was_deleted_are_taken_again(store: Store) -> None:
    finish(store, ONE, dict.fromkeys(write_links(store, URLS), "ok"))
    assert plan(store, ONE).todo == []
    path = f"features/{ONE.fingerprint}/0"
    store.delete(path)
    assert [link.round for link in plan(store, ONE).todo] == [1, 1, 1]
    store.write_bytes(path, b"")
    assert plan(store, ONE).todo == []


def test_links_that_were_throttled_themselves_come_after_those_that_never_were_asked_for(
    store: Store,
) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "deferred"}, attempts=3)
    finish(store, ONE, {c: "deferred"}, attempts=0)
    assert plan(store, ONE).todo == [b, replace(c, round=1), replace(a, round=1)]


def test_retry_takes_the_named_failures_again_round_after_round(store: Store) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "ok", b: "unavailable", c: "connect"})
    for number in (1, 2):
        again = replace(c, round=number)
        assert plan(store, ONE, retry={Outcome.CONNECT}).todo == [again]
        finish(store, ONE, {again: "connect"})
    finish(store, ONE, {replace(c, round=3): "ok"})
    assert plan(store, ONE, retry={Outcome.CONNECT}).todo == []


def test_retry_fetches_anew_where_the_file_was_the_reason(store: Store) -> None:
    a, b, _ = links = write_links(store, URLS)
    finish(store, ONE, dict(zip(links, ("partial", "resource", "ok"), strict=True)))
    todo = plan(store, ONE, retry={Outcome.PARTIAL, Outcome.RESOURCE}).todo
    assert todo == [replace(a, round=1, is_refetched=True), replace(b, round=1)]


def test_retry_asks_again_whatever_other_settings_have(store: Store) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "connect", b: "connect", c: "unavailable"})
    finish(store, TWO, {a: "connect"})
    planned = plan(store, TWO, retry={Outcome.CONNECT})
    assert planned.todo == [replace(a, round=1), b]
    assert planned.carried["link_id"].to_pylist() == [c.link_id]


@pytest.mark.parametrize("word", ["ok", "deferred", "conect"])
def test_retry_of_anything_else_is_refused_with_the_list(word: str) -> None:
    assert parse_retry(["dns", "connect"]) == {Outcome.DNS, Outcome.CONNECT}
    with pytest.raises(ConfigError, match=f"connect, decode.* dns,.*Received: '{word}'"):
        parse_retry(["dns", word])


def test_changed_settings_name_themselves_and_the_downloads(store: Store) -> None:
    a, b, _ = write_links(store, URLS)
    finish(store, ONE, {a: "ok", b: "ok"})
    with pytest.raises(FingerprintError) as raised:
        plan(store, TWO)
    assert "frames_per_s: 1.0 -> 2.0" in str(raised.value)
    assert "2 downloads" in str(raised.value)


def test_recompute_goes_on(store: Store) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "ok", b: "ok"})
    assert plan(store, TWO, recompute=True).todo == [a, b, c]


def test_kept_videos_are_no_downloads(store: Store) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "ok", b: "ok"})
    for link in (a, b):
        store.write_bytes(f"videos/{ONE.videos_key}/{link.link_id}", b"video")
    assert plan(store, TWO).todo == [a, b, c]


def test_failed_downloads_hold_for_other_settings_too(store: Store) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "unavailable", b: "too_long", c: "no_video"})
    store.write_bytes(f"videos/{ONE.videos_key}/{b.link_id}", b"video")
    planned = plan(store, TWO)
    assert planned.todo == [b]
    assert sorted(planned.carried["link_id"].to_pylist()) == sorted([a.link_id, c.link_id])


def test_a_fault_of_ours_holds_for_no_other_settings(store: Store) -> None:
    a, *_ = write_links(store, URLS)
    finish(store, ONE, {a: "internal"})
    with pytest.raises(FingerprintError, match="1 downloads"):
        plan(store, TWO)


def test_failed_downloads_do_not_hold_for_another_format_rule(store: Store) -> None:
    a, *_ = write_links(store, URLS)
    finish(store, ONE, {a: "unavailable"})
    with pytest.raises(FingerprintError, match="format_rule: rule -> other"):
        plan(store, replace(ONE, format_rule="other"))


def test_external_features_are_not_downloaded(store: Store) -> None:
    write_links(store, ["published:mmtf/1"])
    write_settings(store, replace(ONE, format_rule=EXTERNAL))
    with pytest.raises(ConfigError, match=r"holds external features.*no download"):
        plan(store, TWO, recompute=True)


def test_list_without_a_ready_link_is_refused(store: Store) -> None:
    write_links(store, [])
    with pytest.raises(ConfigError, match="no ready link"):
        plan(store, ONE)

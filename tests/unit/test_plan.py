from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from lists import write_links
from trailergenre import schemas, tables
from trailergenre.errors import ConfigError, FingerprintError
from trailergenre.fingerprint import FeatureSettings, write_settings
from trailergenre.plan import Plan, plan_links
from trailergenre.records import Link
from trailergenre.storage import Store
from trailergenre.videos import VideoShelf

ONE = FeatureSettings("rule", 1.0, 299, 9, "a" * 64, "fp32")
TWO = replace(ONE, frames_per_s=2.0)

URLS = [f"https://example.org/{name}.mp4" for name in "abc"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


# Nothing arrived of these; of the others a video did.
NOT_DOWNLOADED = {"unavailable", "no_video", "internal"}


def finish(store: Store, settings: FeatureSettings, outcomes: dict[Link, str]) -> None:
    """Commit outcomes under a fingerprint."""
    write_settings(store, settings)
    rows = [
        {
            "link_id": link.link_id,
            "outcome": outcome,
            "detail": "",
            "attempts": 1,
            "round": 0,
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
            "finished_at": 0,
        }
        for link, outcome in outcomes.items()
    ]
    table = pa.Table.from_pylist(rows, schema=schemas.OUTCOMES)
    path = f"outcomes/{settings.fingerprint}"
    store.write_content_addressed(path, tables.to_parquet(table), ".parquet")


def plan(store: Store, settings: FeatureSettings, *, recompute: bool = False) -> Plan:
    shelf = VideoShelf(store, settings.videos_key, is_filled=False)
    return plan_links(store, settings, shelf, recompute=recompute)


def test_new_run_takes_every_link(store: Store) -> None:
    links = write_links(store, URLS)
    assert plan(store, ONE).todo == links


def test_committed_links_are_not_taken_again_but_deferred_ones_are(store: Store) -> None:
    a, b, c = write_links(store, URLS)
    finish(store, ONE, {a: "ok", b: "unavailable", c: "deferred"})
    assert plan(store, ONE).todo == [c]


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


def test_list_without_a_ready_link_is_refused(store: Store) -> None:
    write_links(store, [])
    with pytest.raises(ConfigError, match="no ready link"):
        plan(store, ONE)

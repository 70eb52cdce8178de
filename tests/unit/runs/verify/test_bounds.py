from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trailergenre.base.config import LimitsConfig
from trailergenre.runs.sessions import record_start
from verified import Run, found, make_verified, notes


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    return make_verified(tmp_path, monkeypatch)


def record(run: Run, **changes: Any) -> None:
    settings: dict[str, Any] = {"limits": LimitsConfig().model_dump(), "allow": []}
    settings |= {"egress": "guarded", **changes}
    record_start(run.store, "featurize", settings)


def connect(run: Run, *connections: str) -> None:
    run.replace_outcomes(lambda rows: rows[0].update(connections=list(connections)))


def test_public_connections_hold(run: Run) -> None:
    connect(run, "142.250.74.78:443", "[2607:f8b0::1]:443")
    record(run)
    assert found(run.verify()) == {}


@pytest.mark.parametrize("address", ["127.0.0.1:80", "[::1]:80", "10.0.0.1:80", "nonsense"])
def test_a_connection_to_a_private_address_is_found_unless_it_was_allowed(
    run: Run, address: str
) -> None:
    connect(run, address)
    record(run, allow=["127.0.0.1:81"])
    ((offender,),) = found(run.verify()).values()
    assert offender == f"link {run.outcomes()[0]['link_id']}: {address}"
    record(run, allow=[address])
    assert found(run.verify()) == {}


def test_behind_a_proxy_addresses_are_its_affair(run: Run) -> None:
    connect(run, "127.0.0.1:80")
    record(run, egress="proxy's")
    report = run.verify()
    assert found(report) == {}
    assert "egress: proxy's; 1 connections" in notes(report)


WITHIN = "I6 links stayed within their limits"
LIMITS = LimitsConfig(deadline_s=10, max_file_bytes=100, max_frames=3, max_pixels=99, attempts=2)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"download_s": 8.0, "decode_s": 4.1}, "12.1 exceeds deadline_s=10"),
        ({"attempts": 3}, "3 exceeds attempts=2"),
        ({"size_bytes": 101}, "101 exceeds max_file_bytes=100"),
        ({"pictures_s": 1201.0}, "1201 exceeds max_duration_s=1200"),
        ({"width_px": 10, "height_px": 10}, "100 exceeds max_pixels=99"),
    ],
)
def test_a_link_that_used_more_than_the_loosest_limit_is_found(
    run: Run, change: dict[str, Any], part: str
) -> None:
    record(run, limits=LIMITS.model_dump())
    assert found(run.verify()) == {}
    run.replace_outcomes(lambda rows: rows[0].update(change))
    (offender,) = found(run.verify())[WITHIN]
    assert part in offender
    record(run, limits=LimitsConfig(max_duration_s=1300).model_dump())
    assert WITHIN not in found(run.verify())


def test_more_frames_than_allowed_are_found(run: Run) -> None:
    record(run, limits=LimitsConfig(max_frames=2).model_dump())
    (offenders,) = found(run.verify()).values()
    assert "3 exceeds max_frames=2" in offenders[0]


def test_a_record_that_cannot_be_read_is_told(run: Run) -> None:
    run.store.write_bytes("runs/20260101-featurize-begun.json", b"{}")
    report = run.verify()
    assert found(report) == {}
    assert "cannot be read" in notes(report)


def test_settings_and_what_the_sandbox_lacked_are_shown(run: Run) -> None:
    record(run)
    (shown,) = json.loads(json.dumps(run.verify().to_json()))["settings"]
    assert shown["egress"] == "guarded"
    assert "sandbox" not in notes(run.verify())
    run.replace_outcomes(lambda rows: rows[0].update(sandbox="net=no"))
    report = run.verify()
    assert found(report) == {}
    assert "sandbox: net=no for 1 links" in notes(report)

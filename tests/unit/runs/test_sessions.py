from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from trailergenre.base.storage import Store
from trailergenre.runs.sessions import read_starts, record_start, record_summary


def test_the_summary_is_one_line_and_kept_beside_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_summary(Store(str(tmp_path)), "featurize", {"ready": 3, "by_outcome": {"ok": 3}})
    (line,) = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert list(record) == ["stage", "finished_at", "ready", "by_outcome"]
    assert (record["stage"], record["ready"]) == ("featurize", 3)
    assert datetime.fromisoformat(record["finished_at"]).utcoffset() is not None
    (kept,) = (tmp_path / "runs").iterdir()
    assert kept.name.endswith("-featurize.json")
    assert kept.read_text() == f"{line}\n"


def test_what_a_stage_may_do_is_kept_for_every_session_of_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for number in range(2):
        record_start(store, "featurize", {"limits": {"attempts": number}})
    record_start(store, "other", {})
    record_summary(store, "featurize", {})
    records = [json.loads(record) for record in read_starts(store, "featurize")]
    assert [record["limits"]["attempts"] for record in records] == [0, 1]
    assert all(
        datetime.fromisoformat(record["begun_at"]).utcoffset() is not None for record in records
    )


def test_a_second_summary_does_not_replace_the_first(tmp_path: Path) -> None:
    for number in range(2):
        record_summary(Store(str(tmp_path)), "featurize", {"ready": number})
    assert len(list((tmp_path / "runs").iterdir())) == 2

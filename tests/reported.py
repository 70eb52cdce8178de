"""A run with all that its report shows: two sessions, many hosts, failures, and hostile names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from runs import SETTINGS, link_id, outcome_row
from trailergenre.base.config import LimitsConfig
from trailergenre.base.outcomes import Outcome, RowOutcome
from trailergenre.base.storage import Store
from trailergenre.reports.run_report import read_run_report, render_run
from trailergenre.reports.run_rows import ROWS_FILE
from trailergenre.runs import schemas, tables
from trailergenre.runs.fingerprint import write_settings
from trailergenre.runs.stage_time import Place, StageTime, TimeSpent

FP = SETTINGS.fingerprint
BEGUN = (
    datetime(2026, 1, 5, 9, 0, tzinfo=UTC),
    datetime(2026, 1, 6, 14, 30, tzinfo=UTC),
)
CHUNK = 8
"""Links that are committed together."""
CHUNK_S = 75
"""Seconds from one commit to the next."""
EXECUTORS = ("0", "1")
"""Of one slot each; they commit by turns."""
START_S = 20
"""Seconds until they take their first links."""

TITLE = "<b>Bold</b> & \u202eesreveR"
URL = "javascript:alert(1)"

_HOSTS = ["www.youtube.com"] * 14 + ["vimeo.com"] * 4
_HOSTS += [f"media-{number}.studios.example:8443" for number in range(16)]
_ROW_OUTCOMES = (RowOutcome.DUPLICATE, RowOutcome.LINK_EMPTY, RowOutcome.NOT_A_SINGLE_VIDEO)
_FAILED = {
    Outcome.UNAVAILABLE: "this video has been removed by the uploader",
    Outcome.FORBIDDEN: "HTTP Error 403: Forbidden",
    Outcome.TIMEOUT: "the deadline of 600 s passed while downloading",
    Outcome.PARTIAL: "the video ends at 61.2 s of its declared 142.0 s",
    Outcome.DEFERRED: "throttled: HTTP Error 429: Too Many Requests",
}


def make_reported(store: Store, *, links: int = 240, without: int = 3) -> str:
    """Write a run's links, outcomes and records; give its fingerprint.

    The features files that the outcomes name are not there: a report does not read them.

    Args:
        store: of the run.
        links: distinct ready ones; the first is of a hostile writer.
        without: the last of them, which have no outcome yet.
    """
    write_settings(store, SETTINGS)
    write_list(store, links)
    rng = np.random.default_rng(7)
    rows = [_outcome(number, rng) for number in range(links - without)]
    for row in rows:
        if row["features_file"] is not None:
            chunk = [each for each in rows if each["features_file"] == row["features_file"]]
            row["features_rows"] = sum(each["frames"] for each in chunk)
    write_outcomes(store, rows)
    half = (links // 2 // CHUNK) * CHUNK
    begin(store, BEGUN[0])
    begin(store, BEGUN[1], egress="proxy's")
    end(store, BEGUN[0] + timedelta(hours=1), rows[:half])
    return FP


def write_list(store: Store, links: int) -> None:
    """Ready rows, and beside every ten of them one that is not."""
    rows = [_row(number, RowOutcome.READY) for number in range(links)]
    rows += [_row(number, _ROW_OUTCOMES[number % 3]) for number in range(links // 10)]
    tables.write_table(store, "links", pa.Table.from_pylist(rows, schemas.LINKS))


def _row(number: int, outcome: RowOutcome) -> dict[str, object]:
    is_ready = outcome is RowOutcome.READY
    url = f"https://{_HOSTS[number % len(_HOSTS)]}/watch?v={number:05}"
    return {
        "row": number + (1 if is_ready else 1_000_001),
        "link_id": ready_id(number) if is_ready else None,
        "url": URL if number == 0 else url,
        "title": TITLE if number == 0 else f"A Film of the Year {1990 + number % 30}",
        "movie_id": f"tt{number:07}",
        "genres": ["Drama"],
        "row_outcome": outcome.value,
        "detail": "" if is_ready else "made so",
        "other": "{}",
    }


def ready_id(number: int) -> str:
    return link_id(f"ready {number}")


def _outcome(number: int, rng: np.random.Generator) -> dict[str, Any]:
    """Every ninth link fails; the times are such that some are slow."""
    outcome = list(_FAILED)[number // 9 % len(_FAILED)] if number % 9 == 0 else Outcome.OK
    frames = int(rng.integers(60, 180)) if outcome is Outcome.OK else 0
    download_s = round(float(rng.lognormal(1.5, 1)), 2)
    chunk = number // CHUNK
    session, place = (0, chunk) if number < 120 else (1, chunk - 120 // CHUNK)
    row = outcome_row(ready_id(number), outcome, frames=frames)
    row |= {
        "detail": _FAILED.get(outcome, ""),
        "attempts": 1 + number % 3,
        "download_s": download_s,
        "decode_s": round(frames / 90, 2),
        "embed_s": round(frames / 20, 2),
        "versions": json.dumps({"trailergenre": "0.1.0", "ffmpeg": "7.1", "onnxruntime": "1.23.2"}),
        "sandbox": "no network namespace" if number % 40 == 1 else "full",
        "finished_at": BEGUN[session] + timedelta(seconds=CHUNK_S * (place + 1)),
    }
    if outcome is Outcome.OK:
        row |= {
            "size_bytes": int(download_s * 1e6),
            "duration_s": float(frames),
            "pictures_s": float(frames),
            "width_px": 640,
            "height_px": 360,
            "features_file": f"features/{FP}/{chunk:064}.parquet",
        }
    return row


def write_outcomes(store: Store, rows: list[dict[str, Any]], fingerprint: str = FP) -> None:
    content = tables.to_parquet(pa.Table.from_pylist(rows, schemas.OUTCOMES))
    store.write_content_addressed(f"outcomes/{fingerprint}", content, ".parquet")


def begin(store: Store, at: datetime, *, egress: str = "guarded") -> None:
    """The record of a session's beginning, as `entry.begin` keeps it."""
    record = {
        "stage": "featurize",
        "begun_at": at.isoformat(timespec="seconds"),
        "features": FP,
        "limits": LimitsConfig().model_dump(),
        "allow": [],
        "egress": egress,
    }
    write_record(store, f"{at:%Y%m%dT%H%M%S%f}-featurize-begun", record)


def end(store: Store, at: datetime, rows: list[dict[str, Any]]) -> None:
    """The summary of a session's end, as `entry.finish` keeps it.

    Args:
        store: of the run.
        at: when it was kept.
        rows: the session's outcomes, from its first chunk on.
    """
    chunks = [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]
    commits = [_commit(number, chunk) for number, chunk in enumerate(chunks)]
    stage = StageTime("embed", wall_s=CHUNK_S * len(chunks), commits=commits)
    record = {
        "stage": "featurize",
        "features": FP,
        "time": [asdict(time) for time in stage.by_executor()],
    }
    write_record(store, f"{at:%Y%m%dT%H%M%S%f}-featurize", record)


def _commit(number: int, chunk: list[dict[str, Any]]) -> tuple[Place, TimeSpent]:
    """What a chunk took whose executor committed the one before the last one, if any."""
    executor = EXECUTORS[number % len(EXECUTORS)]
    is_first = number < len(EXECUTORS)
    wall_s = CHUNK_S * (number + 1) - START_S if is_first else CHUNK_S * len(EXECUTORS)
    sums = {
        name: sum(row[name] for row in chunk)
        for name in ("frames", "download_s", "decode_s", "embed_s")
    }
    spent = TimeSpent(links=len(chunk), write_s=3.0, wall_s=wall_s, **sums)
    return Place(executor, f"node-{executor}.example", worker=1), spent


def write_record(store: Store, name: str, record: Mapping[str, object]) -> None:
    store.write_bytes(f"runs/{name}.json", json.dumps(record).encode())


def run_page(directory: Path, *, without: int = 3) -> str:
    """The page of `make_reported`'s run."""
    store = Store(str(directory))
    found = read_run_report(store, make_reported(store, without=without))
    # Neither the directory nor the time is the same twice.
    shown = {"run": "runs/mine", "created_at": "2026-01-06T15:00:00Z"}
    return render_run(
        found.to_json() | shown,
        neighbours={"evaluation.html": "Evaluation"},
        rows_file=ROWS_FILE,
    )

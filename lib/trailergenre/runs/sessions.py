"""What each session of a stage may do and what it did, kept as JSON beside the run."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import typer

from trailergenre.base.storage import Store


def record_start(store: Store, stage: str, settings: dict[str, object]) -> None:
    """Keep beside the run what a stage may do, before it does anything; `verify` holds it to that.

    Args:
        store: the run.
        stage: the job's name.
        settings: what JSON can hold; nothing secret.
    """
    begun_at = datetime.now(UTC)
    record = {"stage": stage, "begun_at": begun_at.isoformat(timespec="seconds"), **settings}
    content = json.dumps(record, indent=2) + "\n"
    store.write_bytes(f"runs/{begun_at:%Y%m%dT%H%M%S%f}-{stage}-begun.json", content.encode())


def read_starts(store: Store, stage: str) -> list[bytes]:
    """What `begin` kept of each time that a stage was begun, the oldest first."""
    return _read_records(store, f"-{stage}-begun.json")


def read_summaries(store: Store, stage: str) -> list[bytes]:
    """The summaries that `finish` kept of a stage, the oldest first."""
    return _read_records(store, f"-{stage}.json")


def _read_records(store: Store, ending: str) -> list[bytes]:
    return [
        store.read_bytes(file.path)
        for file in store.list_files("runs")
        if file.path.endswith(ending)
    ]


def record_summary(store: Store, stage: str, summary: dict[str, object]) -> None:
    """Keep a stage's summary beside the run and print it as the last line of stdout.

    Args:
        store: the run.
        stage: the job's name.
        summary: figures that JSON can hold.
    """
    finished_at = datetime.now(UTC)
    record = {"stage": stage, "finished_at": finished_at.isoformat(timespec="seconds"), **summary}
    line = json.dumps(record, sort_keys=False)
    store.write_bytes(f"runs/{finished_at:%Y%m%dT%H%M%S%f}-{stage}.json", f"{line}\n".encode())
    typer.echo(line)

"""What each session of a job was allowed and what it did, as JSON files below `RUN/runs/`."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from trailergenre.base.storage import Store
from trailergenre.base.terminal import open_console, print_line

_HASHES = {"sha256", "features"}


def record_start(store: Store, stage: str, settings: Mapping[str, object]) -> None:
    """Record what a job may do, before it starts; `verify` holds it to that. No secrets."""
    now = datetime.now(UTC)
    record = {"stage": stage, "begun_at": now.isoformat(timespec="seconds"), **settings}
    _write(store, f"{now:%Y%m%dT%H%M%S%f}-{stage}-begun.json", json.dumps(record, indent=2))


def record_summary(
    store: Store, stage: str, summary: Mapping[str, object], *, told: Collection[str] = ()
) -> None:
    """Record a job's summary, and print it: in words on a terminal, else as one line of JSON.

    Args:
        store: of the run.
        stage: the job.
        summary: its figures.
        told: figures that the terminal shows already.
    """
    now = datetime.now(UTC)
    record = {"stage": stage, "finished_at": now.isoformat(timespec="seconds"), **summary}
    line = json.dumps(record)
    _write(store, f"{now:%Y%m%dT%H%M%S%f}-{stage}.json", line)
    if open_console(stderr=False).is_terminal:
        for words in _in_words({k: v for k, v in summary.items() if k not in told}):
            print_line(words)
    else:
        print_line(line)


def _in_words(summary: Mapping[str, object]) -> Iterator[str]:
    """A line for each figure that says something; hashes and details are in the file only."""
    for key, value in summary.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{count} {name}" for name, count in value.items() if count)
        elif isinstance(value, list | tuple):
            text = ", ".join(str(each) for each in value if not isinstance(each, Mapping))
        else:
            text = str(value or "")
        if text and key not in _HASHES:
            yield f"{key.replace('_', ' '):>16}  {text}"


def read_starts(store: Store, stage: str) -> list[bytes]:
    """Read all start records of a job, oldest first."""
    return _read(store, f"-{stage}-begun.json")


def read_summaries(store: Store, stage: str) -> list[bytes]:
    """Read all summaries of a job, oldest first."""
    return _read(store, f"-{stage}.json")


def _write(store: Store, name: str, content: str) -> None:
    store.write_bytes(f"runs/{name}", f"{content}\n".encode())


def _read(store: Store, ending: str) -> list[bytes]:
    paths = (file.path for file in store.list_files("runs"))
    return [store.read_bytes(path) for path in paths if path.endswith(ending)]

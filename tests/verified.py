"""A small run in which everything holds, and ways to break it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from runs import SETTINGS, Movie, labelled, make_movies, make_run
from trailergenre.base.storage import Store
from trailergenre.runs import outcomes_table, schemas, tables
from trailergenre.runs.verify.verification import Verification
from trailergenre.runs.verify.verify import verify_run

FP = SETTINGS.fingerprint


@dataclass(frozen=True)
class Run:
    """Five links in two features files, and one that failed."""

    store: Store
    movies: list[Movie]

    def verify(self) -> Verification:
        return verify_run(self.store, FP)

    def features_files(self) -> list[str]:
        return [file.path for file in self.store.list_files(f"features/{FP}")]

    def outcomes(self) -> list[dict[str, Any]]:
        return list(outcomes_table.read_outcomes(self.store, FP).to_pylist())

    def replace_outcomes(self, edit: Callable[[list[dict[str, Any]]], object]) -> None:
        """Put other rows into the one outcomes file, under their own hash."""
        rows = self.outcomes()
        edit(rows)
        (file,) = self.store.list_files(f"outcomes/{FP}")
        self.store.delete(file.path)
        content = tables.to_parquet(pa.Table.from_pylist(rows, schemas.OUTCOMES))
        self.store.write_content_addressed(f"outcomes/{FP}", content, ".parquet")

    def replace_features(self, edit: Callable[[pa.Table], pa.Table]) -> None:
        """Put another table into the features file of the first link, and name it rightly."""
        first = self.outcomes()[0]["features_file"]
        table = edit(tables.read_content_addressed(self.store, "features", first))
        content = tables.to_parquet(table)
        path = self.store.write_content_addressed(f"features/{FP}", content, ".parquet")
        named = {
            "features_file": path,
            "features_rows": len(table),
            "features_bytes": len(content),
            "features_sha256": Path(path).stem,
        }
        self.replace_outcomes(
            lambda rows: [row.update(named) for row in rows if row["features_file"] == first]
        )
        self.store.delete(first)

    def replace_labels(self, edit: Callable[[list[dict[str, Any]]], object]) -> None:
        rows = tables.read_table(self.store, "labels").to_pylist()
        edit(rows)
        tables.write_table(self.store, "labels", pa.Table.from_pylist(rows, schemas.LABELS))

    def replace_links(self, edit: Callable[[list[dict[str, Any]]], object]) -> None:
        rows = tables.read_table(self.store, "links").to_pylist()
        edit(rows)
        tables.write_table(self.store, "links", pa.Table.from_pylist(rows, schemas.LINKS))


def found(verification: Verification) -> dict[str, list[str]]:
    """Invariant and claim -> offenders, of what does not hold."""
    return {
        f"{check.invariant} {check.name}": check.offenders
        for check in verification.checks
        if not check.holds
    }


def notes(verification: Verification) -> str:
    return "\n".join(
        [*verification.notes, *(note for check in verification.checks for note in check.notes)]
    )


def make_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run in which everything holds, and a scratch of its own: others' is none of its affair."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    movies = [*make_movies(5, frames=3), Movie(labelled("broken", ["Drama"]), None)]
    store = Store(str(tmp_path / "run"))
    make_run(store, movies, links_per_file=3)
    return Run(store, movies)


def cut(run: Run, path: str) -> str:
    run.store.write_bytes(path, run.store.read_bytes(path)[:-100])
    return path


def zero(run: Run, path: str) -> str:
    run.store.write_bytes(path, bytes(len(run.store.read_bytes(path))))
    return path


def flip(run: Run, path: str) -> str:
    content = bytearray(run.store.read_bytes(path))
    content[len(content) // 2] ^= 1
    run.store.write_bytes(path, bytes(content))
    return path


def empty(run: Run, path: str) -> str:
    run.store.write_bytes(path, b"")
    return path


def remove(run: Run, path: str) -> str:
    run.store.delete(path)
    return path

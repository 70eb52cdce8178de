"""The project's own commands, run as a user types them, and what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quality.external import MMTF, read_mmtf
from trailergenre.base.errors import ConfigError
from trailergenre.base.storage import Store
from trailergenre.models.bundle import Bundle, read_bundle

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        code: its exit code.
        said: all that it printed; spark-submit passes the job's stderr on as stdout.
    """

    code: int
    said: str

    @property
    def summary(self) -> dict[str, Any]:
        """The last line of JSON; the benchmark ends where a job did not end well."""
        if self.code:
            raise ConfigError(f"A job ended with exit code {self.code}:\n{self.said}")
        return dict(json.loads([row for row in self.said.splitlines() if row[:1] == "{"][-1]))


def run_job(job: str, *arguments: object, spark: Sequence[str] = ()) -> dict[str, Any]:
    """Run a job that must end well; gives its summary."""
    return try_job(job, *arguments, spark=spark).summary


def prepare_table(run: Path, directory: Path) -> dict[str, Any]:
    """Prepare a run from a table of external features; gives its summary."""
    return run_job("prepare_dataset", run, "--external", "table", directory)


def prepare_mmtf(work: Path, run: Path, metadata: Path | None = None) -> dict[str, Any]:
    """Prepare a run from MMTF-14K's trailers, with the genres of `metadata` if it is given."""
    table = read_mmtf(data_directory() / "mmtf" / f"{MMTF}.csv", metadata)
    return prepare_table(run, table.write(work / "data" / run.name / MMTF))


def try_job(job: str, *arguments: object, spark: Sequence[str] = ()) -> Ended:
    """Run a job to its end, by spark-submit on this machine's two slots.

    Args:
        job: its name.
        arguments: the job's.
        spark: options of spark-submit.
    """
    submit = Path(sys.executable).with_name("spark-submit")
    command = [submit, "--properties-file", REPOSITORY / "conf" / "spark-local.conf", *spark]
    command += [REPOSITORY / "jobs" / f"{job}.py", *map(str, arguments)]
    done = subprocess.run(
        [str(word) for word in command],
        cwd=REPOSITORY,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


def data_directory() -> Path:
    """Where the published data lie: TRAILERGENRE_DATA, or beside the repository."""
    named = os.environ.get("TRAILERGENRE_DATA")
    found = Path(named).expanduser() if named else REPOSITORY.parent / "shared" / "data"
    if not found.is_dir():
        raise ConfigError(
            f"The published data are not at {found}. Name their directory with TRAILERGENRE_DATA."
        )
    return found


def read_folds(directory: Path) -> list[Bundle]:
    """The bundles that `train_model --cross-validate` wrote."""
    return [read_bundle(Store(str(fold))) for fold in sorted(directory.glob("fold-*"))]

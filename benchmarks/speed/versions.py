"""S6 to S8, passed or not: a run on S3, other versions of Spark, jobs over Spark Connect."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Collection

from speed.children import BENCHMARKS
from speed.findings import Finding, Findings
from speed.inputs import Inputs

_REPOSITORY = BENCHMARKS.parent
_LOCKS = sorted((_REPOSITORY / "tests" / "spark_versions").glob("*.lock"))
_PYTEST = [str(_REPOSITORY / ".venv" / "bin" / "pytest"), "-q"]
_COMMANDS = {
    "S6": {"installed": [*_PYTEST, "-m", "", "tests/jobs/test_object_storage.py"]},
    "S7": {
        "installed": [*_PYTEST, "tests/spark/test_versions.py"],
        **{lock.stem: ["make", "test-spark", f"SPARK={lock.stem}"] for lock in _LOCKS},
    },
    "S8": {"installed": [*_PYTEST, "tests/jobs/test_connect.py"]},
}
_WHAT = {
    "S6": "runs on S3 with nothing shared",
    "S7": "versions of Spark on which all stages pass, and give the same forests",
    "S8": "train, predict and evaluate over Spark Connect",
}


def measure_versions(inputs: Inputs, wanted: Collection[str]) -> Findings:
    """Run the tests; the value is the share of versions that passed."""
    return {goal: _find(goal) for goal in _COMMANDS if goal in wanted}


def _find(goal: str) -> Finding:
    # The tests choose Spark's options themselves.
    env = {name: os.environ[name] for name in os.environ if name != "PYSPARK_SUBMIT_ARGS"}
    passed = {}
    for version, command in _COMMANDS[goal].items():
        done = subprocess.run(
            command, cwd=_REPOSITORY, env=env, stdout=subprocess.DEVNULL, check=False
        )
        passed[version] = done.returncode == 0
    share = sum(passed.values()) / len(passed)
    return Finding(_WHAT[goal], [share], goal=1, floor=1, figures={"passed": passed})

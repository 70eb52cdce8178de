"""Java for tests: Spark's JVMs live for seconds there, and most of these go into loading classes.

python tests/jvms.py keeps the classes of a small job as they are in memory; `make test-all` runs
it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parent.parent
_CLASSES = _REPOSITORY / ".cache" / "spark-classes.jsa"
"""With them a job takes .6 of the processor's time. A JVM that cannot use them, for they are not
there or of another Java, loads its classes as ever, and is told not to speak of it."""

_LIGHTLY = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Compiled lightly, a job takes half of the processor's time."""
LIGHT = f"{_LIGHTLY} -XX:SharedArchiveFile={_CLASSES} -Xlog:disable"
ENVIRONMENT = ("SPARK_SUBMIT_OPTS", "SPARK_LAUNCHER_OPTS", "SPARK_DAEMON_JAVA_OPTS")
"""Variables by which Spark's scripts take it; its executors take it as a property."""
EXECUTORS = f"spark.executor.extraJavaOptions={LIGHT}"


def keep_classes() -> None:
    """Let a JVM that has run `spark_classes.py` write down its classes."""
    _CLASSES.parent.mkdir(exist_ok=True)
    _CLASSES.unlink(missing_ok=True)
    options = f"{_LIGHTLY} -XX:ArchiveClassesAtExit={_CLASSES} -Xlog:disable"
    submit = Path(sys.executable).with_name("spark-submit")
    properties = _REPOSITORY / "conf" / "spark-local.conf"
    with tempfile.TemporaryDirectory() as directory:
        subprocess.run(
            [
                *(str(submit), "--properties-file", str(properties)),
                *("--conf", "spark.eventLog.enabled=false"),
                *(str(Path(__file__).with_name("spark_classes.py")), directory),
            ],
            env={
                **os.environ,
                "SPARK_SUBMIT_OPTS": options,
                "PYSPARK_PYTHON": sys.executable,
                "SPARK_LOCAL_IP": "127.0.0.1",
            },
            check=True,
        )
    # A Java that keeps no classes has written nothing; make need not ask again.
    _CLASSES.touch()


if __name__ == "__main__":
    keep_classes()

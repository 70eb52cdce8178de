"""Java for tests: Spark's JVMs live for seconds there."""

from __future__ import annotations

LIGHT = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Compiled lightly, a job takes half of the processor's time."""
ENVIRONMENT = ("SPARK_SUBMIT_OPTS", "SPARK_LAUNCHER_OPTS", "SPARK_DAEMON_JAVA_OPTS")
"""Variables by which Spark's scripts take it; its executors take it as a property."""
EXECUTORS = f"spark.executor.extraJavaOptions={LIGHT}"

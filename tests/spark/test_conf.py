"""The properties files against what Spark itself knows; YARN and Kubernetes cannot be run here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from submits import REPOSITORY

FILES = sorted((REPOSITORY / "conf").glob("spark-*.conf"))
HOLDERS = (
    "org.apache.spark.internal.config.package$",
    "org.apache.spark.internal.config.UI$",
    "org.apache.spark.sql.internal.SQLConf$",
    "org.apache.spark.deploy.yarn.config.package$",
    "org.apache.spark.deploy.k8s.Config$",
)
"""Objects of Spark that declare settings once they are loaded."""
UNDECLARED = {"spark.master"}
"""Known to spark-submit alone."""
VOLUMES = re.compile(r"spark\.kubernetes\.(driver|executor)\.volumes\.")


def properties(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return dict(pairs)


def unknown(spark: SparkSession, keys: set[str]) -> set[str]:
    """Keys that no setting of this Spark has."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    for name in HOLDERS:
        jvm.java.lang.Class.forName(name)
    entry = jvm.org.apache.spark.internal.config.ConfigEntry
    return {key for key in keys - UNDECLARED if entry.findEntry(key) is None}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_spark_knows_every_key(spark: SparkSession, path: Path) -> None:
    keys = {key for key in properties(path) if not VOLUMES.match(key)}
    assert len(keys) > 10
    assert unknown(spark, keys) == set()


def test_a_key_that_spark_does_not_know_is_found(spark: SparkSession) -> None:
    assert unknown(spark, {"spark.executor.memory", "spark.executor.memry"}) == {
        "spark.executor.memry"
    }


def test_kubernetes_volumes_are_such_as_spark_reads(spark: SparkSession) -> None:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    conf = jvm.org.apache.spark.SparkConf(False)
    for key, value in properties(REPOSITORY / "conf/spark-kubernetes.conf").items():
        conf.set(key, value)
    for whose in ("driver", "executor"):
        volumes = jvm.org.apache.spark.deploy.k8s.KubernetesVolumeUtils.parseVolumesWithPrefix(
            conf, f"spark.kubernetes.{whose}.volumes."
        )
        assert volumes.size() == 1
        assert (volumes.head().mountPath(), volumes.head().mountReadOnly()) == ("/shared", False)


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_spark_submit_takes_the_file(path: Path, tmp_path: Path) -> None:
    """As far as starting a driver that asks for no cluster."""
    (tmp_path / "nothing.py").write_text("print('nothing was asked for')\n")
    # What `make zip` and `make setup` would make.
    ours = {"archives": "", "submit.pyFiles": "", "pyspark.driver.python": sys.executable}
    conf = [word for key, value in ours.items() for word in ("--conf", f"spark.{key}={value}")]
    program = Path(sys.executable).with_name("spark-submit")
    submit = [program, "--verbose", "--properties-file", path, "--deploy-mode", "client"]
    done = subprocess.run(
        [*submit, *conf, tmp_path / "nothing.py"],
        cwd=REPOSITORY,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "HADOOP_CONF_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    shown = done.stdout + done.stderr
    assert (done.returncode, "nothing was asked for" in shown) == (0, True), shown
    assert "Ignoring non-Spark config" not in shown
    assert [key for key in properties(path) if f"({key}," not in shown] == []

"""Where a session will run, told before there is one, and without Spark."""

from __future__ import annotations

import argparse
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path


def is_local_master(master: str) -> bool:
    """Whether a master means this process.

    >>> is_local_master("local[*]"), is_local_master("local-cluster[2,1,1024]")
    (True, False)
    """
    return master.startswith("local") and not master.startswith("local-cluster")


def names_cluster() -> bool:
    """Whether spark-submit, or the variables that pyspark reads, name a cluster."""
    if remote := os.environ.get("SPARK_REMOTE"):
        return not is_local_master(remote)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        from pyspark import SparkConf

        return not is_local_master(str(SparkConf().get("spark.master", "")))
    return not is_local_master(read_master(shlex.split(os.environ.get("PYSPARK_SUBMIT_ARGS", ""))))


def read_master(options: Sequence[str]) -> str:
    """The master that options of spark-submit name, in a properties file if nowhere else.

    >>> read_master(["--conf", "spark.master=yarn", "pyspark-shell"]), read_master([])
    ('yarn', 'local')
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--master")
    parser.add_argument("--properties-file", type=Path)
    parser.add_argument("--conf", "-c", action="append", default=[])
    known, _ = parser.parse_known_args(options)
    lines = known.properties_file.read_text().splitlines() if known.properties_file else []
    pairs = [re.split(r"[\s=:]+", line.strip(), maxsplit=1) for line in [*lines, *known.conf]]
    conf = {name: value for name, *values in pairs for value in values}
    return known.master or conf.get("spark.master", "local")

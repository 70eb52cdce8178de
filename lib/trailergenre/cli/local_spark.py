"""Spark for commands that spark-submit did not start: a session of their own on this machine."""

from __future__ import annotations

import os
import shlex
from importlib.resources import files
from pathlib import Path

from trailergenre.base.errors import ConfigError

_ARGUMENTS = "PYSPARK_SUBMIT_ARGS"


def use_spark(master: str | None, properties_file: Path | None) -> None:
    """Choose the master and properties of the session that this command will start.

    Without a properties file it is that of `conf/spark-local.conf`, on all cores.

    Raises:
        ConfigError: spark-submit started this process, and takes these options itself.
    """
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        if master or properties_file:
            raise ConfigError(
                "--master and --properties-file are options of spark-submit here. Give them before "
                "the job's name."
            )
        return
    if _ARGUMENTS in os.environ and not (master or properties_file):
        return  # pyspark's own variable: the user has chosen
    if properties_file is not None:
        words = ["--properties-file", str(properties_file.expanduser())]
    else:
        conf = files("trailergenre.spark") / "conf"
        log4j = f"-Dlog4j2.configurationFile=file:{conf / 'log4j2.properties'}"
        words = ["--properties-file", str(conf / "spark-local.conf")]
        words += ["--conf", f"spark.driver.extraJavaOptions={log4j}"]
        # Its directory is the repository's.
        words += ["--conf", "spark.eventLog.enabled=false"]
    if master is not None:
        words += ["--master", master]
    os.environ[_ARGUMENTS] = shlex.join([*words, "pyspark-shell"])

"""Java and the packages, as far as they can be looked up without being loaded."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from trailergenre.base import java
from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, ToolMissingError
from trailergenre.base.versions import MINIMUM_VERSIONS, check_minimum_versions
from trailergenre.cli.doctor.finding import Finding, Verdict, installed_version

_TENSORFLOW = ("tensorflow", "keras", "tf2onnx", "onnx")
"""The packages of the extra `tensorflow`."""


def check_packages(config: Config) -> Finding:
    """Look for packages that are older than is safe."""
    old = []
    for package in MINIMUM_VERSIONS:
        try:
            check_minimum_versions(package)
        except ConfigError as error:
            old.append(error)
    versions = {package: installed_version(package) for package in MINIMUM_VERSIONS}
    found = ", ".join(f"{package} {version}" for package, version in versions.items() if version)
    if old:
        told = (" ".join(error.problem for error in old), " ".join(error.remedy for error in old))
        return Finding(Verdict.FAILED, *told)
    return Finding(Verdict.OK, found)


def check_java(config: Config) -> Finding:
    """Look for the Java that Spark would start."""
    program, major = java.find_java()
    found = f"{major or 'none'} ({shutil.which(program) or program})"
    if installed_version("pyspark") is None:
        return Finding(Verdict.NOT_USED, f"{found}; only Spark needs it")
    try:
        java.check_java()
    except ToolMissingError as error:
        home = os.environ.get("JAVA_HOME")
        told = f"JAVA_HOME is {home}, where alone Spark looks: correct or unset it."
        return Finding(Verdict.FAILED, error.problem, told if home else error.remedy)
    return Finding(Verdict.OK, found)


def check_spark(config: Config) -> Finding:
    """Look whether spark-submit would start this environment's Spark and Python."""
    version, spec = installed_version("pyspark"), find_spec("pyspark")
    if version is None or spec is None or spec.origin is None:
        return Finding(
            Verdict.NOT_USED,
            "not installed; the jobs need it, scoring a link does not",
            "pip install 'trailergenre[spark]'",
        )
    check_minimum_versions("pyspark")
    home, ours = os.environ.get("SPARK_HOME"), Path(spec.origin).parent
    if home and Path(home).resolve() != ours.resolve():
        return Finding(
            Verdict.WARNING,
            f"pyspark {version}, but SPARK_HOME is {home}, which spark-submit takes",
            "Unset SPARK_HOME, unless that Spark has the same version.",
        )
    for program in ("spark-submit", _driver_python()):
        path = shutil.which(program)
        # The directories: the interpreters of two environments may be links to one file.
        if path is None or Path(path).parent.resolve() != Path(sys.executable).parent.resolve():
            place = f"{path}, of another environment" if path else "not found"
            return Finding(
                Verdict.WARNING,
                f"pyspark {version} in {sys.prefix}, but {program} is {place}",
                "Activate the environment, or put its bin directory first on PATH and set "
                f"PYSPARK_PYTHON={sys.executable}",
            )
    return Finding(Verdict.OK, f"pyspark {version} ({ours})")


def _driver_python() -> str:
    """What spark-submit starts, where its properties do not say it."""
    names = (os.environ.get(name) for name in ("PYSPARK_DRIVER_PYTHON", "PYSPARK_PYTHON"))
    return next(filter(None, names), "python3")


def check_tensorflow(config: Config) -> Finding:
    """Look for what exports networks and trains temporal heads."""
    versions = {package: installed_version(package) for package in _TENSORFLOW}
    missing = [package for package, version in versions.items() if version is None]
    if not missing:
        return Finding(Verdict.OK, ", ".join(f"{name} {at}" for name, at in versions.items()))
    is_needed = config.backbone.engine == "tensorflow"
    return Finding(
        Verdict.FAILED if is_needed else Verdict.NOT_USED,
        f"{', '.join(missing)} not installed; `backbone export`, --model temporal and "
        "backbone.engine = tensorflow need it",
        "pip install 'trailergenre[tensorflow]'",
    )

"""The checks of `trailergenre doctor`: each tries one thing as the work itself would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from trailergenre.base import versions
from trailergenre.base.config import Config
from trailergenre.base.errors import ConfigError, ToolMissingError, WeightsError, one_line
from trailergenre.base.sandbox.scratch import scratch_directory
from trailergenre.base.versions import MINIMUM_VERSIONS, check_minimum_versions
from trailergenre.cli.doctor.child_checks import check_ffmpeg, check_javascript, check_sandbox
from trailergenre.cli.doctor.examine import Check, Finding, Verdict
from trailergenre.features.backbone import check_backbone, load_embedder
from trailergenre.mongo.connection import open_database, read_destination

_TENSORFLOW = ("tensorflow", "keras", "tf2onnx", "onnx")
"""The packages of the extra `tensorflow`."""
_SMI = "nvidia-smi"
_SMI_TIMEOUT_S = 30.0
"""It takes seconds if the driver is not kept loaded."""
_N_VIDEOS = 4
"""Videos of the largest size that must fit. A task may hold eight, but few are that large."""


def _installed(package: str) -> str | None:
    """Version of an installed package, without importing it; else None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def check_packages(config: Config) -> Finding:
    """Look for packages older than the oldest safe version."""
    errors = []
    for package in MINIMUM_VERSIONS:
        try:
            check_minimum_versions(package)
        except ConfigError as error:
            errors.append(error)
    if errors:
        summary = " ".join(error.problem for error in errors)
        return Finding(Verdict.FAILED, summary, " ".join(error.remedy for error in errors))
    found = [name for name in MINIMUM_VERSIONS if _installed(name)]
    return Finding(Verdict.OK, ", ".join(f"{name} {version(name)}" for name in found))


def check_java(config: Config) -> Finding:
    """Look for the Java that Spark would start."""
    program, major = versions.find_java()
    summary = f"{major or 'none'} ({shutil.which(program) or program})"
    if _installed("pyspark") is None:
        return Finding(Verdict.NOT_USED, f"{summary}; only Spark needs it")
    try:
        versions.check_java()
    except ToolMissingError as error:
        home = os.environ.get("JAVA_HOME")
        advice = f"JAVA_HOME is {home}; Spark looks only there. Correct or unset it."
        return Finding(Verdict.FAILED, error.problem, advice if home else error.remedy)
    return Finding(Verdict.OK, summary)


def check_spark(config: Config) -> Finding:
    """Check that spark-submit would start this environment's Spark and Python."""
    installed, spec = _installed("pyspark"), find_spec("pyspark")
    if installed is None or spec is None or spec.origin is None:
        return Finding(
            Verdict.NOT_USED,
            "not installed; `run` and the stages need it, `score` does not",
            "pip install 'trailergenre[spark]'",
        )
    check_minimum_versions("pyspark")
    home, ours = os.environ.get("SPARK_HOME"), Path(spec.origin).parent
    if home and Path(home).resolve() != ours.resolve():
        return Finding(
            Verdict.WARNING,
            f"pyspark {installed}, but spark-submit uses SPARK_HOME, which is {home}",
            "Unset SPARK_HOME, unless that Spark has the same version.",
        )
    pythons = (os.environ.get(name) for name in ("PYSPARK_DRIVER_PYTHON", "PYSPARK_PYTHON"))
    for program in ("spark-submit", next(filter(None, pythons), "python3")):
        path = shutil.which(program)
        # Directories are compared: interpreters of two environments may link to the same file.
        if path is None or Path(path).parent.resolve() != Path(sys.executable).parent.resolve():
            place = f"{path}, of another environment" if path else "not found"
            return Finding(
                Verdict.WARNING,
                f"pyspark {installed} in {sys.prefix}, but {program} is {place}",
                "Only spark-submit needs it, no command of trailergenre. Activate the environment, "
                f"or put its bin directory first on PATH and set PYSPARK_PYTHON={sys.executable}",
            )
    return Finding(Verdict.OK, f"pyspark {installed} ({ours})")


def check_tensorflow(config: Config) -> Finding:
    """Look for the packages that export networks and train temporal models."""
    missing = [package for package in _TENSORFLOW if _installed(package) is None]
    if not missing:
        return Finding(Verdict.OK, ", ".join(f"{name} {version(name)}" for name in _TENSORFLOW))
    return Finding(
        Verdict.FAILED if config.backbone.engine == "tensorflow" else Verdict.NOT_USED,
        f"{', '.join(missing)} not installed; `backbone export`, --model temporal and "
        "backbone.engine = tensorflow need it",
        "pip install 'trailergenre[tensorflow]'",
    )


def check_weights(config: Config) -> Finding:
    """Load the network's artefact and check its checksums, as a worker would."""
    try:
        manifest = check_backbone(config.backbone)
    except WeightsError as error:
        can_export = _installed("tensorflow") is not None
        install = "" if can_export else "To export, run: pip install 'trailergenre[tensorflow]'"
        return Finding(Verdict.FAILED, error.problem, f"{error.remedy} {install}".strip())
    path = config.backbone.path
    summary = f"{manifest.network} with weights {manifest.source}, {manifest.precision} ({path})"
    if manifest.is_random:
        return Finding(
            Verdict.WARNING,
            f"{summary}; with random weights scores mean nothing",
            f"trailergenre backbone export --weights imagenet --out {path}",
        )
    return Finding(Verdict.OK, summary)


def check_engine(config: Config) -> Finding:
    """Load ONNX Runtime; another engine is only looked up, as loading TensorFlow takes long."""
    import onnxruntime

    providers = ", ".join(onnxruntime.get_available_providers())
    summary = f"onnxruntime {onnxruntime.__version__} ({providers})"
    engine = config.backbone.engine
    if engine != "onnxruntime":
        summary = f"{engine} {_installed(engine)} and {summary}"
    return Finding(Verdict.OK, summary)


def check_gpu(config: Config) -> Finding:
    """List the GPUs; if the configuration asks for one, run the network on it."""
    gpus = _list_gpus()
    if config.backbone.device == "cpu":
        return Finding(Verdict.NOT_USED, f"{gpus or 'none'}; backbone.device = cpu")
    try:
        embedder = load_embedder(config.backbone)
        embedder.embed(np.zeros((1, *embedder.manifest.input.shape), np.uint8))
    except (ConfigError, WeightsError) as error:
        return Finding(Verdict.FAILED, f"{gpus or 'none found'}: {error.problem}", error.remedy)
    return Finding(Verdict.OK, f"{gpus}: {embedder.engine} {embedder.version} works")


def _list_gpus() -> str:
    """Name, memory and driver of each GPU, as nvidia-smi prints them; empty without nvidia-smi."""
    program = shutil.which(_SMI)
    if program is None:
        return ""
    query = "--query-gpu=index,name,memory.total,driver_version"
    try:
        answer = subprocess.run(
            [program, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SMI_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return f"{_SMI} does not answer"
    lines = "; ".join(answer.stdout.splitlines())
    return lines if answer.returncode == 0 else f"{_SMI}: {one_line(lines or answer.stderr)}"


def check_mongodb(config: Config) -> Finding:
    """Connect and log in, if an address is configured."""
    mongo = config.mongo
    if mongo.uri_file is None and not os.environ.get(mongo.uri_variable):
        return Finding(Verdict.NOT_USED, f"neither {mongo.uri_variable} nor mongo.uri_file is set")
    destination = read_destination(mongo)
    with open_database(destination) as database:
        # Not a ping, which a server answers without a login.
        n = len(database.list_collection_names())
    summary = f"logged in to {destination.address.hosts}; database {mongo.database}"
    return Finding(Verdict.OK, f"{summary} has {n} collections")


def check_disk(config: Config) -> Finding:
    """Write a temporary file and measure the free space."""
    with scratch_directory() as directory:
        (directory / "probe").write_bytes(b"probe")
        free = shutil.disk_usage(directory).free
        place = directory.parents[1]
    largest = config.limits.max_file_bytes
    summary = f"{free / 1e9:.1f} GB free for temporary files ({place})"
    if free >= _N_VIDEOS * largest:
        return Finding(Verdict.OK, summary)
    return Finding(
        Verdict.WARNING if free >= largest else Verdict.FAILED,
        f"{summary}; a task holds several videos of up to {largest / 1e9:.1f} GB",
        "Free some space, set TMPDIR to a larger disk, or lower limits.max_file_bytes.",
    )


CHECKS: Mapping[str, Check] = {
    "packages": check_packages,
    "java": check_java,
    "spark": check_spark,
    "tensorflow": check_tensorflow,
    "ffmpeg": check_ffmpeg,
    "javascript": check_javascript,
    "sandbox": check_sandbox,
    "weights": check_weights,
    "engine": check_engine,
    "gpu": check_gpu,
    "mongodb": check_mongodb,
    "disk": check_disk,
}

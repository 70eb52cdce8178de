from __future__ import annotations

import json
import os
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import pytest

from trailergenre.base import versions
from trailergenre.base.config import BackboneConfig, Config, MongoConfig
from trailergenre.cli.doctor import checks
from trailergenre.cli.doctor.examine import Finding, Verdict, examine

Usage = namedtuple("Usage", "total used free")


def program(path: Path, script: str) -> Path:
    """Write a program of the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def examined(check: Callable[[Config], Finding], config: Config) -> Finding:
    """What a user is told, also where the check refuses to go on."""
    ((_, finding),) = examine(config, {"check": check})
    return finding


@pytest.fixture
def base_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what scores a link."""
    monkeypatch.setattr(checks, "_installed", lambda package: None)


# --- packages, Java, Spark, TensorFlow -----------------------------------------------------------


def test_an_old_package_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    versions.check_minimum_versions.cache_clear()
    monkeypatch.setattr(versions, "version", lambda package: "0.1")
    finding = checks.check_packages(Config())
    versions.check_minimum_versions.cache_clear()
    assert finding.verdict is Verdict.FAILED
    for package in versions.MINIMUM_VERSIONS:
        assert f"{package} 0.1 is not safe" in finding.found
        assert f"pip install '{package}>=" in finding.advice
    assert "pip install" not in finding.found


def test_where_java_home_is_wrong_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    finding = checks.check_java(Config())
    assert finding.verdict is Verdict.FAILED
    assert "Found: none" in finding.found
    assert finding.advice.startswith(f"JAVA_HOME is {tmp_path};")
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = checks.check_java(Config())
    assert "Install it" not in finding.found
    assert finding.advice.startswith("Install it (Debian")


@pytest.mark.usefixtures("base_install")
def test_without_spark_no_java_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert checks.check_java(Config()).verdict is Verdict.NOT_USED
    finding = checks.check_spark(Config())
    assert (finding.verdict, finding.advice) == (
        Verdict.NOT_USED,
        "pip install 'trailergenre[spark]'",
    )


@pytest.fixture
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As after `source .venv/bin/activate`."""
    for name in ("SPARK_HOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


@pytest.mark.usefixtures("own_environment")
def test_this_environments_spark_is_fine() -> None:
    assert checks.check_spark(Config()).verdict is Verdict.OK


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize("name", ["PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"])
def test_a_python_of_another_environment_is_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = program(tmp_path / "bin" / "python3", "exit 1")
    monkeypatch.setenv(name, str(other))
    finding = checks.check_spark(Config())
    assert finding.verdict is Verdict.WARNING
    assert str(other) in finding.found
    assert f"PYSPARK_PYTHON={sys.executable}" in finding.advice


@pytest.mark.usefixtures("own_environment")
def test_an_environment_that_is_not_active_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = checks.check_spark(Config())
    assert (finding.verdict, "spark-submit is not found" in finding.found) == (
        Verdict.WARNING,
        True,
    )
    program(tmp_path / "spark-submit", "exit 1")
    assert str(tmp_path) in checks.check_spark(Config()).found


@pytest.mark.usefixtures("own_environment")
def test_another_spark_in_spark_home_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    finding = checks.check_spark(Config())
    assert (finding.verdict, str(tmp_path) in finding.found) == (Verdict.WARNING, True)


@pytest.mark.usefixtures("base_install")
@pytest.mark.parametrize(
    ("engine", "verdict"), [("onnxruntime", Verdict.NOT_USED), ("tensorflow", Verdict.FAILED)]
)
def test_tensorflow_is_needed_where_it_is_the_engine(engine: str, verdict: Verdict) -> None:
    config = Config(backbone=BackboneConfig.model_validate({"engine": engine}))
    finding = checks.check_tensorflow(config)
    assert finding.verdict is verdict
    assert "pip install 'trailergenre[tensorflow]'" in finding.advice


# --- weights, engine, GPU ------------------------------------------------------------------------


def test_weights_of_imagenet_are_fine(tiny_backbone: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(tiny_backbone, tmp_path / "backbone")
    manifest = json.loads((directory / "manifest.json").read_text())
    (directory / "manifest.json").write_text(json.dumps(manifest | {"source": "imagenet"}))
    finding = checks.check_weights(Config(backbone=BackboneConfig(path=str(directory))))
    assert finding.verdict is Verdict.OK
    assert "tiny with weights imagenet, fp32" in finding.found


def test_weights_that_were_changed_are_named(tiny_backbone: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(tiny_backbone, tmp_path / "backbone")
    with (directory / "network.onnx").open("ab") as file:
        file.write(b"x")
    finding = checks.check_weights(Config(backbone=BackboneConfig(path=str(directory))))
    assert (finding.verdict, "was changed or truncated" in finding.found) == (Verdict.FAILED, True)
    assert finding.advice == "Export it again."


@pytest.mark.usefixtures("base_install")
def test_where_nothing_can_export_the_way_to_it_is_told(tmp_path: Path) -> None:
    finding = checks.check_weights(Config(backbone=BackboneConfig(path=str(tmp_path))))
    assert "trailergenre backbone export" in finding.advice
    assert "trailergenre[tensorflow]" in finding.advice


def test_the_engine_names_its_providers() -> None:
    finding = checks.check_engine(Config())
    assert (finding.verdict, "CPUExecutionProvider" in finding.found) == (Verdict.OK, True)


@pytest.fixture
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it; the directory that it names."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_no_gpu_is_fine_where_none_is_asked_for(no_gpu: Path) -> None:
    finding = checks.check_gpu(Config())
    assert (finding.verdict, finding.found) == (Verdict.NOT_USED, "none; backbone.device = cpu")


def test_a_gpu_that_is_not_used_is_told(no_gpu: Path) -> None:
    program(no_gpu / "nvidia-smi", "echo '0, H200, 143771 MiB, 570.1'")
    assert checks.check_gpu(Config()).found.startswith("0, H200, 143771 MiB, 570.1; ")


def test_a_driver_that_does_not_answer_is_told(
    no_gpu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = shutil.which("sleep", path=os.defpath)
    program(no_gpu / "nvidia-smi", f"exec {sleep} 60")
    monkeypatch.setattr(checks, "_SMI_TIMEOUT_S", 0.2)
    assert "does not answer" in checks.check_gpu(Config()).found


def test_where_a_gpu_is_asked_for_none_is_a_failure(no_gpu: Path, tiny_backbone: Path) -> None:
    program(no_gpu / "nvidia-smi", "echo 'no driver'; exit 9")
    backbone = BackboneConfig(path=str(tiny_backbone), device="gpu")
    finding = checks.check_gpu(Config(backbone=backbone))
    assert finding.verdict is Verdict.FAILED
    assert "nvidia-smi: no driver" in finding.found
    assert finding.found.endswith("has no CUDA.")
    assert "onnxruntime-gpu" in finding.advice


# --- MongoDB, disk -------------------------------------------------------------------------------


def test_mongodb_is_asked_only_where_an_address_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAILERGENRE_MONGO_URI", raising=False)
    assert checks.check_mongodb(Config()).verdict is Verdict.NOT_USED


def test_mongodb_that_lets_us_in_is_fine(mongo_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", mongo_uri)
    finding = checks.check_mongodb(Config())
    assert (finding.verdict, "logged in to" in finding.found) == (Verdict.OK, True)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://me:canary@127.0.0.1:1", "was not reached"),
        ("mongodb://me:canary@db.example.org", "tls=true"),
        ("me:canary", "cannot be parsed"),
    ],
)
def test_mongodb_that_fails_is_told_without_the_password(
    uri: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", uri)
    finding = examined(checks.check_mongodb, Config(mongo=MongoConfig(timeout_s=0.2)))
    assert (finding.verdict, reason in finding.found) == (Verdict.FAILED, True), finding
    assert "canary" not in f"{finding}"


def test_mongodb_without_pymongo_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAILERGENRE_MONGO_URI", "mongodb://127.0.0.1")
    for module in ("pymongo", "pymongo.errors", "pymongo.uri_parser"):
        monkeypatch.setitem(sys.modules, module, None)
    finding = examined(checks.check_mongodb, Config())
    assert "pip install 'trailergenre[mongo]'" in finding.advice


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(2e9, Verdict.OK), (1.9e9, Verdict.WARNING), (4e8, Verdict.FAILED)],
)
def test_room_for_videos(free: float, verdict: Verdict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1e12, 0, free))
    finding = checks.check_disk(Config())
    assert finding.verdict is verdict
    assert f"{free / 1e9:.1f} GB free" in finding.found


def test_a_directory_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    finding = examined(checks.check_disk, Config())
    assert (finding.verdict, "Set TMPDIR" in finding.advice) == (Verdict.FAILED, True)

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest

from trailergenre.base import versions
from trailergenre.base.errors import ToolMissingError
from trailergenre.base.versions import check_java


def install_java(home: Path, says: str) -> None:
    """Write a `java` that says its version on stderr, as Java does."""
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)


@pytest.mark.parametrize("version", ["17.0.15", "21", "25-ea"])
def test_java_of_17_or_newer_is_accepted(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_java(tmp_path, f'openjdk version "{version}" 2026-01-01')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert check_java() is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    ("says", "received"),
    [
        ('java version "1.8.0_402"', "8"),
        ('openjdk version "11.0.2" 2019-01-15', "11"),
        ("No Java runtime present, requesting install.", "none"),
    ],
)
def test_older_java_is_refused_with_the_way_to_a_newer_one(
    says: str, received: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_java(tmp_path, says)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    with pytest.raises(ToolMissingError, match=rf"required. Found: {received}\. .*apt-get"):
        check_java()


@pytest.mark.parametrize(("spark", "is_accepted"), [("3.5.9", True), ("4.0.5", False)])
def test_an_old_spark_runs_on_java_11(
    spark: str, is_accepted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_java(tmp_path, 'openjdk version "11.0.2" 2019-01-15')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(versions, "version", lambda package: spark)
    with nullcontext() if is_accepted else pytest.raises(ToolMissingError, match="Java 17"):
        check_java()


def test_missing_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ToolMissingError, match=r"Found: none\. .*brew install"):
        check_java()


def test_the_makefile_says_the_same(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ToolMissingError) as caught:
        check_java()
    said = subprocess.run(
        ["make", "--no-print-directory", "_java"],
        cwd=repository, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 2
    assert said.stderr.splitlines()[0] == f"error: {caught.value}"

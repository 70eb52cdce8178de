from __future__ import annotations

import itertools
import re
import shutil
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from trailergenre.base import versions
from trailergenre.base.errors import ConfigError
from trailergenre.base.onnx_session import open_session
from trailergenre.base.versions import (
    DOWNLOAD_PACKAGES,
    MINIMUM_VERSIONS,
    check_minimum_versions,
    parse_release,
)
from trailergenre.frames.ffmpeg import find_ffmpeg


@pytest.fixture(autouse=True)
def _forget_what_was_checked() -> None:
    check_minimum_versions.cache_clear()


def with_version(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(package: str) -> str:
        if found is None:
            raise PackageNotFoundError(package)
        return found

    monkeypatch.setattr(versions, "version", version)


def requirements(repository: Path) -> dict[str, str]:
    """Package -> its lower bound in pyproject.toml."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    found = (re.match(r"([\w-]+)(?:\[.*\])?(?:>=([\w.]+))?", want) for want in wanted)
    return {match[1]: match[2] for match in found if match and match[2]}


def test_what_is_installed_here_is_let_in() -> None:
    assert check_minimum_versions(*MINIMUM_VERSIONS) is None


@pytest.mark.parametrize("package", MINIMUM_VERSIONS)
def test_an_old_package_ends_the_run(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with_version(monkeypatch, "0.1.dev3")
    with pytest.raises(ConfigError) as refused:
        check_minimum_versions(package)
    for part in (f"{package} 0.1.dev3", *MINIMUM_VERSIONS[package], "pip install"):
        assert part in str(refused.value)


@pytest.mark.parametrize("found", ["3.1.6", "3.1.6.0", "3.1.6rc1", "3.1.06", "3.2", "4"])
def test_the_floor_itself_and_what_is_newer_is_let_in(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_version(monkeypatch, found)
    assert check_minimum_versions("jinja2") is None


def test_what_is_not_installed_is_for_who_imports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with_version(monkeypatch, None)
    assert check_minimum_versions(*MINIMUM_VERSIONS) is None


def test_floors_are_pyprojects_bounds_and_below_the_lock(repository: Path) -> None:
    bounds = requirements(repository)
    assert {"yt-dlp", "keras", "pyspark", "deno", "onnxruntime", "imageio-ffmpeg"} <= bounds.keys()
    mine = {
        package: oldest for package, (oldest, _) in MINIMUM_VERSIONS.items() if package in bounds
    }
    assert {p: parse_release(v) for p, v in mine.items()} == {
        p: parse_release(bounds[p]) for p in mine
    }
    lock = dict(
        re.findall(r"^([\w.-]+)==(\S+)", (repository / "requirements-dev.lock").read_text(), re.M)
    )
    assert [
        p
        for p, (oldest, _) in MINIMUM_VERSIONS.items()
        if p != "onnxruntime-gpu" and parse_release(lock[p]) < parse_release(oldest)
    ] == []


def test_old_programs_that_read_hostile_files_are_refused_where_they_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_version(monkeypatch, "0.1")
    with pytest.raises(ConfigError, match=r"^onnxruntime 0\.1 is not safe"):
        open_session(b"", threads=1)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"^imageio-ffmpeg 0\.1 is not safe"):
        find_ffmpeg.__wrapped__()
    assert "deno" in DOWNLOAD_PACKAGES


def test_a_gpus_onnx_runtime_is_a_package_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "onnxruntime-gpu":
            return "1.23.0"
        raise PackageNotFoundError(package)

    monkeypatch.setattr(versions, "version", version)
    with pytest.raises(ConfigError, match=r"^onnxruntime-gpu 1\.23\.0 is not safe"):
        open_session(b"", threads=1)

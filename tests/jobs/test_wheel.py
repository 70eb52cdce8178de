"""The built wheel with its base dependencies alone scores a link: what `pip install` gives."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundles import make_bundle, manifest_for
from clips import make_clip
from servers.files import serve
from submits import REPOSITORY
from trailergenre.base.storage import Store

pytestmark = pytest.mark.slow

HEAVY = {"pyspark", "tensorflow", "keras", "pandas", "scikit-learn", "pymongo"}


@dataclass(frozen=True)
class Installed:
    """An environment that holds the wheel and nothing that was not asked for.

    Attributes:
        bin: its programs; the only PATH that commands get.
        home: a home of its own.
    """

    bin: Path
    home: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program from an empty environment."""
        return subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            cwd=self.home,
            env={"PATH": str(self.bin), "HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def locked_versions() -> str:
    """The lock's versions as constraints: what is installed is what was tested."""
    lock = (REPOSITORY / "requirements-dev.lock").read_text()
    pinned = re.findall(r"^([a-z0-9][\w.-]*==[^\\\n]*?) *\\?$", lock, re.MULTILINE)
    assert len(pinned) > 50
    return "\n".join(pinned) + "\n"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("wheel")
    source = base / "source"
    source.mkdir()
    # A copy: building leaves folders beside the sources.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, source / name)
    leave_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(REPOSITORY / "lib", source / "lib", ignore=leave_out)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(base)]
    subprocess.run([*pip, *build, str(source)], check=True)
    (wheel,) = base.glob("trailergenre-*.whl")
    (base / "constraints.txt").write_text(locked_versions())
    venv.create(base / "venv", with_pip=False)
    where = ["--python", str(base / "venv" / "bin" / "python")]
    install = ["install", "--quiet", "--no-compile"]
    install += ["--constraint", str(base / "constraints.txt")]
    subprocess.run([*pip, *where, *install, str(wheel)], check=True)
    (base / "home").mkdir()
    return Installed(base / "venv" / "bin", base / "home")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with one clip, `a.mp4`."""
    directory = tmp_path_factory.mktemp("served")
    make_clip(directory / "a.mp4", "testsrc2=s=320x320:r=8:d=3")
    with serve(directory) as server:
        yield server.address


@pytest.fixture(scope="module")
def options(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names a bundle and its network."""
    directory = tmp_path_factory.mktemp("bundle")
    make_bundle(Store(str(directory)), manifest=manifest_for(tiny_backbone))
    return ["--bundle", str(directory), "--set", f"backbone.path={tiny_backbone}"]


def test_the_base_install_holds_neither_spark_nor_tensorflow_nor_java(installed: Installed) -> None:
    code = "from importlib.metadata import distributions as d; print(*(x.name for x in d()))"
    names = installed.run("python", "-c", code).stdout.lower().split()
    assert {"trailergenre", "onnxruntime", "yt-dlp"} <= set(names)
    assert HEAVY & set(names) == set()
    assert shutil.which("java", path=str(installed.bin)) is None


def test_it_scores_a_link_and_writes_the_page(
    installed: Installed, address: str, options: list[str]
) -> None:
    page = installed.home / "out.html"
    allow = ["--set", f'network.allow=["{address}"]']
    done = installed.run(
        *("trailergenre", "score", f"http://{address}/a.mp4", *options, *allow),
        *("--json", "--report", str(page)),
    )
    assert done.returncode == 0, done.stderr
    scored = json.loads(done.stdout)
    assert [genre["genre"] for genre in scored["genres"]][:3] == ["Horror", "Drama", "Comedy"]
    assert scored["frames"] == 3
    assert "<title>" in page.read_text()


def test_its_help_and_version_need_nothing_else(installed: Installed) -> None:
    done = installed.run("trailergenre", "--help")
    assert done.returncode == 0, done.stderr
    assert "score" in done.stdout
    refused = installed.run("trailergenre", "demo", "--out", str(installed.home / "demo"))
    assert refused.returncode == 2
    assert "Java 17" in refused.stderr
    refused = installed.run("trailergenre", "run", "links.csv")
    assert refused.returncode == 2
    assert "pip install 'trailergenre[spark]'" in refused.stderr

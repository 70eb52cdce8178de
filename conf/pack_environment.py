"""Pack the Python environment of a cluster's workers from the installed packages, offline.

    python conf/pack_environment.py dist/environment.tar.gz

Contains the package's dependencies, and OpenVINO if it is installed; without the package itself
(`dist/trailergenre.zip`), Spark, TensorFlow and development tools. The interpreter is a symbolic
link: every machine needs the same Python at the path that is printed.
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from importlib.util import find_spec
from pathlib import Path

import typer
from packaging.requirements import Requirement

ROOT = f"trailergenre[spark,mongo{',openvino' if find_spec('openvino') else ''}]"
LEFT_OUT = {"pyspark"}
GZIP_LEVEL = 1
"""Level 6 takes three times as long (39 instead of 13 CPU seconds) and saves a tenth."""


def needed(requirement: str, seen: set[str] | None = None) -> Iterator[Distribution]:
    """Yield the dependencies of a requirement, each distribution once."""
    seen = set() if seen is None else seen
    wanted = Requirement(requirement)
    extras = sorted(wanted.extras) or [""]
    for text in distribution(wanted.name).requires or ():
        other = Requirement(text)
        holds = other.marker is None or any(other.marker.evaluate({"extra": e}) for e in extras)
        # The key includes extras: a package seen without them may come again.
        key = f"{other.name.lower()}{sorted(other.extras)}"
        if not holds or other.name.lower() in LEFT_OUT or key in seen:
            continue
        seen.add(key)
        yield distribution(other.name)
        yield from needed(f"{other.name}[{','.join(other.extras)}]", seen)


def files_of(package: Distribution) -> Iterator[Path]:
    """A distribution's files, without scripts: their first line names this environment."""
    for file in package.files or ():
        path = Path(str(package.locate_file(file))).resolve()
        if path.is_file() and not (path.parent.name == "bin" and path.read_bytes()[:2] == b"#!"):
            yield path


def pack(target: Path) -> None:
    """Write the archive; the names in it are those below an environment's directory."""
    prefix = Path(sys.prefix).resolve()
    paths = {path for package in needed(ROOT) for path in files_of(package)}
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as empty,
        tarfile.open(target, "w:gz", compresslevel=GZIP_LEVEL) as archive,
    ):
        venv.create(empty, with_pip=False, symlinks=True)
        archive.add(empty, arcname=".")
        for path in sorted(paths):
            archive.add(path, arcname=path.relative_to(prefix).as_posix(), recursive=False)


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
    python = Path(sys.executable).resolve()
    megabytes = Path(sys.argv[1]).stat().st_size / 1e6
    typer.echo(f"{sys.argv[1]}: {megabytes:.0f} MB; every machine needs {python}")

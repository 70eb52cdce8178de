"""Print what conf/Dockerfile installs: the package's dependencies with some extras, one a line."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

EXTRAS = ("spark", "mongo", "openvino")

if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    extras = (project["optional-dependencies"][extra] for extra in EXTRAS)
    wanted = (*project["dependencies"], *(each for extra in extras for each in extra))
    sys.stdout.write("\n".join(wanted) + "\n")

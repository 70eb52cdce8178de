"""Builds the documentation site."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def build_site(source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a directory with a mkdocs.yml; warnings are errors."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=source,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )

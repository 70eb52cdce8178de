"""Whether the Java that Spark will start is there and new enough. Knows nothing of Spark."""

from __future__ import annotations

import os
import re
import subprocess

from trailergenre.base.errors import ToolMissingError

JAVA_MAJOR = 17
"""Oldest that Spark 4 runs on."""

_VERSION = re.compile(r' version "(?:1\.)?(\d+)')


def check_java() -> None:
    """Refuse to go on without Java; Spark's own words for it name neither version nor remedy.

    Raises:
        ToolMissingError: there is none where Spark looks (JAVA_HOME, else PATH), or an older one.
    """
    _, major = find_java()
    if major is None or major < JAVA_MAJOR:
        # The Makefile says the same where there is no Python environment yet.
        raise ToolMissingError(
            f"Java {JAVA_MAJOR} or newer is needed. Received: {major or 'none'}.",
            "Install it (Debian: apt-get install default-jre-headless; "
            "Fedora: dnf install java-headless; macOS: brew install --cask temurin) "
            "or set JAVA_HOME.",
        )


def find_java() -> tuple[str, int | None]:
    """The program that Spark would start, and its major version; None where there is no Java."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    try:
        ended = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return java, None
    found = _VERSION.search(ended.stderr)
    return java, int(found[1]) if found else None

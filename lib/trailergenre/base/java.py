"""Finds the Java that Spark will start, and checks its version."""

from __future__ import annotations

import os
import re
import subprocess

from trailergenre.base.errors import ToolMissingError

JAVA_MAJOR = 17
"""Oldest version that Spark 4 supports."""

_VERSION = re.compile(r' version "(?:1\.)?(\d+)')


def check_java() -> None:
    """Check Java before Spark does, whose error names neither version nor remedy.

    Raises:
        ToolMissingError: Java is missing or too old where Spark looks (JAVA_HOME, else PATH).
    """
    _, major = find_java()
    if major is None or major < JAVA_MAJOR:
        # The Makefile prints the same message before there is a Python environment.
        raise ToolMissingError(
            f"Java {JAVA_MAJOR} or newer is required. Found: {major or 'none'}.",
            "Install it (Debian: apt-get install default-jre-headless; "
            "Fedora: dnf install java-headless; macOS: brew install --cask temurin) "
            "or set JAVA_HOME.",
        )


def find_java() -> tuple[str, int | None]:
    """Find the program that Spark would start and its major version, None if there is none."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    try:
        result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return java, None
    match = _VERSION.search(result.stderr)
    return java, int(match[1]) if match else None

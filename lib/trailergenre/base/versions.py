"""The oldest versions of packages and ffmpeg that are safe to run, and of Java for Spark.

pip checks packages only on installation, and never sees a cluster's own.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version

from trailergenre.base.errors import ConfigError, ToolMissingError

MINIMUM_VERSIONS = {
    # They read hostile servers.
    "yt-dlp": ("2026.7.4", "CVE-2026-50023 and CVE-2024-38519: a link chooses what is run"),
    "urllib3": ("2.6.3", "CVE-2026-21441: a small answer unpacks to fill the memory"),
    "brotli": ("1.2", "CVE-2025-6176: a small answer unpacks to fill the memory"),
    "idna": ("3.10", "CVE-2024-3651 (before 3.7): a long host name stops the process"),
    "deno": ("2.9", "CVE-2026-49860 (before 2.8.1): a script reaches hosts that it may not"),
    # It brings the ffmpeg that reads hostile videos where none is on PATH.
    "imageio-ffmpeg": ("0.8.1", "CVE-2026-40962 (ffmpeg before 8.1): an MP4 writes out of bounds"),
    # They read tables and models.
    "pyarrow": ("21", "CVE-2023-47248 (before 14.0.1): a table's schema runs code"),
    "keras": ("3.15.1", "CVE-2026-12481 and earlier: a file of weights runs code"),
    "onnx": ("1.21", "CVE-2026-27489 and CVE-2026-34445: a network reads other files"),
    # No advisory has a number: these are the fixes that its release notes list.
    "onnxruntime": ("1.30.1", "a network reads and writes out of bounds when it is loaded"),
    "onnxruntime-gpu": ("1.30.1", "a network reads and writes out of bounds when it is loaded"),
    # Vendors mend it under their old number, e.g. 3.5.0, so a higher floor would refuse theirs.
    "pyspark": (
        "3.5",
        "older ones are not tested, and have CVE-2025-54920: an event log runs code",
    ),
    # They write for others.
    "jinja2": ("3.1.6", "CVE-2025-27516: a template's text runs code"),
    "pymongo": ("4.16", "CVE-2024-5629 (before 4.6.3): a server's answer reads our memory"),
}
"""Package -> its oldest accepted version, and the vulnerability of older ones."""

DOWNLOAD_PACKAGES = ("yt-dlp", "urllib3", "brotli", "idna", "deno")

FFMPEG_MAJOR = 6
"""The oldest ffmpeg on PATH: 5.1 has CVE-2024-7272. A distribution mends later ones, e.g. 6.1 and
7.1, under their number, so a higher floor would refuse programs that are safe."""


@functools.cache
def check_minimum_versions(*packages: str) -> None:
    """Refuse old packages with a `ConfigError`; missing ones fail where they are imported."""
    for package in packages:
        oldest, reason = MINIMUM_VERSIONS[package]
        try:
            installed = version(package)
        except PackageNotFoundError:
            continue
        if parse_release(installed) < parse_release(oldest):
            raise ConfigError(
                f"{package} {installed} is not safe to use ({reason}). Needed: {oldest} or newer.",
                f"Upgrade it: python -m pip install '{package}>={oldest}'",
            )


def parse_release(text: str) -> tuple[int, ...]:
    """Parse the release numbers of a version, without trailing zeros.

    >>> parse_release("2026.07.04"), parse_release("3.0"), parse_release("5.0.1rc1")
    ((2026, 7, 4), (3,), (5, 0, 1))
    """
    match = re.match(r"\d+(\.\d+)*", text)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


_JAVA_VERSION = re.compile(r' version "(?:1\.)?(\d+)')


def check_java() -> None:
    """Check Java before Spark does, whose error names neither version nor remedy."""
    _, major = find_java()
    oldest = _oldest_java()
    if major is None or major < oldest:
        # The Makefile prints the same message before there is a Python environment.
        raise ToolMissingError(
            f"Java {oldest} or newer is required. Found: {major or 'none'}.",
            "Install it (Debian: apt-get install default-jre-headless; "
            "Fedora: dnf install java-headless; macOS: brew install --cask temurin) "
            "or set JAVA_HOME.",
        )


def _oldest_java() -> int:
    """Return the oldest version that the installed Spark supports."""
    try:
        return 11 if parse_release(version("pyspark")) < (4,) else 17
    except PackageNotFoundError:
        return 17


def find_java() -> tuple[str, int | None]:
    """Find the program that Spark would start and its major version, None if there is none."""
    home = os.environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else "java"
    try:
        result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return java, None
    match = _JAVA_VERSION.search(result.stderr)
    return java, int(match[1]) if match else None

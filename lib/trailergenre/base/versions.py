"""The oldest versions that are safe to run, and why: checked where a package is first used.

`pip` holds to pyproject.toml only when it installs; a cluster's own packages it never sees.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from trailergenre.base.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MinimumVersion:
    """The oldest version of a package that is let in.

    Attributes:
        version: release numbers.
        reason: what an older one is open to.
    """

    version: str
    reason: str


MINIMUM_VERSIONS: dict[str, MinimumVersion] = {
    # What a download's child reads hostile servers with.
    "yt-dlp": MinimumVersion(
        "2026.7.4", "CVE-2026-50023 and CVE-2024-38519: a link chooses what is run"
    ),
    "urllib3": MinimumVersion("2.6.3", "CVE-2026-21441: a small answer unpacks to fill the memory"),
    "brotli": MinimumVersion("1.2", "CVE-2025-6176: a small answer unpacks to fill the memory"),
    "idna": MinimumVersion(
        "3.10", "CVE-2024-3651 (before 3.7): a long host name stops the process"
    ),
    # What reads tables and models.
    "pyarrow": MinimumVersion("21", "CVE-2023-47248 (before 14.0.1): a table's schema runs code"),
    "keras": MinimumVersion("3.15.1", "CVE-2026-12481 and earlier: a file of weights runs code"),
    "pyspark": MinimumVersion(
        "4.3", "CVE-2025-54920 (before 4.0.1); what this version was tested with"
    ),
    # What writes for others.
    "jinja2": MinimumVersion("3.1.6", "CVE-2025-27516: a template's text runs code"),
    "pymongo": MinimumVersion(
        "4.16", "CVE-2024-5629 (before 4.6.3): a server's answer reads our memory"
    ),
}
"""Package -> its floor."""

DOWNLOAD_PACKAGES = ("yt-dlp", "urllib3", "brotli", "idna")
"""What downloading uses."""


@functools.cache
def check_minimum_versions(*packages: str) -> None:
    """Refuse packages that are older than their floor; absent ones are for who imports them.

    Args:
        packages: keys of `MINIMUM_VERSIONS`.

    Raises:
        ConfigError: naming package, found, needed, why, and what to do.
    """
    for package in packages:
        floor = MINIMUM_VERSIONS[package]
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        if parse_release(found) < parse_release(floor.version):
            raise ConfigError(
                f"{package} {found} is not safe to use ({floor.reason}). Needed: {floor.version} "
                "or newer.",
                f"Upgrade it: python -m pip install '{package}>={floor.version}'",
            )


def parse_release(text: str) -> tuple[int, ...]:
    """The release numbers of a version, without trailing zeros.

    >>> parse_release("2026.07.04"), parse_release("3.0"), parse_release("5.0.1rc1")
    ((2026, 7, 4), (3,), (5, 0, 1))
    """
    found = re.match(r"\d+(\.\d+)*", text)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

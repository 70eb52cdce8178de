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
class Floor:
    """The oldest version of a package that is let in.

    Attributes:
        version: release numbers.
        reason: what an older one is open to.
    """

    version: str
    reason: str


FLOORS: dict[str, Floor] = {
    # What a download's child reads hostile servers with.
    "yt-dlp": Floor("2026.7.4", "CVE-2026-50023 and CVE-2024-38519: a link chooses what is run"),
    "urllib3": Floor("2.6.3", "CVE-2026-21441: a small answer unpacks to fill the memory"),
    "brotli": Floor("1.2", "CVE-2025-6176: a small answer unpacks to fill the memory"),
    "idna": Floor("3.10", "CVE-2024-3651 (before 3.7): a long host name stops the process"),
    # What reads tables and models.
    "pyarrow": Floor("21", "CVE-2023-47248 (before 14.0.1): a table's schema runs code"),
    "keras": Floor("3.15.1", "CVE-2026-12481 and earlier: a file of weights runs code"),
    "pyspark": Floor("4.3", "CVE-2025-54920 (before 4.0.1); what this version was tested with"),
    # What writes for others.
    "jinja2": Floor("3.1.6", "CVE-2025-27516: a template's text runs code"),
    "pymongo": Floor("4.16", "CVE-2024-5629 (before 4.6.3): a server's answer reads our memory"),
}
"""Package -> its floor."""

DOWNLOAD = ("yt-dlp", "urllib3", "brotli", "idna")
"""What downloading uses."""


@functools.cache
def check_floors(*packages: str) -> None:
    """Refuse packages that are older than their floor; absent ones are for who imports them.

    Args:
        packages: keys of `FLOORS`.

    Raises:
        ConfigError: naming package, found, needed, why, and what to do.
    """
    for package in packages:
        floor = FLOORS[package]
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        if release(found) < release(floor.version):
            raise ConfigError(
                f"{package} {found} is not safe to use ({floor.reason}). Needed: {floor.version} "
                "or newer.",
                f"Upgrade it: python -m pip install '{package}>={floor.version}'",
            )


def release(text: str) -> tuple[int, ...]:
    """The release numbers of a version, without trailing zeros.

    >>> release("2026.07.04"), release("3.0"), release("5.0.1rc1")
    ((2026, 7, 4), (3,), (5, 0, 1))
    """
    found = re.match(r"\d+(\.\d+)*", text)
    numbers = [int(part) for part in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

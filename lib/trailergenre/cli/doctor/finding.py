"""What a check found, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version


class Verdict(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    """It works, with less than could be had."""
    FAILED = "failed"
    """What needs it cannot work."""
    NOT_USED = "not used"
    """It is not there, and nothing that was asked for needs it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    Attributes:
        verdict: how it ended.
        found: what is there; never a secret.
        advice: what to do; empty where nothing is.
    """

    verdict: Verdict
    found: str
    advice: str = ""


def installed_version(package: str) -> str | None:
    """The version of a package, without importing it; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
